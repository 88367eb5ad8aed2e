//! Comparing two stores, record by record.

use std::collections::HashMap;

use craftx_core::{Cursor, Digest, MAX_PAGE, Record, Result, SessionId, Stamp, Tenant};
use futures_util::future::join;

use super::migrator::Watcher;
use super::report::{IDS, failed};
use super::walk::{self, Sessions};
use super::{Comparison, Difference, Progress, SessionFailure};
use crate::Storage;

/// The records of a session by their digests. Two that say the same are one.
pub(super) type Digests = HashMap<Digest, Stamp>;

pub(super) async fn compare(from: &Storage, to: &Storage, watcher: &Watcher) -> Result<Comparison> {
    let (mut tenants, mut skipped) = walk::tenants(from).await?;
    let (others, skipped_too) = walk::tenants(to).await?;
    for (all, more) in [(&mut tenants, others), (&mut skipped, skipped_too)] {
        all.extend(more);
        all.sort_unstable();
        all.dedup();
    }
    let mut comparison =
        Comparison { tenants: tenants.len() as u64, skipped_tenants: skipped, ..Comparison::default() };
    for tenant in tenants {
        let (from, to) = (from.for_tenant(tenant.clone()), to.for_tenant(tenant.clone()));
        // Both lists are ordered by the bytes of the names.
        let (mut here, mut there) = (Sessions::new(&from), Sessions::new(&to));
        let (mut next_here, mut next_there) = (here.next().await?, there.next().await?);
        while let Some(session) = next_here.iter().chain(&next_there).min().cloned() {
            if next_here.as_ref() == Some(&session) {
                next_here = here.next().await?;
            }
            if next_there.as_ref() == Some(&session) {
                next_there = there.next().await?;
            }
            compare_session(&from, &to, &tenant, &session, &mut comparison).await?;
            let records = comparison.equal + comparison.missing + comparison.extra;
            watcher.tell(&Progress { pass: 1, sessions: comparison.sessions, records });
        }
    }
    Ok(comparison)
}

async fn compare_session(
    from: &Storage,
    to: &Storage,
    tenant: &Tenant,
    session: &SessionId,
    comparison: &mut Comparison,
) -> Result<()> {
    let (here, there) = join(digests(from, session), digests(to, session)).await;
    let (here, there) = match (here, there) {
        (Ok(here), Ok(there)) => (here, there),
        (Err(error), _) | (_, Err(error)) if walk::concerns_one_session(&error, true) => {
            let failure = SessionFailure::new(tenant, session, &error);
            failed(&mut comparison.unverifiable, &mut comparison.failures, failure);
            return Ok(());
        }
        (Err(error), _) | (_, Err(error)) => return Err(error.with("session", format_args!("{session:?}"))),
    };
    comparison.sessions += 1;
    let (missing, missing_ids) = not_in(&here, &there);
    let (extra, extra_ids) = not_in(&there, &here);
    comparison.equal += here.len() as u64 - missing;
    if missing + extra > 0 {
        let (tenant, session) = (tenant.clone(), session.clone());
        comparison.differs(Difference { tenant, session, missing, missing_ids, extra, extra_ids });
    }
    Ok(())
}

/// All records of a session.
pub(super) async fn digests(storage: &Storage, session: &SessionId) -> Result<Digests> {
    let mut digests = Digests::new();
    each_record(storage, session, &mut |record| {
        digests.insert(record.encode().digest(), record.stamp());
    })
    .await?;
    Ok(digests)
}

/// Hands over each record of a session; one that comes twice may be handed over twice.
pub(super) async fn each_record(
    storage: &Storage,
    session: &SessionId,
    take: &mut (dyn FnMut(&Record) + Send),
) -> Result<()> {
    let mut from: Option<Cursor> = None;
    loop {
        let part = walk::part(storage, session, from.as_ref(), MAX_PAGE).await?;
        part.items.iter().for_each(&mut *take);
        if part.done {
            return Ok(());
        }
        from = Some(part.next);
    }
}

/// How many are in one and not in the other, and the first of them.
fn not_in(one: &Digests, other: &Digests) -> (u64, Vec<Stamp>) {
    let mut ids: Vec<Stamp> = one.iter().filter(|(digest, _)| !other.contains_key(digest)).map(|(_, id)| *id).collect();
    ids.sort_unstable();
    let count = ids.len() as u64;
    ids.truncate(IDS);
    (count, ids)
}
