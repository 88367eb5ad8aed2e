//! What a check of the medium itself found.

use std::fmt::Display;

use serde::Serialize;

use crate::Stamp;

/// What [`Backend::verify`](crate::Backend::verify) found. No text of it holds the content of a message.
///
/// ```
/// use craftx_core::{Problem, Verified};
/// let mut verified = Verified::new("the checksums of 3 sessions");
/// assert!(verified.is_clean());
/// verified.problem(Problem::new("`a.jsonl`, line 7", "a line is not what was written"));
/// assert!(!verified.is_clean());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// What was looked at, in words.
    pub checked: Vec<String>,
    /// What this medium cannot know of itself, in words.
    pub unverifiable: Vec<String>,
    /// What is no damage and yet worth knowing, such as what an interruption left.
    pub notes: Vec<String>,
    /// What is not as it should be.
    pub problems: Vec<Problem>,
}

/// Something in a store that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Where it is: a file and a line, a table, a session.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What helps, if anything does.
    pub remedy: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), remedy: None }
    }

    /// Says what helps.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Verified {
    /// A check that looked at something and has found nothing so far.
    pub fn new(checked: impl Into<String>) -> Self {
        Self { checked: vec![checked.into()], ..Self::default() }
    }

    /// Whether nothing is wrong with what was looked at.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Adds what was looked at.
    pub fn checked(&mut self, what: impl Into<String>) {
        self.checked.push(what.into());
    }

    /// Adds what cannot be known.
    pub fn unverifiable(&mut self, what: impl Into<String>) {
        self.unverifiable.push(what.into());
    }

    /// Adds what is worth knowing.
    pub fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    /// Adds a message that replays brought with more than one content. That is no damage, but nobody can load it.
    pub fn conflict(&mut self, session: impl Display, id: Stamp) {
        self.note(format!("{session}: the message {id} has two contents; deleting it is the way out"));
    }

    /// Adds what is wrong.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}
