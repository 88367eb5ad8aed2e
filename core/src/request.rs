//! What a call asks for. Option structs with setters, so that they can grow without breaking a plugin.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Cursor, Role, Session, SessionId, Stamp};

/// How many items a page has if nobody said.
pub const DEFAULT_PAGE: u32 = 100;
/// How many items a page has at most, whatever was asked for.
pub const MAX_PAGE: u32 = 1_000;

/// The number of items that a page with this limit has: [`DEFAULT_PAGE`] unless said, at most [`MAX_PAGE`].
pub fn page_size(limit: Option<u32>) -> usize {
    limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE) as usize
}

/// Options of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Whether the records are new or come from another store.
    pub source: Source,
    /// What the session must be like for the write to happen.
    pub expect: Expect,
}

impl WriteOptions {
    /// New records, written whatever the session is like.
    pub fn fresh() -> Self {
        Self::default()
    }

    /// Records that exist elsewhere: healing, restore, migration, copy.
    pub fn replay() -> Self {
        Self { source: Source::Replay, expect: Expect::Anything }
    }

    /// Sets the expectation.
    #[must_use]
    pub fn expecting(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }
}

/// Where records come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// They are new. Stamps far ahead of this machine's clock are refused, and so is an id that is known with other
    /// content.
    #[default]
    Fresh,
    /// They exist in another store. Stamps are never compared with the clock, and conflicting variants are both kept.
    Replay,
}

/// What the session must be like for a write to happen: compare-and-append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    #[default]
    Anything,
    /// No record was ever written to it.
    New,
    /// Its [version](crate::Session::version) is this one. All stamps of the batch must be greater.
    Version(Stamp),
}

/// Which messages to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageQuery {
    /// Only these, if any are given. Ids that are not there are left out of the answer.
    pub ids: Vec<Stamp>,
    /// Only messages after this one.
    pub after: Option<Stamp>,
    /// Only messages before this one.
    pub before: Option<Stamp>,
    /// From which end.
    pub order: Order,
    /// At most this many; see [`page_size`].
    pub limit: Option<u32>,
}

impl MessageQuery {
    /// The first messages, oldest first.
    pub fn oldest_first() -> Self {
        Self::default()
    }

    /// The last messages, newest first.
    pub fn newest_first() -> Self {
        Self { order: Order::NewestFirst, ..Self::default() }
    }

    /// Only these ids.
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = Stamp>) -> Self {
        self.ids = ids.into_iter().collect();
        self
    }

    /// Only messages after `stamp`.
    #[must_use]
    pub fn after(mut self, stamp: Stamp) -> Self {
        self.after = Some(stamp);
        self
    }

    /// Only messages before `stamp`.
    #[must_use]
    pub fn before(mut self, stamp: Stamp) -> Self {
        self.before = Some(stamp);
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// From which end of the conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// In the order of the conversation.
    #[default]
    OldestFirst,
    /// Backwards.
    NewestFirst,
}

/// Which sessions to list.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Who may see them.
    pub scope: Scope,
    /// Whether sessions without live content count.
    pub include: Include,
    /// Only ids that begin with this text.
    pub prefix: Option<String>,
    /// Only sessions whose metadata have all these values.
    pub metadata: BTreeMap<String, Value>,
    /// In which order.
    pub order: SessionOrder,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
    /// At most this many; see [`page_size`].
    pub limit: Option<u32>,
}

impl SessionQuery {
    /// All live sessions by id.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a session lies in the scope and has the metadata: what of the query is left to be looked at in a session.
    pub fn admits(&self, session: &Session) -> bool {
        self.scope.admits(session.owner.as_deref(), &session.grants)
            && self.metadata.iter().all(|(key, value)| session.metadata.get(key) == Some(value))
    }

    /// Sets who must be able to see them.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets whether sessions without live content count.
    #[must_use]
    pub fn include(mut self, include: Include) -> Self {
        self.include = include;
        self
    }

