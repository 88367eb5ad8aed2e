//! Writing to stdout and stderr.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::SystemTime;

use craftx::Time;

use crate::exit::Failure;

/// Standard output, buffered. A closed pipe ends the command without an error.
pub(crate) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(Failure::stdout)
    }

    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::stdout)
    }
}

/// Tells something on stderr. Nobody can be told if that fails.
pub(crate) fn say(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Tells an error on stderr.
pub(crate) fn complain(what: impl fmt::Display) {
    say(format_args!("error: {what}"));
}

/// A time in UTC, to the second.
pub(crate) fn time(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let whole = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    Time::try_from(whole).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

/// Text for a terminal: control characters other than line breaks and tabs are shown, not obeyed.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && char != '\n' && char != '\t' {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}
