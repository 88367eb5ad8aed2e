//! What PostgreSQL's failures mean to a caller.

use craftx_core::{Deadline, Error, ErrorKind};
use tokio_postgres::error::{DbError, SqlState};

/// What can go wrong with a statement, by what helps.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection is of no more use. Whether what was sent has happened is not known.
    Lost(Error),
    /// The server does not take writes: another one does, or will.
    NotPrimary(Error),
    /// The server undid the transaction because of others that ran at the same time.
    Again(Error),
    /// Anything else: nothing has happened, and trying again does not help.
    Refused(Error),
}

pub(crate) type Sql<T> = Result<T, Fault>;

impl Fault {
    /// The error, for whoever knows what had been sent.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Lost(error) | Self::NotPrimary(error) | Self::Again(error) | Self::Refused(error) => error,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.into_error()
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            return if error.is_closed() || is_io(&error) {
                Self::Lost(Error::new(ErrorKind::Unavailable, "the connection to the server is lost"))
            } else {
                // Not from the server: a value that is not what this schema says.
                Self::Refused(corrupted("the database holds a value of another type"))
            };
        };
        Self::from(told)
    }
}

impl From<&DbError> for Fault {
    fn from(told: &DbError) -> Self {
        let error = server(told);
        match class(told.code()) {
            Class::Gone => Self::Lost(error),
            Class::ReadOnly => Self::NotPrimary(error),
            Class::Undone => Self::Again(error),
            _ => Self::Refused(error),
        }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
}

/// What a code of the server means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The server or the session ends.
    Gone,
    ReadOnly,
    /// The transaction was undone because of others.
    Undone,
    Full,
    Crowded,
    Cancelled,
    Locked,
    Denied,
    Missing,
    Broken,
    Medium,
    TooLarge,
    Memory,
    Other,
}

fn class(code: &SqlState) -> Class {
    match code {
        &SqlState::ADMIN_SHUTDOWN
        | &SqlState::CRASH_SHUTDOWN
        | &SqlState::CANNOT_CONNECT_NOW
        | &SqlState::DATABASE_DROPPED
        | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Class::Gone,
        &SqlState::READ_ONLY_SQL_TRANSACTION => Class::ReadOnly,
        &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => Class::Undone,
        &SqlState::DISK_FULL => Class::Full,
        &SqlState::TOO_MANY_CONNECTIONS | &SqlState::CONFIGURATION_LIMIT_EXCEEDED => Class::Crowded,
        &SqlState::QUERY_CANCELED => Class::Cancelled,
        &SqlState::LOCK_NOT_AVAILABLE | &SqlState::OBJECT_IN_USE => Class::Locked,
        &SqlState::INSUFFICIENT_PRIVILEGE => Class::Denied,
        &SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME | &SqlState::UNDEFINED_COLUMN => Class::Missing,
        &SqlState::OUT_OF_MEMORY => Class::Memory,
        &SqlState::IO_ERROR => Class::Medium,
        // The class of a code are its first two characters.
        other => match other.code().get(..2) {
            Some("08") => Class::Gone,
            Some("23" | "XX") => Class::Broken,
            Some("28") => Class::Denied,
            Some("54") => Class::TooLarge,
            _ => Class::Other,
        },
    }
}

/// The error of craftx for one that the server told. The server's own words may quote what was being stored, so only its
/// code goes on.
fn server(told: &DbError) -> Error {
    let code = told.code();
    let (kind, message) = match class(code) {
        Class::Gone => (ErrorKind::Unavailable, "the server ends the session"),
        Class::ReadOnly => (ErrorKind::Unavailable, "the server takes no writes"),
        Class::Undone => (ErrorKind::Locked, "the server undid the transaction because of others at the same time"),
        Class::Full => (ErrorKind::StorageFull, "no space is left on the server"),
        Class::Crowded => (ErrorKind::RateLimited, "the server has too many connections"),
        Class::Cancelled => (ErrorKind::Timeout, "the server cancelled the statement"),
        Class::Locked => (ErrorKind::Locked, "another session holds what the call needs"),
        Class::Denied if code.code().starts_with("28") => {
            (ErrorKind::PermissionDenied, "the server refuses the user or the password")
        }
        Class::Denied => (ErrorKind::PermissionDenied, "the user of the database may not do this"),
        Class::Missing => (ErrorKind::Unavailable, "the tables of the store are gone"),
        Class::Broken => (ErrorKind::Corrupted, "the database contradicts itself"),
        Class::Medium => (ErrorKind::Unavailable, "the medium of the server fails"),
        Class::TooLarge => (ErrorKind::InvalidInput, "this is too large for the server"),
        Class::Memory => (ErrorKind::Unavailable, "the server has no memory left"),
        Class::Other if *code == SqlState::INVALID_CATALOG_NAME => {
            (ErrorKind::ConfigInvalid, "there is no such database on the server")
        }
        Class::Other => (ErrorKind::Unexpected, "the server failed in a way that nobody foresaw"),
    };
    let error = Error::new(kind, message).with("sqlstate", code.code());
    match told.routine() {
        Some(routine) if kind == ErrorKind::Unexpected => error.with("routine", routine),
        _ => error,
    }
}

/// Stored bytes that are not what this crate wrote.
pub(crate) fn corrupted(message: &'static str) -> Error {
    Error::new(ErrorKind::Corrupted, message)
}

/// The error of a call on a store that is not open.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed, or was never prepared")
}

/// The fault of a statement whose answer was not waited for any longer.
pub(crate) fn late() -> Fault {
    Fault::Lost(Deadline::error())
}
