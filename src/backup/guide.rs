//! The backups of the *CraftX.py Storage System Guide*, by the names that it gives them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use craftx_core::{Caller, DynBackend, Error, ErrorKind, Prepare, Result, Stack, Time};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};

use super::{Archive, Backup, Restore, verify};
use crate::Storage;
use crate::migrate::MigrationResult;

/// Backs up a folder of JSON files or a SQLite file into an archive beside it, whose name has the time.
///
/// The result has `backup_path`, and as `files_backed_up` the sessions of a folder, or one SQLite file.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use craftx::backup::{backup_current_storage, restore_from_backup};
/// use craftx::{NewMessage, Storage};
/// let folder = tempfile::tempdir().unwrap();
/// let (chats, copy) = (folder.path().join("chat_logs"), folder.path().join("copy"));
/// let storage = Storage::open(&format!("json:{}", chats.display())).await?;
/// storage.append("s", NewMessage::user("hello")).await?;
/// let made = backup_current_storage(&chats).await;
/// assert_eq!((made.status, made.files_backed_up), ("success", Some(1)));
/// let restored = restore_from_backup(made.backup_path.unwrap_or_default(), &copy).await;
/// assert_eq!((restored.status, restored.files_restored), ("success", Some(1)));
/// # Ok::<(), craftx::Error>(())
/// # }).unwrap();
/// ```
///
/// # Cancel safety
/// May be dropped at any time: no archive appears.
pub async fn backup_current_storage(source_path: impl AsRef<Path>) -> MigrationResult {
    back_up(source_path.as_ref()).await.unwrap_or_else(|error| MigrationResult::error(&error))
}

/// Restores such an archive into a folder or a SQLite file that is not there yet, or empty: of what it was made, unless
/// there is the other one already.
///
/// The result has `files_restored`, counted as `files_backed_up`.
///
/// # Cancel safety
/// May be dropped at any time. What was restored is there, and a second call refuses to add to it.
pub async fn restore_from_backup(backup_path: impl AsRef<Path>, restore_path: impl AsRef<Path>) -> MigrationResult {
    let restored = restore(backup_path.as_ref(), restore_path.as_ref()).await;
    restored.unwrap_or_else(|error| MigrationResult::error(&error))
}

async fn back_up(source: &Path) -> Result<MigrationResult> {
    let folder = source.is_dir();
    let storage = open(source, folder, Prepare::Open).await?;
    let path = beside(source, &Time::try_from(storage.context().clock.wall())?);
    let made = Backup::of(&storage).write_to(&Archive::file(&path)).await;
    let closed = storage.close().await;
    let made = made?;
    closed?;
    let (status, message) = match made.failed.first() {
        None => ("success", "everything is in the archive".to_owned()),
        Some(first) => {
            ("partial", format!("{} sessions failed, the first of them {:?}", made.counts.failed, first.session))
        }
    };
    Ok(MigrationResult {
        status,
        backup_path: Some(path),
        files_backed_up: Some(if folder { made.counts.sessions } else { 1 }),
        ..MigrationResult::success(message)
    })
}

async fn restore(archive: &Path, target: &Path) -> Result<MigrationResult> {
    let archive = Archive::file(archive);
    let checked = verify(&archive).await?;
    let folder = match target.exists() {
        true => target.is_dir(),
        false => checked.about.scheme == "json",
    };
    let storage = open(target, folder, Prepare::Migrate).await?;
    let restored = Restore::of(&archive).into_storage(&storage).await;
    let closed = storage.close().await;
    let restored = restored?;
    closed?;
    if let Some(problem) = restored.verified.problems.first() {
        let what = "what was restored is not as it should be";
        return Err(Error::new(ErrorKind::Corrupted, what).with("place", &problem.place).with("what", &problem.what));
    }
    let (status, message) = match checked.counts.failed {
        0 => ("success", "everything of the archive is there".to_owned()),
        failed => ("partial", format!("{failed} sessions could not be read when the backup was made")),
    };
    Ok(MigrationResult {
        status,
        files_restored: Some(if folder { checked.counts.sessions } else { 1 }),
        ..MigrationResult::success(message)
    })
}

async fn open(path: &Path, folder: bool, mode: Prepare) -> Result<Storage> {
    let (scheme, backend): (_, DynBackend) = match folder {
        true => ("json", Arc::new(Json::new(&JsonConfig::new(path))?)),
        false => ("sqlite", Arc::new(Sqlite::new(SqliteConfig::new(path))?)),
    };
    let storage = Storage::new(Stack::builder(scheme, backend).build()?).for_caller(Caller::System);
    storage.prepare(mode).await?;
    Ok(storage)
}

/// `chat_logs` becomes `chat_logs_backup_20261130T031500.153877717Z.craftx`.
fn beside(source: &Path, time: &Time) -> PathBuf {
    let time: String = time.to_string().chars().filter(|char| !matches!(char, '-' | ':')).collect();
    let mut name = source.file_name().unwrap_or("craftx".as_ref()).to_owned();
    name.push(format!("_backup_{time}.craftx"));
    source.with_file_name(name)
}
