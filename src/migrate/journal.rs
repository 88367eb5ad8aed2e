//! How far each session is, in a file that survives the process.
//!
//! The first line names both stores; each other line says that the target has acknowledged everything of a session up to a
//! cursor. A line that is lost costs some reading: records that are written again are known. So lines are not synced, and a
//! last line that is torn is cut off.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use craftx_core::{Cursor, Error, ErrorKind, Result, SessionId, Tenant};
use serde::{Deserialize, Serialize};

use super::walk::Place;

/// The version of the lines.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    v: u32,
    craftx: Kind,
    from: Place,
    to: Place,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Migration,
}

/// Every other line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reached {
    tenant: Tenant,
    session: SessionId,
    cursor: Cursor,
}

/// How far each session is.
#[derive(Debug)]
pub(super) struct Journal {
    file: Option<(PathBuf, File)>,
    reached: HashMap<(Tenant, SessionId), Cursor>,
    resumed: bool,
}

impl Journal {
    /// Whether there is a journal of these stores.
    ///
    /// # Errors
    /// As [`Journal::open`], but that it is in use.
    pub(super) fn resumes(path: &Path, from: &Place, to: &Place) -> Result<bool> {
        let Some(file) = existing(path, OpenOptions::new().read(true))? else { return Ok(false) };
        read_head(path, &mut BufReader::new(file), from, to).map(|_| true)
    }

    /// Goes on with a journal; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is the journal of other stores or no journal, [`ErrorKind::Locked`] if another
    /// process uses it.
    pub(super) fn open(path: &Path, from: &Place, to: &Place) -> Result<Option<Self>> {
        let Some(file) = existing(path, OpenOptions::new().read(true).append(true))? else { return Ok(None) };
        lock(path, &file)?;
        let mut reader = BufReader::new(&file);
        let mut good = read_head(path, &mut reader, from, to)?;
        let mut reached = HashMap::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|error| failed("cannot read", path, error))?;
            match serde_json::from_slice::<Reached>(&line) {
                Ok(Reached { tenant, session, cursor }) if line.ends_with(b"\n") => {
                    reached.insert((tenant, session), cursor);
                    good += read as u64;
                }
                _ => break,
            }
        }
        // Whatever stands behind a line that is torn was never synced either. What it said is read again.
        drop(reader);
        file.set_len(good).map_err(|error| failed("cannot write", path, error))?;
        Ok(Some(Self { file: Some((path.to_owned(), file)), reached, resumed: true }))
    }

    /// A new journal: in this file, or in memory alone.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn create(path: Option<&Path>, from: &Place, to: &Place) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self { file: None, reached: HashMap::new(), resumed: false });
        };
        let head = Head { v: VERSION, craftx: Kind::Migration, from: from.clone(), to: to.clone() };
        let head = format!("{}\n", serde_json::to_string(&head).unwrap_or_default());
        // It gets its name when its first line is complete: a file without one is somebody else's.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let io = |error| failed("cannot write", path, error);
        let mut file = OpenOptions::new().append(true).create(true).open(&temporary).map_err(io)?;
        lock(path, &file)?;
        file.set_len(0).map_err(io)?;
        file.write_all(head.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&temporary, path).map_err(io)?;
        Ok(Self { file: Some((path.to_owned(), file)), reached: HashMap::new(), resumed: false })
    }

    /// Whether an earlier run began it.
    pub(super) fn resumed(&self) -> bool {
        self.resumed
    }

    pub(super) fn cursor(&self, tenant: &Tenant, session: &SessionId) -> Option<Cursor> {
        self.reached.get(&(tenant.clone(), session.clone())).cloned()
    }

    /// Notes that the target has acknowledged everything up to `cursor`.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn reach(&mut self, tenant: &Tenant, session: &SessionId, cursor: Cursor) -> Result<()> {
        let place = (tenant.clone(), session.clone());
        if self.reached.get(&place) == Some(&cursor) {
            return Ok(());
        }
        if let Some((path, file)) = &mut self.file {
            let line = Reached { tenant: tenant.clone(), session: session.clone(), cursor: cursor.clone() };
            let line = format!("{}\n", serde_json::to_string(&line).unwrap_or_default());
            file.write_all(line.as_bytes()).map_err(|error| failed("cannot write", path, error))?;
        }
        self.reached.insert(place, cursor);
        Ok(())
    }
}

fn existing(path: &Path, options: &OpenOptions) -> Result<Option<File>> {
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("cannot open", path, error)),
    }
}

fn lock(path: &Path, file: &File) -> Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => of("another migration uses this journal", path, ErrorKind::Locked),
        TryLockError::Error(error) => failed("cannot lock", path, error),
    })
}

/// Reads the first line, which must name these stores. Returns its length.
fn read_head(path: &Path, reader: &mut impl BufRead, from: &Place, to: &Place) -> Result<u64> {
    let mut line = Vec::new();
    let read = reader.read_until(b'\n', &mut line).map_err(|error| failed("cannot read", path, error))?;
    let head: Head = serde_json::from_slice(&line)
        .map_err(|_| of("this file is no journal of a migration", path, ErrorKind::InvalidInput))?;
    if head.v != VERSION {
        return Err(of("a newer release wrote this journal", path, ErrorKind::SchemaTooNew));
    }
    if !(head.from.is(from) && head.to.is(to)) {
        let error = of("this is the journal of other stores", path, ErrorKind::InvalidInput);
        return Err(error.with("of", format_args!("`{}` to `{}`", head.from.name, head.to.name)));
    }
    Ok(read as u64)
}

fn of(what: &'static str, path: &Path, kind: ErrorKind) -> Error {
    Error::new(kind, what).with("field", "journal").with("file", format_args!("`{}`", path.display()))
}

fn failed(what: &'static str, path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::IsADirectory | std::io::ErrorKind::NotADirectory => ErrorKind::InvalidInput,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    };
    of(what, path, kind).with("reason", &error).because(error)
}
