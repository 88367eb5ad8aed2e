//! What a backend or a stack can do.

use serde::Serialize;

/// Whether a capability is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// It is not. Calls that need it fail with [`Unsupported`](crate::ErrorKind::Unsupported).
    #[default]
    No,
    /// It is.
    Yes,
    /// Known only after [`prepare`](crate::Backend::prepare).
    Probe,
}

impl Support {
    /// Whether it is certainly there.
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

/// Which servers of a cluster have an acknowledged write, and in which form: what a failover to another one cannot lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Acknowledgement {
    /// The one that took it has it in memory only: its crash loses it.
    PrimaryMemory,
    /// The one that took it has it on its disk. A failover to another one can lose it.
    Primary,
    /// A standby has received it too, and has not synced it: only if both lose power at once is it lost.
    StandbyMemory,
    /// A standby has it on its disk too.
    Standby,
    /// A standby also shows it to readers.
    StandbyVisible,
}

impl Acknowledgement {
    /// The name in lower snake case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PrimaryMemory => "primary_memory",
            Self::Primary => "primary",
            Self::StandbyMemory => "standby_memory",
            Self::Standby => "standby",
            Self::StandbyVisible => "standby_visible",
        }
    }
}

/// What a backend or a stack can do. Claimed capabilities are tested by the conformance kit; unclaimed ones fail with
/// [`Unsupported`](crate::ErrorKind::Unsupported).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// A batch is visible whole or not at all.
    pub atomic_batch: Support,
    /// [`Expect`](crate::Expect) is honoured.
    pub compare_and_append: Support,
    /// A fresh write of the same id with other content is refused.
    pub detects_conflict: Support,
    /// The ciphertexts of an encryption layer are kept, and a [renewed](crate::Sealed) one takes the place of the older one.
    pub sealed: Support,
    /// Sessions can be listed by the time of their last write.
    pub recent_first: Support,
    /// Sessions can be listed by the values of their metadata.
    pub metadata_filter: Support,
    /// Lists and searches can be limited to what a principal may see.
    pub scope: Support,
    /// Messages can be searched.
    pub search: Support,
    /// Several processes may use the store at the same time.
    pub shared: Support,
    /// What was acknowledged survives a crash of the process and loss of power.
    pub durable: Support,
    /// Whether copies of what was acknowledged are made only afterwards, so that what one part of the store alone has is
    /// lost with it.
    #[serde(skip_serializing_if = "is_false")]
    pub mirrored_later: bool,
    /// Where an acknowledged write is, of a cluster of servers; known after [`prepare`](crate::Backend::prepare).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<Acknowledgement>,
    /// The greatest number of records in one write.
    pub max_batch: Option<u32>,
    /// The greatest canonical encoding of one record, in bytes.
    pub max_record_bytes: Option<u64>,
}

impl Capabilities {
    /// The switches by name, in the order of the fields: for tables and reports.
    pub fn named(&self) -> [(&'static str, Support); 10] {
        [
            ("atomic_batch", self.atomic_batch),
            ("compare_and_append", self.compare_and_append),
            ("detects_conflict", self.detects_conflict),
            ("sealed", self.sealed),
            ("recent_first", self.recent_first),
            ("metadata_filter", self.metadata_filter),
            ("scope", self.scope),
            ("search", self.search),
            ("shared", self.shared),
            ("durable", self.durable),
        ]
    }
}

macro_rules! setters {
    ($($name:ident),*) => {
        impl Capabilities {
            $(
                #[doc = concat!("Sets `", stringify!($name), "`.")]
                #[must_use]
                pub fn $name(mut self, support: Support) -> Self {
                    self.$name = support;
                    self
                }
            )*
        }
    };
}

setters!(
    atomic_batch,
    compare_and_append,
    detects_conflict,
    sealed,
    recent_first,
    metadata_filter,
    scope,
    search,
    shared,
    durable
);

/// It is said of the few stores of which it is true.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Capabilities {
    /// Sets `mirrored_later`.
    #[must_use]
    pub fn mirrored_later(mut self, later: bool) -> Self {
        self.mirrored_later = later;
        self
    }

    /// Sets `acknowledgement`.
    #[must_use]
    pub fn acknowledgement(mut self, acknowledgement: Option<Acknowledgement>) -> Self {
        self.acknowledgement = acknowledgement;
        self
    }

    /// Sets `max_batch`.
    #[must_use]
    pub fn max_batch(mut self, records: u32) -> Self {
        self.max_batch = Some(records);
        self
    }

    /// Sets `max_record_bytes`.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: u64) -> Self {
        self.max_record_bytes = Some(bytes);
        self
    }
}
