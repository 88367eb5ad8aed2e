//! `craftx backup` and `craftx restore`.

mod create;
mod restore;
mod verify;

pub(crate) use restore::run as restore;

use craftx::backup::{About, Counts};
use craftx::{Prepare, Storage};
use indicatif::{HumanBytes, HumanCount};

use crate::args::{Backup, BackupCommand};
use crate::exit::{Exit, Failure};
use crate::global::Global;

pub(crate) async fn run(global: &Global, backup: Backup) -> Result<Exit, Failure> {
    match &backup.command {
        Some(BackupCommand::Verify(check)) => verify::run(global, check).await,
        None => create::run(global, &backup).await,
    }
}

/// The store that was named, or the configured one, as the system sees it; it must be there.
async fn existing(global: &Global, name: Option<&str>) -> Result<Storage, Failure> {
    Ok(match name {
        Some(name) => global.open_other(name, Prepare::Open).await?,
        None => global.for_administration(&global.open_existing().await?),
    })
}

/// How much an archive holds, in words.
fn counted(counts: &Counts) -> String {
    let sessions = if counts.sessions == 1 { "session" } else { "sessions" };
    format!(
        "{} {sessions} with {} messages, {} records, {}",
        HumanCount(counts.sessions),
        HumanCount(counts.messages),
        HumanCount(counts.records),
        HumanBytes(counts.bytes)
    )
}

/// What to keep apart from the archive of an encrypted store.
fn keys(about: &About) -> Option<&'static str> {
    about.encrypted.then_some(
        "the archive holds ciphertext; the keys are not in it: back up the key store with `craftx backup STORE FILE`, and keep the keyring",
    )
}
