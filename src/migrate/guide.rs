//! The migrations of the *CraftX.py Storage System Guide*, by the names that it gives them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use craftx_core::{Caller, Prepare, Result, Stack};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};
use serde::Serialize;

use super::{Migrated, StorageMigrator};
use crate::Storage;

/// What became of an operation of the guide, with the names that it gives the fields. What does not apply is left out.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let folder = tempfile::tempdir().unwrap();
/// let result = craftx::migrate::migrate_json_to_sqlite(folder.path().join("none"), folder.path().join("new.db")).await;
/// assert_eq!(result.status, "error");
/// # });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationResult {
    /// `success`; `partial` if some sessions failed and the others were done; `error`.
    pub status: &'static str,
    /// What happened, in words. It names the first session that failed.
    pub message: String,
    /// The sessions that are in the target now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions_migrated: Option<u64>,
    /// The messages that are in the target now, those included that were there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_migrated: Option<u64>,
    /// Where the backup is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_path: Option<PathBuf>,
    /// How many files were backed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_backed_up: Option<u64>,
    /// How many files were restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_restored: Option<u64>,
    /// What can be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_types: Option<Vec<&'static str>>,
}

impl MigrationResult {
    /// Everything was done.
    pub(crate) fn success(message: impl Into<String>) -> Self {
        Self { status: "success", message: message.into(), ..Self::default() }
    }

    /// Nothing was done, or nobody knows.
    pub(crate) fn error(error: &craftx_core::Error) -> Self {
        Self { status: "error", message: error.to_string(), ..Self::default() }
    }
}

/// Copies a folder of JSON files, of craftx or of CraftX.py, into a SQLite file. The guide's defaults are `chat_logs` and
/// `craftx.db`.
///
/// Times, metadata and ids are kept, and a second time changes nothing. The folder is only read. A file that is there is
/// added to.
///
/// # Cancel safety
/// May be dropped at any time; do it again.
pub async fn migrate_json_to_sqlite(json_path: impl AsRef<Path>, sqlite_path: impl AsRef<Path>) -> MigrationResult {
    told(migrate(json(json_path.as_ref()), sqlite(sqlite_path.as_ref())).await)
}

/// Copies a SQLite file into a folder of JSON files. The guide's defaults are `craftx.db` and `chat_logs_export`.
///
/// As [`migrate_json_to_sqlite`], the other way round. The folder is one of craftx: to write files that CraftX.py reads,
/// export them.
///
/// # Cancel safety
/// May be dropped at any time; do it again.
pub async fn migrate_sqlite_to_json(sqlite_path: impl AsRef<Path>, json_path: impl AsRef<Path>) -> MigrationResult {
    told(migrate(sqlite(sqlite_path.as_ref()), json(json_path.as_ref())).await)
}

/// The operations of the guide, as [`available_types`](MigrationResult::available_types).
///
/// ```
/// let types = craftx::migrate::list_available_migrations().available_types.unwrap_or_default();
/// assert!(types.contains(&"json_to_sqlite"));
/// ```
pub fn list_available_migrations() -> MigrationResult {
    let types = [
        "json_to_sqlite",
        "sqlite_to_json",
        #[cfg(all(feature = "backup", feature = "json", feature = "sqlite"))]
        "backup_current",
        #[cfg(all(feature = "backup", feature = "json", feature = "sqlite"))]
        "restore_backup",
    ];
    MigrationResult { available_types: Some(types.to_vec()), ..MigrationResult::success("these can be asked for") }
}

async fn migrate(from: Result<Stack>, to: Result<Stack>) -> Result<Migrated> {
    let (from, to) = (opened(from?, Prepare::Open).await?, opened(to?, Prepare::Migrate).await?);
    // What is there is known by its content, so that nothing else is needed to do it again.
    let migrated = StorageMigrator::new(&from, &to).merge(true).run().await;
    let closed = (from.close().await, to.close().await);
    let migrated = migrated?;
    closed.0.and(closed.1)?;
    Ok(migrated)
}

async fn opened(stack: Stack, mode: Prepare) -> Result<Storage> {
    let storage = Storage::new(stack).for_caller(Caller::System);
    storage.prepare(mode).await?;
    Ok(storage)
}

/// Of a path and no URL: it may hold characters that mean something there.
fn json(path: &Path) -> Result<Stack> {
    Stack::builder("json", Arc::new(Json::new(&JsonConfig::new(path))?)).build()
}

fn sqlite(path: &Path) -> Result<Stack> {
    Stack::builder("sqlite", Arc::new(Sqlite::new(SqliteConfig::new(path))?)).build()
}

fn told(migrated: Result<Migrated>) -> MigrationResult {
    let Migrated { sessions, messages, applied, failures, failed, caught_up, .. } = match migrated {
        Ok(migrated) => migrated,
        Err(error) => return MigrationResult::error(&error),
    };
    let done = sessions.saturating_sub(failures);
    let (status, message) = match failed.first() {
        Some(first) => {
            let (session, error) = (&first.session, &first.error);
            let status = if done > 0 { "partial" } else { "error" };
            (status, format!("{failures} of {sessions} sessions failed, the first of them {session:?}: {error}"))
        }
        None if !caught_up => ("partial", "others write to the source as fast as it is read: do it again".to_owned()),
        None => ("success", format!("all sessions are in the target; {applied} records were not there before")),
    };
    MigrationResult {
        sessions_migrated: Some(done),
        messages_migrated: Some(messages),
        ..MigrationResult { status, ..MigrationResult::success(message) }
    }
}
