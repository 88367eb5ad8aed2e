//! The kit over SQLite and JSON, and over SQLite twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use craftx_conformance::{Failure, Subject, conformance};
use craftx_core::{DynBackend, Result};
use craftx_failover::{Failover, FailoverConfig, Mirror};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};

fn sqlite(folder: &Path, name: &str) -> Result<DynBackend> {
    Ok(Arc::new(Sqlite::new(SqliteConfig::new(folder.join(name)))?))
}

fn json(folder: &Path, name: &str) -> Result<DynBackend> {
    Ok(Arc::new(Json::new(&JsonConfig::new(folder.join(name)))?))
}

fn over(primary: DynBackend, secondary: DynBackend, mirror: Mirror) -> Result<DynBackend> {
    let builder = Failover::builder("primary", primary).secondary("secondary", secondary);
    Ok(Arc::new(builder.config(FailoverConfig::default().mirror(mirror)).build()?))
}

fn sqlite_and_json(folder: &Path) -> Result<DynBackend> {
    over(sqlite(folder, "primary.db")?, json(folder, "secondary")?, Mirror::Async)
}

fn sqlite_twice(folder: &Path) -> Result<DynBackend> {
    over(sqlite(folder, "primary.db")?, sqlite(folder, "secondary.db")?, Mirror::Sync)
}

fn subject(open: fn(&Path) -> Result<DynBackend>) -> Result<Subject, Failure> {
    let folder = tempfile::tempdir()?;
    let path: PathBuf = folder.path().to_owned();
    let subject = Subject::from(open(&path)?);
    Ok(subject
        .reopening(move || {
            let path = path.clone();
            async move { Ok(open(&path)?) }
        })
        .holding(folder))
}

conformance!(sqlite_mirrored_to_json, || async { subject(sqlite_and_json) }, |kit| kit
    .cases(40)
    .sequences(20)
    .rounds(5));
conformance!(sqlite_mirrored_to_sqlite, || async { subject(sqlite_twice) }, |kit| kit
    .cases(40)
    .sequences(20)
    .rounds(5));
