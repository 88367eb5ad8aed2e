//! A session on its way out.

use std::collections::BTreeMap;

use craftx_core::{Message, Metadata, SessionId, is_name};

use super::turn::own;

/// A session that is to be written in some format.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// Its name.
    pub id: &'a SessionId,
    /// What is known of it as a whole.
    pub metadata: &'a Metadata,
    /// Its messages, in their order.
    pub messages: &'a [Message],
}

impl<'a> Outgoing<'a> {
    /// A session with all that is written of it.
    pub fn new(id: &'a SessionId, metadata: &'a Metadata, messages: &'a [Message]) -> Self {
        Self { id, metadata, messages }
    }

    /// What no format has a place for that is a list of messages without times and branches, in the messages that are not
    /// in its own shape.
    pub(super) fn unplaced(&self, format: &str) -> Unplaced {
        self.unplaced_unless(|message| own(message, format).is_some())
    }

    /// As [`unplaced`](Self::unplaced), of the messages of which `native` does not say that they are in its own shape.
    pub(super) fn unplaced_unless(&self, native: impl Fn(&Message) -> bool) -> Unplaced {
        let mut unplaced = Unplaced::default();
        let mut before = None;
        for message in self.messages {
            if !native(message) {
                if message.created_at.is_some() {
                    unplaced.add("created_at");
                }
                // Whoever answers the message before says nothing that the order does not say.
                if message.parent.is_some() && message.parent != before {
                    unplaced.add("parent");
                }
            }
            before = Some(message.id);
        }
        unplaced
    }
}

/// What a file of several sessions looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// A session on each line.
    Lines,
    /// One JSON array of sessions.
    Array,
    /// A file for each session, with this ending.
    Files(&'static str),
}

/// A session as a format writes it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Written {
    /// The text, without a line break at its end.
    pub text: String,
    /// What the format has no place for.
    pub unplaced: Unplaced,
}

impl Written {
    /// A session of which everything had a place.
    pub fn new(text: String, unplaced: Unplaced) -> Self {
        Self { text, unplaced }
    }
}

/// What a format has no place for: it stays in the store, and whoever exports is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unplaced(BTreeMap<String, u64>);

impl Unplaced {
    /// Counts something that is called `what`, such as a member of the metadata. A name that may be content is not kept.
    pub fn add(&mut self, what: &str) {
        let name = if is_name(what) { what } else { "…" };
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    /// Whether everything had a place.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What had no place, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(what, count)| (what.as_str(), *count))
    }
}

impl std::ops::AddAssign for Unplaced {
    fn add_assign(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}
