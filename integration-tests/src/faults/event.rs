//! What several processes do to one store, as lines of a file.

use std::fmt;
use std::str::FromStr;

use craftx_core::Stamp;

/// One call, and when it began and ended by a clock that all processes share, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Before the call.
    pub began: u128,
    /// After the answer.
    pub ended: u128,
    /// The session.
    pub session: String,
    /// What it did or saw.
    pub call: Call,
}

/// What a call did or saw. Messages have numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Appended a message, whatever else was there.
    Appended(u64),
    /// Deleted a message that it knew to be there.
    Deleted(u64),
    /// Saw all messages.
    Read(Vec<u64>),
    /// Made a version where it expected another.
    Moved(Option<Stamp>, Stamp),
    /// Saw a version.
    Saw(Option<Stamp>),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<Stamp>| version.map_or_else(|| "none".to_owned(), |stamp| stamp.to_string());
        write!(f, "{} {} {} ", self.began, self.ended, self.session)?;
        match &self.call {
            Call::Appended(message) => write!(f, "appended {message}"),
            Call::Deleted(message) => write!(f, "deleted {message}"),
            Call::Read(messages) => {
                write!(f, "read")?;
                messages.iter().try_for_each(|message| write!(f, " {message}"))
            }
            Call::Moved(from, to) => write!(f, "moved {} {to}", version(from)),
            Call::Saw(seen) => write!(f, "saw {}", version(seen)),
        }
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("this is no event: `{line}`");
        let words: Vec<&str> = line.split(' ').collect();
        let [began, ended, session, call @ ..] = words.as_slice() else { return Err(unknown()) };
        let number = |word: &str| word.parse::<u64>().map_err(|_| unknown());
        let version = |word: &str| match word {
            "none" => Ok(None),
            stamp => stamp.parse::<Stamp>().map(Some).map_err(|_| unknown()),
        };
        let call = match call {
            ["appended", message] => Call::Appended(number(message)?),
            ["deleted", message] => Call::Deleted(number(message)?),
            ["read", messages @ ..] => Call::Read(messages.iter().map(|word| number(word)).collect::<Result<_, _>>()?),
            ["moved", from, to] => Call::Moved(version(from)?, version(to)?.ok_or_else(unknown)?),
            ["saw", seen] => Call::Saw(version(seen)?),
            _ => return Err(unknown()),
        };
        let time = |word: &str| word.parse::<u128>().map_err(|_| unknown());
        Ok(Self { began: time(began)?, ended: time(ended)?, session: (*session).to_owned(), call })
    }
}
