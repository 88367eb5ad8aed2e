//! Writing to stdout and stderr.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use craftx::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};

/// The version of every JSON object that a command prints. It grows when a member changes its meaning or goes away.
pub(crate) const VERSION: u32 = 1;

static JSON: OnceLock<()> = OnceLock::new();

/// From now on stderr speaks JSON too.
pub(crate) fn speak_json() {
    JSON.get_or_init(|| ());
}

/// Standard output, buffered. A closed pipe ends the command without an error.
pub(crate) struct Out {
    stream: BufWriter<StdoutLock<'static>>,
    colored: bool,
}

impl Out {
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        // On a terminal, and unless `NO_COLOR` is set.
        let colored = AutoStream::choice(&stdout) != ColorChoice::Never;
        Self { stream: BufWriter::new(stdout.lock()), colored }
    }

    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.stream, "{line}").map_err(Failure::stdout)
    }

    /// Writes something as it is.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).map_err(Failure::stdout)
    }

    /// Prints a JSON object on a line of its own, with the version of its shape.
    pub(crate) fn object(&mut self, object: Value) -> Result<(), Failure> {
        self.line(versioned(object))
    }

    /// A text in a style, where stdout shows styles.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        if self.colored { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.stream.flush().map_err(Failure::stdout)
    }
}

fn versioned(object: Value) -> Value {
    let mut all = Map::from_iter([("v".to_owned(), Value::from(VERSION))]);
    match object {
        Value::Object(members) => all.extend(members),
        other => drop(all.insert("value".to_owned(), other)),
    }
    Value::Object(all)
}

/// Tells a JSON object on stderr. Nobody can be told if that fails.
pub(crate) fn tell(object: Value) {
    let _ = writeln!(io::stderr(), "{}", versioned(object));
}

/// Tells something on stderr.
pub(crate) fn say(what: impl fmt::Display) {
    match JSON.get() {
        Some(()) => tell(json!({"type": "note", "message": what.to_string()})),
        None => drop(writeln!(io::stderr(), "{what}")),
    }
}

/// Tells an error on stderr. `kind` is that of the error, for programs.
pub(crate) fn complain(kind: &str, exit: Exit, what: impl fmt::Display) {
    match JSON.get() {
        Some(()) => {
            tell(json!({"type": "error", "kind": kind, "exit": exit as u8, "message": what.to_string()}));
        }
        None => drop(writeln!(io::stderr(), "error: {what}")),
    }
}

/// Tells an error of the store on stderr, and what it would exit with.
pub(crate) fn complain_of(error: &craftx::Error) -> Exit {
    let exit = Exit::from(error);
    complain(error.kind().as_str(), exit, error);
    exit
}

/// A time in UTC, to the second, for programs.
pub(crate) fn time(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let whole = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    Time::try_from(whole).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

/// A time on the clock of this machine's zone (or `TZ`), to the second, for people.
pub(crate) fn local_time(at: SystemTime) -> String {
    match Timestamp::try_from(at) {
        Ok(timestamp) => Zoned::new(timestamp, TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "-".to_owned(),
    }
}

/// Text for a terminal: characters that would steer it, or turn the direction of what follows, are shown and not
/// obeyed. Line breaks and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        let steers = char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers && char != '\n' && char != '\t' {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// What somebody typed, in an error.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", one_line(text))
}

/// Text for one line of a terminal.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}
