//! What a call answers.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Capabilities, Cursor, Grant, Message, Metadata, Record, SessionId, Stamp, Token};

/// What became of a write. `None` where the medium cannot know the count.
///
/// Every record of the batch is counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Written {
    /// Records that changed the session.
    pub applied: Option<u32>,
    /// Records that were there already.
    pub known: Option<u32>,
    /// Records that had no effect, because a deletion covers them or a later record supersedes them.
    pub dead: Option<u32>,
    /// The version of the session after the write: the greatest stamp of any of its records.
    pub version: Option<Stamp>,
    /// Messages up to this stamp are dead.
    pub cleared: Option<Stamp>,
    /// What a reader must have seen to see this write.
    pub token: Option<Token>,
}

impl Written {
    /// A write with known counts.
    pub fn counted(applied: u32, known: u32, dead: u32) -> Self {
        Self { applied: Some(applied), known: Some(known), dead: Some(dead), ..Self::default() }
    }

    /// Sets the version.
    #[must_use]
    pub fn with_version(mut self, version: Option<Stamp>) -> Self {
        self.version = version;
        self
    }

    /// Sets what a reader must have seen to see this write.
    #[must_use]
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Sets up to where the session is cleared.
    #[must_use]
    pub fn with_cleared(mut self, cleared: Option<Stamp>) -> Self {
        self.cleared = cleared;
        self
    }
}

/// What is known of a session as a whole.
///
/// `Debug` shows the keys of the metadata, not the values.
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The greatest stamp of any of its records, deletions included. Never decreases.
    pub version: Stamp,
    /// The greatest stamp of a live message.
    pub head: Option<Stamp>,
    /// Messages up to this stamp are dead.
    pub cleared: Option<Stamp>,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who else may do what.
    pub grants: Vec<Grant>,
    /// Its live metadata, by key.
    pub metadata: Metadata,
    /// When this store last stored something in it, by the clock of the machine that wrote.
    pub updated: SystemTime,
    /// How many live messages it has; `None` where counting would cost more than a glance.
    pub messages: Option<u64>,
}

impl Session {
    /// A session with nothing but its name, version and time.
    pub fn new(id: SessionId, version: Stamp, updated: SystemTime) -> Self {
        Self {
            id,
            version,
            head: None,
            cleared: None,
            owner: None,
            grants: Vec::new(),
            metadata: Metadata::new(),
            updated,
            messages: None,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("head", &self.head)
            .field("cleared", &self.cleared)
            .field("owner", &self.owner)
            .field("grants", &self.grants)
            .field("metadata", &self.metadata.keys().collect::<Vec<_>>())
            .field("updated", &self.updated)
            .field("messages", &self.messages)
            .finish()
    }
}

/// A page of messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Messages {
    /// The messages, in the order of the query.
    pub items: Vec<Message>,
    /// Whether there are more: go on after (or before) the last item.
    pub more: bool,
}

/// A page of anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

/// A part of the records of a session, in order of arrival: what replication reads.
///
/// At least once: parts may repeat records, and never omit one that was acknowledged before the call that returned
/// `done`.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The records.
    pub items: Vec<Record>,
    /// Where to go on, now or after later writes. Stays valid across writes and restarts, or is refused as expired
    /// ([`Conflict`](crate::ErrorKind::Conflict)); then start again.
    pub next: Cursor,
    /// Whether this was all for now.
    pub done: bool,
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// Where.
    pub session: SessionId,
    /// What.
    pub message: Message,
    /// How well it fits; comparable within one answer, greater is better.
    pub score: f64,
    /// A part of the text.
    pub snippet: Option<String>,
    /// The matches in the snippet, as byte ranges.
    pub marks: Vec<Range<usize>>,
}

impl Hit {
    /// A hit without a snippet.
    pub fn new(session: SessionId, message: Message, score: f64) -> Self {
        Self { session, message, score, snippet: None, marks: Vec::new() }
    }
}

/// What a compaction really erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Compacted {
    /// Bytes given back to the medium.
    pub bytes: u64,
    /// Bodies of dead messages and superseded metadata.
    pub bodies: u64,
    /// Forgotten deletions.
    pub tombstones: u64,
}

impl Compacted {
    /// Counts of what was erased.
    pub fn new(bytes: u64, bodies: u64, tombstones: u64) -> Self {
        Self { bytes, bodies, tombstones }
    }
}

impl std::ops::AddAssign for Compacted {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.bodies += other.bodies;
        self.tombstones += other.tombstones;
    }
}

/// What is true of a store right now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The identity of the store, random, written once.
    pub store: Uuid,
    /// The scheme, such as `sqlite`.
    pub scheme: &'static str,
    /// Where it is, without secrets.
    pub name: Arc<str>,
    /// A number that grows with every write, where there is one.
    pub position: Option<u64>,
    /// The version of the schema or layout.
    pub schema: Option<u32>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// How many live sessions the tenant of the call has, where counting is cheap.
    pub sessions: Option<u64>,
    /// The bytes that the whole store takes; only told to [`Caller::System`](crate::Caller::System).
    pub bytes: Option<u64>,
    /// The stores inside, of a stack with several.
    pub parts: Vec<Status>,
    /// The servers, of a store that is a cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
}

/// A server of a cluster, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Node {
    /// Where it is, such as `db1:5432`.
    pub name: Arc<str>,
    /// What it is, such as `primary` or `replica`, or why it is not used.
    pub role: &'static str,
    /// How far it is in the history of the cluster, as it calls that itself.
    pub position: Option<String>,
    /// How many milliseconds a replica is at most behind; `None` if that is not known.
    pub lag_ms: Option<u64>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

impl Node {
    /// A server with nothing but its name and role.
    pub fn new(name: impl Into<Arc<str>>, role: &'static str) -> Self {
        Self { name: name.into(), role, position: None, lag_ms: None, problem: None }
    }
}

impl Status {
    /// A status with nothing but identity, scheme, name and capabilities.
    pub fn new(store: Uuid, scheme: &'static str, name: impl Into<Arc<str>>, capabilities: Capabilities) -> Self {
        Self {
            store,
            scheme,
            name: name.into(),
            position: None,
            schema: None,
            capabilities,
            sessions: None,
            bytes: None,
            parts: Vec::new(),
            nodes: Vec::new(),
        }
    }
}
