//! What goes wrong with files, as errors of craftx.

use std::io;
use std::path::Path;

use craftx_core::{Error, ErrorKind, Retry};

/// An error of the operating system. `doing` says what was tried, such as `cannot read a session file`.
pub(crate) fn io_error(doing: &'static str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::StorageFull
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        // The path leads through a file, or to one where a folder should be: no retry helps.
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidFilename => {
            ErrorKind::ConfigInvalid
        }
        // The folder itself is gone, the disk fails, too many files are open: opening again later may help.
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, doing).with("file", shown(path)).with("reason", &error).because(error)
}

/// Stored bytes that are not what was written. Lines are counted from 1; the header is line 1.
pub(crate) fn corrupted(path: &Path, line: Option<u64>, why: &'static str) -> Error {
    let error = Error::new(ErrorKind::Corrupted, why).with("file", shown(path));
    match line {
        Some(line) => error.with("line", line),
        None => error,
    }
}

/// What every write says after a sync has failed: what the operating system still holds of the data is unknown.
pub(crate) fn poisoned() -> Error {
    Error::new(ErrorKind::Unavailable, "a sync failed: open the store again before writing").retry_is(Retry::Never)
}

/// A path in errors: as it is, where it is UTF-8.
pub(crate) fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_quota_and_a_size_limit_are_all_storage_full() {
        // ENOSPC, EDQUOT and EFBIG of Linux.
        #[cfg(target_os = "linux")]
        for code in [28, 122, 27] {
            let error = io_error("cannot write", Path::new("a"), io::Error::from_raw_os_error(code));
            assert_eq!((error.kind(), error.retry()), (ErrorKind::StorageFull, Retry::Later), "{code}");
        }
        let error = io_error("cannot write", Path::new("a"), io::ErrorKind::ReadOnlyFilesystem.into());
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}
