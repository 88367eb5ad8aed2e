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
    Usage = 2,
    NotFound = 3,
    Denied = 4,
    Retryable = 5,
    Differences = 6,
    Partial = 7,
    Key = 8,
    Schema = 10,
    Locked = 11,
    Interrupted = 130,
}

/// The one table of exit codes: the help prints it, and `docs/cli.md` is compared with it.
pub(crate) const TABLE: [(Exit, &str); 12] = [
    (Exit::Ok, "done"),
    (Exit::Other, "failed for another reason than those below, such as damaged data"),
    (Exit::Usage, "wrong words on the command line, wrong configuration, wrong input, or not supported"),
    (Exit::NotFound, "the store, session, message or file does not exist"),
    (Exit::Denied, "the caller may not do this, or the user may not read or write the file"),
    (Exit::Retryable, "busy, out of reach or too slow: the same command may succeed later"),
    (Exit::Differences, "a check ran to its end and found what is not as it should be"),
    (Exit::Partial, "some items failed, the others were done"),
    (Exit::Key, "a key is missing or wrong, or what is encrypted was changed"),
    (Exit::Schema, "the store must be migrated first, or a newer release wrote it"),
    (Exit::Locked, "another process holds the store"),
    (Exit::Interrupted, "interrupted (Ctrl-C)"),
];

/// The table for the long help and the manual.
pub(crate) fn help() -> String {
    let lines = TABLE.map(|(exit, meaning)| format!("  {:>3}  {meaning}", exit as u8));
    format!("Exit codes:\n{}", lines.join("\n"))
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
            ErrorKind::KeyUnavailable | ErrorKind::Tampered | ErrorKind::NotEncrypted => Self::Key,
            ErrorKind::SchemaTooNew | ErrorKind::SchemaTooOld => Self::Schema,
            _ => Self::Other,
        }
    }
}

impl From<&io::Error> for Exit {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied,
            // Wrong input: no text, or not a file.
            io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Self::Usage,
            _ => Self::Other,
        }
    }
}

/// Of several items: what the exit code says if some of them failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    done: u64,
    failed: u64,
    first: Option<Exit>,
}

impl Tally {
    pub(crate) fn done(&mut self, items: u64) {
        self.done += items;
    }

    pub(crate) fn fail(&mut self, exit: Exit) {
        self.failed += 1;
        self.first.get_or_insert(exit);
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Never `Ok` after a failure.
    pub(crate) fn exit(&self) -> Exit {
        match self.first {
            None => Exit::Ok,
            Some(_) if self.done > 0 => Exit::Partial,
            Some(failure) => failure,
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
    /// Somebody pressed Ctrl-C.
    Interrupted,
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

    /// What to exit with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Store(error) => error.into(),
            Self::File(_, error) => error.into(),
            Self::BrokenPipe => Exit::Ok,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// Tells it on stderr and says what to exit with.
    pub(crate) fn report(self) -> Exit {
        match &self {
            Self::Store(error) => output::complain(error.kind().as_str(), self.exit(), error),
            Self::File(name, error) => output::complain("file", self.exit(), format_args!("{name}: {error}")),
            Self::Interrupted => output::complain("interrupted", self.exit(), "interrupted"),
            Self::BrokenPipe => {}
        }
        self.exit()
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_the_code_of_the_table() {
        for (kind, exit) in [
            (ErrorKind::NotFound, 3),
            (ErrorKind::Conflict, 1),
            (ErrorKind::InvalidInput, 2),
            (ErrorKind::ConfigInvalid, 2),
            (ErrorKind::Unsupported, 2),
            (ErrorKind::PermissionDenied, 4),
            (ErrorKind::Unauthenticated, 4),
            (ErrorKind::RateLimited, 5),
            (ErrorKind::Locked, 11),
            (ErrorKind::Unavailable, 5),
            (ErrorKind::Timeout, 5),
            (ErrorKind::StorageFull, 1),
            (ErrorKind::Corrupted, 1),
            (ErrorKind::KeyUnavailable, 8),
            (ErrorKind::Tampered, 8),
            (ErrorKind::NotEncrypted, 8),
            (ErrorKind::SchemaTooNew, 10),
            (ErrorKind::SchemaTooOld, 10),
            (ErrorKind::Closed, 1),
            (ErrorKind::Unexpected, 1),
        ] {
            assert_eq!(Exit::from(&Error::new(kind, "x")) as u8, exit, "{kind:?}");
        }
    }

    #[test]
    fn files_that_cannot_be_used_have_the_code_of_their_reason() {
        for (kind, exit) in [
            (io::ErrorKind::NotFound, 3),
            (io::ErrorKind::PermissionDenied, 4),
            (io::ErrorKind::ReadOnlyFilesystem, 4),
            (io::ErrorKind::InvalidData, 2),
            (io::ErrorKind::IsADirectory, 2),
            (io::ErrorKind::StorageFull, 1),
        ] {
            assert_eq!(Failure::file("x", kind.into()).exit() as u8, exit, "{kind:?}");
        }
    }

    #[test]
    fn a_failure_among_others_is_never_ok() {
        let mut tally = Tally::default();
        assert_eq!(tally.exit(), Exit::Ok);
        tally.fail(Exit::NotFound);
        assert_eq!(tally.exit(), Exit::NotFound);
        tally.done(1);
        assert_eq!(tally.exit(), Exit::Partial);
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap();
        let section = docs.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows: Vec<Vec<&str>> = section
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| code"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let table: Vec<Vec<String>> =
            TABLE.iter().map(|(exit, meaning)| vec![(*exit as u8).to_string(), (*meaning).to_owned()]).collect();
        assert_eq!(rows, table);
    }
}
