//! What SQLite's failures mean to a caller.

use craftx_core::{Error, ErrorKind};
use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::place::MOVED;

/// What can go wrong inside of a transaction: SQLite fails, or the union refuses.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Refused(Error),
}

pub(crate) type Sql<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sqlite(error) => storage(error),
            Fault::Refused(error) => error,
        }
    }
}

impl Fault {
    /// Whether another connection holds a lock that this one needs: waiting helps.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error) if is_busy(error))
    }
}

/// As [`Fault::is_busy`].
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether a sync failed: from then on nobody knows which pages are on the disk, so nothing may be acknowledged.
pub(crate) fn is_failed_sync(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| matches!(error.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
}

/// The error of craftx for one of SQLite. Neither text contains values, only names of the schema.
pub(crate) fn storage(error: rusqlite::Error) -> Error {
    let Some(found) = error.sqlite_error().copied() else {
        // Not from SQLite itself: a column that does not hold what this schema says.
        return corrupted("the database holds a value of another type").because(error);
    };
    let (kind, message) = match (found.code, found.extended_code) {
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => {
            (ErrorKind::Locked, "another connection holds the database")
        }
        (ErrorCode::DiskFull, _) => (ErrorKind::StorageFull, "no space is left for the database"),
        (ErrorCode::DatabaseCorrupt, _)
        | (_, ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA | ffi::SQLITE_IOERR_SHORT_READ) => {
            (ErrorKind::Corrupted, "the database file is damaged")
        }
        (ErrorCode::NotADatabase, _) => (ErrorKind::Corrupted, "the file is no SQLite database"),
        (ErrorCode::ConstraintViolation, _) => (ErrorKind::Corrupted, "the database contradicts itself"),
        (ErrorCode::OperationInterrupted, _) => (ErrorKind::Timeout, "the deadline has passed"),
        (ErrorCode::CannotOpen, _) => (ErrorKind::Unavailable, "the database file cannot be opened"),
        (_, ffi::SQLITE_READONLY_DBMOVED) => (ErrorKind::Unavailable, MOVED),
        (ErrorCode::PermissionDenied | ErrorCode::ReadOnly, _) => {
            (ErrorKind::PermissionDenied, "the database file may not be written")
        }
        (ErrorCode::SystemIoFailure, _) => (ErrorKind::Unavailable, "the medium of the database fails"),
        (ErrorCode::OutOfMemory, _) => (ErrorKind::Unavailable, "SQLite has no memory left"),
        (ErrorCode::TooBig, _) => (ErrorKind::InvalidInput, "a record is too large for SQLite"),
        _ => (ErrorKind::Unexpected, "SQLite failed in a way that nobody foresaw"),
    };
    Error::new(kind, message).with("sqlite_code", found.extended_code).because(error)
}

/// The error of a call on a store that is not open.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed, or was never prepared")
}

/// Stored bytes that are not what this crate wrote.
pub(crate) fn corrupted(message: &'static str) -> Error {
    Error::new(ErrorKind::Corrupted, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::Retry;

    #[test]
    fn codes_of_sqlite_have_the_kinds_that_programs_act_on() {
        for (code, kind, retry) in [
            (ffi::SQLITE_BUSY, ErrorKind::Locked, Retry::Later),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Locked, Retry::Later),
            (ffi::SQLITE_LOCKED, ErrorKind::Locked, Retry::Later),
            (ffi::SQLITE_FULL, ErrorKind::StorageFull, Retry::Later),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupted, Retry::Never),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupted, Retry::Never),
            (ffi::SQLITE_IOERR_FSYNC, ErrorKind::Unavailable, Retry::Later),
            (ffi::SQLITE_IOERR_CORRUPTFS, ErrorKind::Corrupted, Retry::Never),
            (ffi::SQLITE_READONLY, ErrorKind::PermissionDenied, Retry::Never),
            (ffi::SQLITE_READONLY_DBMOVED, ErrorKind::Unavailable, Retry::Later),
            (ffi::SQLITE_INTERRUPT, ErrorKind::Timeout, Retry::Later),
            (ffi::SQLITE_TOOBIG, ErrorKind::InvalidInput, Retry::Never),
            (ffi::SQLITE_MISUSE, ErrorKind::Unexpected, Retry::Never),
        ] {
            let error = storage(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
        }
    }
}
