//! A message of another program.

use craftx_core::{Content, Metadata, Record, Role, SessionId, Stamp, Time};

use crate::NewMessage;
use crate::stamper::Stamper;

/// A message of another program, before it has a stamp.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Foreign {
    /// Who says what, when, and what else is known.
    pub message: NewMessage,
    /// What the other program calls it, if it has a name that stays the same.
    pub id: Option<String>,
    /// The [`id`](Self::id) of the message that it answers, which must have come before.
    pub parent: Option<String>,
}

impl Foreign {
    /// A message that its program gave no name.
    pub fn new(message: NewMessage) -> Self {
        Self { message, id: None, parent: None }
    }

    /// A message by `role` with what is known besides.
    pub fn of(role: Role, content: impl Into<Content>, metadata: Metadata) -> Self {
        let mut message = NewMessage::new(role, content);
        message.metadata = metadata;
        Self::new(message)
    }

    /// Sets what the other program calls it.
    #[must_use]
    pub fn with_id(mut self, id: Option<impl Into<String>>) -> Self {
        self.id = id.map(Into::into);
        self
    }

    /// Sets which message it answers.
    #[must_use]
    pub fn with_parent(mut self, parent: Option<impl Into<String>>) -> Self {
        self.parent = parent.map(Into::into);
        self
    }

    /// Sets when it was said.
    #[must_use]
    pub fn with_time(mut self, time: Option<Time>) -> Self {
        self.message.created_at = time;
        self
    }

    /// The message with the stamp that it always gets at this place.
    pub(crate) fn stamped(self, stamper: &mut Stamper) -> craftx_core::Result<craftx_core::Message> {
        let parent: Option<Stamp> = self.parent.as_deref().and_then(|parent| stamper.stamp_of(parent));
        let id = stamper.next(self.message.created_at.as_ref(), self.id.as_deref())?;
        let mut message = self.message.stamped(id);
        message.parent = parent;
        Ok(message)
    }
}

/// What a file consists of, one after the other.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item {
    /// What follows belongs to this session.
    Session {
        /// Its name.
        id: SessionId,
        /// What is known of it as a whole.
        metadata: Metadata,
    },
    /// The next message of the session.
    Message(Box<Foreign>),
    /// A record of the session that has its stamp already.
    Record(Box<Record>),
}

/// An item, or why it could not be read, and where it lies.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The line of the file on which it begins, or the row of the database; counted from 1.
    pub line: u64,
    /// What it is. After an error the next items may be good.
    pub item: craftx_core::Result<Item>,
    /// Whether it has a place among the messages of the session, which stays free if it could not be read.
    pub(super) is_message: bool,
}

impl Entry {
    /// An item on this line.
    pub fn new(line: u64, item: craftx_core::Result<Item>) -> Self {
        Self { line, item, is_message: false }
    }

    /// The error of a message that has a place all the same.
    pub(crate) fn is_broken_message(&self) -> bool {
        self.is_message && self.item.is_err()
    }

    /// A session begins on this line.
    pub fn session(line: u64, id: SessionId, metadata: Metadata) -> Self {
        Self::new(line, Ok(Item::Session { id, metadata }))
    }

    /// A message on this line.
    pub fn message(line: u64, message: craftx_core::Result<Foreign>) -> Self {
        let item = message.map(|message| Item::Message(Box::new(message)));
        Self { is_message: true, ..Self::new(line, item) }
    }
}
