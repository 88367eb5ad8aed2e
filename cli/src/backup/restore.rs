//! `craftx restore`.

use std::sync::Arc;

use craftx::backup::{Archive, CheckedArchive, Preview, Restore, Restored};
use craftx::{ErrorKind, Prepare, Storage};
use serde_json::json;

use crate::args;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

pub(crate) async fn run(global: &Global, restore: args::Restore) -> Result<Exit, Failure> {
    let archive = Archive::parse(&restore.file)?;
    let store = restore.store.as_deref();
    if restore.dry_run {
        return preview(global, &archive, &restore).await;
    }
    // Before the store is made: a damaged archive shall leave none.
    let checked = Restore::of(&archive).merge(true).preview(None).await?.archive;
    let storage = match store {
        Some(name) => global.open_other(name, Prepare::Migrate).await?,
        None => global.for_administration(&global.open().await?),
    };
    let progress = Arc::new(Progress::new(global, "restore", "sessions", Some(checked.counts.sessions)));
    let watch = Arc::clone(&progress);
    let restoring = Restore::of(&archive).merge(restore.merge).watched(move |_| watch.add(1));
    let restored = restoring.into_storage(&storage).await;
    drop(restoring);
    drop(progress);
    storage.close().await?;
    tell(global, &restored?)
}

async fn preview(global: &Global, archive: &Archive, restore: &args::Restore) -> Result<Exit, Failure> {
    let storage = match super::existing(global, restore.store.as_deref()).await {
        Ok(storage) => Some(storage),
        // It would be made.
        Err(Failure::Store(error)) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let preview = Restore::of(archive).merge(restore.merge).preview(storage.as_ref()).await?;
    close(storage).await?;
    let Preview { archive, empty, lacks_base, refused, .. } = &preview;
    warn(archive, *lacks_base);
    let mut out = Out::new();
    if global.json {
        let counts = &archive.counts;
        out.object(json!({
            "sessions": counts.sessions,
            "messages": counts.messages,
            "records": counts.records,
            "empty": empty,
            "lacks_base": lacks_base,
            "refused": refused,
        }))?;
    } else {
        out.line(format_args!("would restore {} of {}", super::counted(&archive.counts), archive.about.time))?;
        out.line(if *empty { "the store is empty" } else { "the store is not empty" })?;
        if let Some(refused) = refused {
            out.line(format_args!("would be refused: {refused}"))?;
        }
    }
    out.finish()?;
    Ok(if refused.is_none() { Exit::Ok } else { Exit::Differences })
}

async fn close(storage: Option<Storage>) -> Result<(), Failure> {
    match storage {
        Some(storage) => Ok(storage.close().await?),
        None => Ok(()),
    }
}

/// What whoever restores has to know.
fn warn(archive: &CheckedArchive, lacks_base: bool) {
    if let Some(base) = archive.about.base.as_ref().filter(|_| lacks_base) {
        output::say(format_args!(
            "this is an increment, and the archive that it builds on was not restored here: {base}"
        ));
    }
    if archive.counts.failed > 0 {
        output::say(format_args!("{} sessions could not be read when the backup was made", archive.counts.failed));
    }
    if archive.about.encrypted {
        output::say("the archive holds ciphertext: it can be read with the key store of its time, or a later one");
    }
}

fn tell(global: &Global, restored: &Restored) -> Result<Exit, Failure> {
    let Restored { archive, lacks_base, applied, known, dead, verified, .. } = restored;
    warn(archive, *lacks_base);
    for problem in &verified.problems {
        output::complain("problem", Exit::Differences, format_args!("{}: {}", problem.place, problem.what));
    }
    let mut out = Out::new();
    if global.json {
        out.object(json!({
            "sessions": archive.counts.sessions,
            "records": archive.counts.records,
            "applied": applied,
            "known": known,
            "dead": dead,
            "lacks_base": lacks_base,
            "problems": verified.problems,
        }))?;
    } else {
        let count = |n: &Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        out.line(super::counted(&archive.counts))?;
        out.line(format_args!("{} applied, {} known, {} dead", count(applied), count(known), count(dead)))?;
        match archive.counts.failed {
            _ if !verified.is_clean() => {}
            0 => out.line("checked: all of it is there")?,
            failed => out.line(format_args!(
                "checked: all that the archive holds is there; of {failed} sessions it does not hold everything"
            ))?,
        }
    }
    out.finish()?;
    Ok(match verified.is_clean() {
        false => Exit::Differences,
        true if archive.counts.failed > 0 => Exit::Partial,
        true => Exit::Ok,
    })
}