    /// Only ids that begin with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Only sessions whose metadata has this value.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets the order.
    #[must_use]
    pub fn order(mut self, order: SessionOrder) -> Self {
        self.order = order;
        self
    }

    /// Continues after the previous page.
    #[must_use]
    pub fn cursor(mut self, cursor: Option<Cursor>) -> Self {
        self.cursor = cursor;
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Who must be able to see what is listed or found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// No limit.
    #[default]
    All,
    /// Sessions owned by, or granted to, one of these.
    Visible {
        /// Names of principals.
        principals: Vec<String>,
        /// Names of roles.
        roles: Vec<String>,
    },
}

impl Scope {
    /// Whether a session with this owner and these grants lies in the scope.
    pub fn admits(&self, owner: Option<&str>, grants: &[crate::Grant]) -> bool {
        match self {
            Self::All => true,
            Self::Visible { principals, roles } => {
                owner.is_some_and(|owner| principals.iter().any(|p| p == owner))
                    || grants.iter().any(|grant| {
                        !grant.actions.is_empty() && (principals.contains(&grant.to) || roles.contains(&grant.to))
                    })
            }
        }
    }
}

/// Whether sessions without live content are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Only sessions that exist: with a live message, a live key of metadata, or an owner.
    #[default]
    Live,
    /// Cleared and deleted ones too: what replication reads.
    All,
}

/// The order of a list of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionOrder {
    /// By the bytes of the id.
    #[default]
    ById,
    /// The session written last comes first; equal times by id. Needs the capability `recent_first`. A session that is
    /// written while pages are read may be seen twice or not at all.
    RecentFirst,
}

/// What to search for: messages that have at least one of the words, the best first.
///
/// What counts as a word, and how messages are ranked, is said in [`search`](crate::search). A query of one word finds
/// the messages that have it; one of several words also finds messages whose neighbours in the session have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchQuery {
    /// Words; any text is a legal query.
    pub text: String,
    /// Who must be able to see the sessions.
    pub scope: Scope,
    /// Only this session.
    pub session: Option<SessionId>,
    /// Only these roles, if any are given.
    pub roles: Vec<Role>,
    /// Only messages after this stamp.
    pub after: Option<Stamp>,
    /// Only messages before this stamp.
    pub before: Option<Stamp>,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
    /// At most this many; see [`page_size`].
    pub limit: Option<u32>,
}

impl SearchQuery {
    /// Searches everywhere for `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Sets who must be able to see the sessions.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Only in this session.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Also messages of this role; without any, messages of all roles.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Only messages after `stamp`.
    #[must_use]
    pub fn after(mut self, stamp: Stamp) -> Self {
        self.after = Some(stamp);
        self
    }

    /// Only messages before `stamp`.
    #[must_use]
    pub fn before(mut self, stamp: Stamp) -> Self {
        self.before = Some(stamp);
        self
    }

    /// Continues after the previous page.
    #[must_use]
    pub fn cursor(mut self, cursor: Option<Cursor>) -> Self {
        self.cursor = cursor;
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// What [`Backend::prepare`](crate::Backend::prepare) may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// Look whether the store can be opened; change nothing.
    Check,
    /// Open what is there; never create or upgrade.
    Open,
    /// Create what is missing and upgrade an older schema.
    Migrate,
}

/// What to compact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compact {
    /// Only this session.
    pub session: Option<SessionId>,
    /// Also forget deletions that are older than this. A copy that has not seen them by then can bring the dead back.
    pub purge_deleted_before: Option<Stamp>,
}

impl Compact {
    /// All sessions of the tenant; deletions are remembered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this session.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Also forget deletions older than `stamp`.
    #[must_use]
    pub fn purge_deleted_before(mut self, stamp: Stamp) -> Self {
        self.purge_deleted_before = Some(stamp);
        self
    }
}
