//! What several legs can do together.

use craftx_core::{Capabilities, Support};

use crate::inner::Inner;

impl Inner {
    /// What all legs can do: as each said when it was prepared, else as it says before.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let prepared = self.state().capabilities.clone();
        let is_prepared = prepared.iter().any(Option::is_some);
        let legs = self.legs.iter().zip(prepared);
        let can = legs.map(|(leg, prepared)| prepared.unwrap_or_else(|| leg.backend.capabilities()));
        let mut all = can.reduce(both).unwrap_or_default();
        if is_prepared {
            // What is still not known of a leg that is away cannot be promised.
            all = each(all, |support| if support == Support::Probe { Support::No } else { support });
        }
        if !self.config.is_shared() {
            all.shared = Support::No;
        }
        all
    }
}

fn both(one: Capabilities, other: Capabilities) -> Capabilities {
    let meet = |one: Support, other: Support| match (one, other) {
        (Support::No, _) | (_, Support::No) => Support::No,
        (Support::Yes, Support::Yes) => Support::Yes,
        _ => Support::Probe,
    };
    let mut all = one;
    all.atomic_batch = meet(one.atomic_batch, other.atomic_batch);
    all.compare_and_append = meet(one.compare_and_append, other.compare_and_append);
    all.detects_conflict = meet(one.detects_conflict, other.detects_conflict);
    all.recent_first = meet(one.recent_first, other.recent_first);
    all.metadata_filter = meet(one.metadata_filter, other.metadata_filter);
    all.scope = meet(one.scope, other.scope);
    all.search = meet(one.search, other.search);
    all.shared = meet(one.shared, other.shared);
    all.durable = meet(one.durable, other.durable);
    all.max_batch = [one.max_batch, other.max_batch].into_iter().flatten().min();
    all.max_record_bytes = [one.max_record_bytes, other.max_record_bytes].into_iter().flatten().min();
    all
}

fn each(can: Capabilities, change: impl Fn(Support) -> Support) -> Capabilities {
    let mut all = can;
    all.atomic_batch = change(can.atomic_batch);
    all.compare_and_append = change(can.compare_and_append);
    all.detects_conflict = change(can.detects_conflict);
    all.recent_first = change(can.recent_first);
    all.metadata_filter = change(can.metadata_filter);
    all.scope = change(can.scope);
    all.search = change(can.search);
    all.shared = change(can.shared);
    all.durable = change(can.durable);
    all
}
