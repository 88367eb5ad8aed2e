//! What one may do with a session.

use std::fmt;

use craftx_core::{Error, Record, Result};
use serde::{Deserialize, Serialize};

/// What somebody does with a session, or with a whole tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Load messages.
    Read,
    /// Write messages, and start sessions.
    Append,
    /// Delete messages, clear and delete sessions.
    Delete,
    /// Change the metadata of a session.
    Update,
    /// See that a session exists, with its metadata.
    List,
    /// Find messages.
    Search,
    /// Grant and revoke, replay records, see the status of the store, compact a tenant.
    Admin,
    /// Read all records of a session, those that say what was deleted and who owns it included.
    Export,
}

impl Action {
    /// All actions, in the order in which they are told.
    pub const ALL: [Self; 8] =
        [Self::Read, Self::Append, Self::Delete, Self::Update, Self::List, Self::Search, Self::Admin, Self::Export];

    /// The name, as it stands in configurations, grants and audit logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::List => "list",
            Self::Search => "search",
            Self::Admin => "admin",
            Self::Export => "export",
        }
    }

    /// The action with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Action {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::as_str).join("`, `");
        Self::from_name(name).ok_or_else(|| Error::invalid("action", format!("must be one of `{}`", known())))
    }
}

/// A set of actions.
///
/// ```
/// use craftx_access::{Action, Actions};
/// let some = Actions::from_iter([Action::Read, Action::Append]);
/// assert!(some.contains(Action::Read) && !some.contains(Action::Delete));
/// assert_eq!(some.to_string(), "read+append");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Action>", into = "Vec<Action>")]
pub struct Actions(u16);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);
    /// Reading alone: what every grant includes.
    pub const READ: Self = Self(Action::Read.bit());

    /// Whether this action is among them.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The actions, in the order in which they are told.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }

    /// What writing these records takes.
    pub(crate) fn of_records(records: &[Record]) -> Self {
        let of_one = |record: &Record| match record {
            Record::Message(_) => Action::Append,
            Record::Session { .. } => Action::Update,
            Record::Deleted { .. } | Record::Cleared { .. } => Action::Delete,
            // A kind of record that this release does not know, too.
            _ => Action::Admin,
        };
        match records {
            // Changes nothing, but asks whether one might.
            [] => Self::from(Action::Append),
            records => records.iter().map(of_one).collect(),
        }
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        Self(action.bit())
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::NONE, |all, action| all.union(action.into()))
    }
}

impl From<Vec<Action>> for Actions {
    fn from(actions: Vec<Action>) -> Self {
        actions.into_iter().collect()
    }
}

impl From<Actions> for Vec<Action> {
    fn from(actions: Actions) -> Self {
        actions.iter().collect()
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, action) in self.iter().enumerate() {
            write!(f, "{}{action}", if index == 0 { "" } else { "+" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
