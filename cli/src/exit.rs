//! Exit codes, and how failures are told.

use std::io;
use std::process::ExitCode;

use craftx::{Error, ErrorKind};

use crate::output;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Other = 1,
    /// Wrong words on the command line, wrong configuration, wrong input.
    Usage = 2,
    NotFound = 3,
    Denied = 4,
    /// Busy or timed out: the same command may succeed later.
    Retryable = 5,
    /// Some items failed, the others were done.
    Partial = 7,
    /// A key is missing or wrong.
    Key = 8,
    /// The store is of another release.
    Schema = 10,
    /// Another process holds the store.
    Locked = 11,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::InvalidInput | ErrorKind::ConfigInvalid | ErrorKind::Unsupported => Self::Usage,
            ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => Self::Denied,
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Timeout => Self::Retryable,
            ErrorKind::Locked => Self::Locked,
            ErrorKind::KeyUnavailable => Self::Key,
            ErrorKind::SchemaTooNew | ErrorKind::SchemaTooOld => Self::Schema,
            _ => Self::Other,
        }
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store said so.
    Store(Error),
    /// A file or a stream said so.
    File(String, io::Error),
    /// Whoever reads our output has gone away, which is no error.
    BrokenPipe,
}

impl Failure {
    /// A failure of the file or stream `name`.
    pub(crate) fn file(name: impl Into<String>, error: io::Error) -> Self {
        Self::File(name.into(), error)
    }

    /// A failure of standard output.
    pub(crate) fn stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::File("standard output".to_owned(), error),
        }
    }

    /// Tells it on stderr and says what to exit with.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Store(error) => {
                output::complain(format_args!("{error}"));
                Exit::from(&error).into()
            }
            Self::File(name, error) => {
                output::complain(format_args!("{name}: {error}"));
                match error.kind() {
                    io::ErrorKind::NotFound => Exit::NotFound.into(),
                    _ => Exit::Other.into(),
                }
            }
            Self::BrokenPipe => Exit::Ok.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// What clap says of the words on the command line: help goes to stdout and is no error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let help = !error.use_stderr();
    match error.print() {
        Ok(()) if help => Exit::Ok.into(),
        Err(failure) if help && failure.kind() == io::ErrorKind::BrokenPipe => Exit::Ok.into(),
        _ => Exit::Usage.into(),
    }
}
