//! Where the file lies, and whether it still lies there.

use std::path::{Path, PathBuf};

use craftx_core::{Error, ErrorKind};

/// The file that is open. SQLite goes on with it when it is moved, deleted or replaced, and what is written then is seen by
/// nobody who opens the path: so it is looked at before anything is read or written, and before anything is acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    file: Option<File>,
}

/// What tells one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File {
    device: u64,
    number: u64,
}

impl Place {
    /// The file that lies at `path` now.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: file(path) }
    }

    pub(crate) fn has_moved(&self) -> bool {
        file(&self.path) != self.file
    }
}

/// Asking for the times of the database makes no sync slower, unlike those of the log: commits go to the log.
#[cfg(unix)]
fn file(path: &Path) -> Option<File> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some(File { device: found.dev(), number: found.ino() })
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
fn file(_: &Path) -> Option<File> {
    None
}

pub(crate) fn moved() -> Error {
    Error::new(ErrorKind::Unavailable, MOVED)
}

/// What SQLite's own code for it is told as, too.
pub(crate) const MOVED: &str = "the database file was moved, deleted or replaced";
