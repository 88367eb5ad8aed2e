//! What several legs can do together.

use craftx_core::{Capabilities, Error, ErrorKind, Expect, Record, Result, Scope, SessionOrder, SessionQuery, Support};

use crate::config::Mirror;
use crate::inner::Inner;

impl Inner {
    /// What all legs can do: as each said when it was prepared, else as it says before.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let prepared = self.state().capabilities.clone();
        let is_prepared = prepared.iter().any(Option::is_some);
        let legs = self.legs.iter().zip(prepared);
        let can = legs.map(|(leg, prepared)| prepared.unwrap_or_else(|| leg.backend.capabilities()));
        let mut all = can.reduce(|one, other| combined(one, other, meet)).unwrap_or_default();
        if is_prepared {
            // What is still not known of a leg that is away cannot be promised.
            all = combined(all, all, |one, _| if one == Support::Probe { Support::No } else { one });
        }
        if !self.config.is_shared() {
            all.shared = Support::No;
        }
        all.mirrored_later |= self.config.mirror == Mirror::Async;
        all
    }

    /// Refuses what one leg could not do, although another one can: the answer must not depend on which one is there.
    fn can(&self, what: &'static str, needed: bool, support: fn(&Capabilities) -> Support) -> Result<()> {
        if needed && !support(&self.capabilities()).is_yes() {
            return Err(Error::new(ErrorKind::Unsupported, format!("not every leg supports {what}")));
        }
        Ok(())
    }

    /// Refuses what one leg could not take, or it would lack it for ever. Returns how many bytes the records take.
    pub(crate) fn fits(&self, records: &[Record]) -> Result<usize> {
        let can = self.capabilities();
        if can.max_batch.is_some_and(|most| records.len() > most as usize) {
            return Err(
                Error::invalid("records", "there are too many for one of the legs").with("found", records.len())
            );
        }
        let mut sum = 0;
        for (index, record) in records.iter().enumerate() {
            let bytes = record.encode().as_str().len();
            sum += bytes;
            if let Some(most) = can.max_record_bytes.filter(|most| bytes as u64 > *most) {
                let error = Error::invalid("record", "is too large for one of the legs");
                return Err(error.with("limit_bytes", most).with("bytes", bytes).with("record", index));
            }
        }
        Ok(sum)
    }

    pub(crate) fn can_expect(&self, expect: Expect) -> Result<()> {
        self.can("expectations", expect != Expect::Anything, |can| can.compare_and_append)
    }

    pub(crate) fn can_search(&self, scope: &Scope) -> Result<()> {
        self.can("search", true, |can| can.search)?;
        self.can("scopes", *scope != Scope::All, |can| can.scope)
    }

    pub(crate) fn can_list(&self, query: &SessionQuery) -> Result<()> {
        self.can("filters by metadata", !query.metadata.is_empty(), |can| can.metadata_filter)?;
        self.can("lists by time", query.order == SessionOrder::RecentFirst, |can| can.recent_first)?;
        self.can("scopes", query.scope != Scope::All, |can| can.scope)
    }
}

/// What two can do who each can do this.
fn meet(one: Support, other: Support) -> Support {
    match (one, other) {
        (Support::No, _) | (_, Support::No) => Support::No,
        (Support::Yes, Support::Yes) => Support::Yes,
        _ => Support::Probe,
    }
}

fn combined(one: Capabilities, other: Capabilities, meet: fn(Support, Support) -> Support) -> Capabilities {
    let mut all = one;
    all.atomic_batch = meet(one.atomic_batch, other.atomic_batch);
    all.compare_and_append = meet(one.compare_and_append, other.compare_and_append);
    all.detects_conflict = meet(one.detects_conflict, other.detects_conflict);
    all.sealed = meet(one.sealed, other.sealed);
    all.recent_first = meet(one.recent_first, other.recent_first);
    all.metadata_filter = meet(one.metadata_filter, other.metadata_filter);
    all.scope = meet(one.scope, other.scope);
    all.search = meet(one.search, other.search);
    all.shared = meet(one.shared, other.shared);
    all.durable = meet(one.durable, other.durable);
    all.mirrored_later = one.mirrored_later || other.mirrored_later;
    all.acknowledgement = one.acknowledgement.zip(other.acknowledgement).map(|(one, other)| one.min(other));
    all.max_batch = [one.max_batch, other.max_batch].into_iter().flatten().min();
    all.max_record_bytes = [one.max_record_bytes, other.max_record_bytes].into_iter().flatten().min();
    all
}
