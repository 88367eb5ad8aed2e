//! What a worker tells on its standard output, a line each.

use std::fmt;
use std::str::FromStr;

use craftx_core::{Error, Outcome};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The store is open.
    Open,
    /// The batch is about to be written.
    Trying(u64),
    /// The write of the batch was acknowledged.
    Acknowledged(u64),
    /// The write of the batch failed.
    Failed {
        /// Its number.
        batch: u64,
        /// Whether it may have been applied all the same.
        maybe_applied: bool,
        /// The kind of error.
        kind: String,
    },
    /// Another call failed: which, with which kind of error.
    Else(String, String),
    /// A number that the test asked for, by name.
    Count(String, u64),
    /// Everything was done, whether it failed or not.
    End,
}

impl Told {
    /// What became of a write.
    pub fn answer(batch: u64, error: Option<&Error>) -> Self {
        match error {
            None => Self::Acknowledged(batch),
            Some(error) => Self::Failed {
                batch,
                maybe_applied: error.outcome() == Outcome::Unknown,
                kind: error.kind().as_str().to_owned(),
            },
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Trying(batch) => write!(f, "trying {batch}"),
            Self::Acknowledged(batch) => write!(f, "acknowledged {batch}"),
            Self::Failed { batch, maybe_applied: true, kind } => write!(f, "doubtful {batch} {kind}"),
            Self::Failed { batch, maybe_applied: false, kind } => write!(f, "refused {batch} {kind}"),
            Self::Else(call, kind) => write!(f, "else {call} {kind}"),
            Self::Count(name, count) => write!(f, "count {name} {count}"),
            Self::End => f.write_str("end"),
        }
    }
}

impl FromStr for Told {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("a worker does not say `{line}`");
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().map_err(|_| unknown());
        Ok(match words.as_slice() {
            ["open"] => Self::Open,
            ["trying", batch] => Self::Trying(number(batch)?),
            ["acknowledged", batch] => Self::Acknowledged(number(batch)?),
            [word @ ("doubtful" | "refused"), batch, kind] => {
                Self::Failed { batch: number(batch)?, maybe_applied: *word == "doubtful", kind: (*kind).to_owned() }
            }
            ["else", call, kind] => Self::Else((*call).to_owned(), (*kind).to_owned()),
            ["count", name, count] => Self::Count((*name).to_owned(), number(count)?),
            ["end"] => Self::End,
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_comes_back() {
        for told in [
            Told::Open,
            Told::Trying(1),
            Told::Acknowledged(2),
            Told::Failed { batch: 3, maybe_applied: true, kind: "unavailable".into() },
            Told::Failed { batch: 4, maybe_applied: false, kind: "storage_full".into() },
            Told::Else("compact".into(), "unavailable".into()),
            Told::Count("writes".into(), 5),
            Told::End,
        ] {
            assert_eq!(told.to_string().parse(), Ok(told));
        }
        assert!("acknowledged".parse::<Told>().is_err());
    }
}
