//! What comes of a migration.

use craftx_core::{Error, ErrorKind, SessionId, Stamp, Tenant};
use serde::Serialize;

/// So many failures and differences are listed; all are counted.
pub(super) const LISTED: usize = 1_000;
/// So many ids of records are listed for each session that differs.
pub(super) const IDS: usize = 10;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How often the sessions are gone through, from 1.
    pub pass: u32,
    /// The sessions that were gone through this time.
    pub sessions: u64,
    /// The records that were read so far.
    pub records: u64,
}

/// What a run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// What the target is now.
    pub target: Target,
    /// The tenants of the source.
    pub tenants: u64,
    /// The sessions of the source, cleared ones included.
    pub sessions: u64,
    /// Their live messages.
    pub messages: u64,
    /// Their records: messages, metadata, owners and deletions.
    pub records: u64,
    /// The canonical encodings of the records, in bytes. A store may take more or less for them.
    pub bytes: u64,
    /// The records that the target lacks.
    pub to_copy: u64,
    /// Sessions that cannot be read: at most 1,000 of them.
    pub failed: Vec<SessionFailure>,
    /// How many sessions cannot be read.
    pub failures: u64,
    /// Tenants that belong to a layer over the source, and are not copied.
    pub skipped_tenants: Vec<Tenant>,
}

/// What the target is before a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// It does not exist.
    #[default]
    New,
    /// It holds nothing.
    Empty,
    /// It holds what the same migration has copied, by the journal.
    Resumes,
    /// It holds something: a run needs [`merge`](super::StorageMigrator::merge).
    NotEmpty,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Migrated {
    /// The tenants that were gone through.
    pub tenants: u64,
    /// The sessions that were gone through, cleared ones included.
    pub sessions: u64,
    /// The messages that were read. What a journal says is there is not read again.
    pub messages: u64,
    /// The records that were read.
    pub records: u64,
    /// The records that the target did not have yet. Where it cannot count, all that were written.
    pub applied: u64,
    /// How often the sessions were gone through.
    pub passes: u32,
    /// Whether the last time found nothing new. If not, others write to the source as fast as it is read.
    pub caught_up: bool,
    /// Whether it went on where an earlier run was.
    pub resumed: bool,
    /// Sessions that could not be copied: at most 1,000 of them.
    pub failed: Vec<SessionFailure>,
    /// How many sessions could not be copied.
    pub failures: u64,
    /// Tenants that belong to a layer over the source, and were not copied.
    pub skipped_tenants: Vec<Tenant>,
}

/// What is in both stores, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The tenants of both stores.
    pub tenants: u64,
    /// The sessions that were compared, cleared ones included.
    pub sessions: u64,
    /// The records that are in both.
    pub equal: u64,
    /// The records that the target lacks.
    pub missing: u64,
    /// The records that the source does not have.
    pub extra: u64,
    /// The sessions that differ: at most 1,000 of them.
    pub differing: Vec<Difference>,
    /// How many sessions differ.
    pub differences: u64,
    /// Sessions that could not be compared, because one of the stores cannot read them: at most 1,000 of them.
    pub unverifiable: Vec<SessionFailure>,
    /// How many sessions could not be compared.
    pub failures: u64,
    /// Tenants that belong to a layer over the stores, and were not compared.
    pub skipped_tenants: Vec<Tenant>,
}

impl Comparison {
    /// Whether everything could be compared, and nothing differs.
    pub fn is_equal(&self) -> bool {
        self.differences == 0 && self.failures == 0
    }

    pub(super) fn differs(&mut self, difference: Difference) {
        self.differences += 1;
        self.missing += difference.missing;
        self.extra += difference.extra;
        if self.differing.len() < LISTED {
            self.differing.push(difference);
        }
    }
}

/// A session that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub session: SessionId,
    /// The records that the target lacks.
    pub missing: u64,
    /// The stamps of the first 10 of them.
    pub missing_ids: Vec<Stamp>,
    /// The records that the source does not have.
    pub extra: u64,
    /// The stamps of the first 10 of them.
    pub extra_ids: Vec<Stamp>,
}

/// A session that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionFailure {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub session: SessionId,
    /// The kind of the error; see [`SessionFailure::kind`].
    #[serde(rename = "kind")]
    kind_name: &'static str,
    #[serde(skip)]
    kind: ErrorKind,
    /// The error.
    pub error: String,
}

impl SessionFailure {
    pub(super) fn new(tenant: &Tenant, session: &SessionId, error: &Error) -> Self {
        let kind = error.kind();
        let (tenant, session) = (tenant.clone(), session.clone());
        Self { tenant, session, kind_name: kind.as_str(), kind, error: error.to_string() }
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Adds a failure to a list and to the number of all.
pub(super) fn failed(list: &mut Vec<SessionFailure>, count: &mut u64, failure: SessionFailure) {
    *count += 1;
    if list.len() < LISTED {
        list.push(failure);
    }
}
