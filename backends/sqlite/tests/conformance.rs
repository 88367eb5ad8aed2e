//! The conformance kit on the SQLite backend, at both levels of durability.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use craftx_conformance::{Failure, Subject, conformance};
use craftx_core::DynBackend;
use craftx_sqlite::{Durability, Sqlite, SqliteConfig};

/// All bytes of the files of a folder. They are read by another process: reading the database in this one would
/// release the locks that SQLite holds on it.
fn bytes(folder: &Path) -> Result<Vec<u8>, Failure> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failure>>()?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let output = Command::new("cat").args(files).output()?;
    if !output.status.success() {
        return Err("a file could not be read".into());
    }
    Ok(output.stdout)
}

fn subject(durability: Durability) -> Result<Subject, Failure> {
    let folder = Arc::new(tempfile::tempdir()?);
    let config = SqliteConfig::new(folder.path().join("chat.db")).durability(durability);
    let open = {
        let config = config.clone();
        move || {
            let config = config.clone();
            async move { Ok(Arc::new(Sqlite::new(config)?) as DynBackend) }
        }
    };
    let shown = Arc::clone(&folder);
    Ok(Subject::new(Sqlite::new(config)?).reopening(open).with_bytes(move || bytes(shown.path())).holding(folder))
}

conformance!(power_loss, || async { subject(Durability::PowerLoss) });
conformance!(process_crash, || async { subject(Durability::ProcessCrash) }, |kit| kit.cases(500).sequences(100));
