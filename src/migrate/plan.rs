//! What a migration would do.

use std::collections::HashSet;

use craftx_core::{Digest, Record, Result, SessionId};

use super::compare::{digests, each_record};
use super::migrator::Watcher;
use super::report::failed;
use super::walk::{self, Sessions};
use super::{Plan, Progress, SessionFailure, Target};
use crate::Storage;

/// Reads all of the source, and of a target what it has of the same sessions.
pub(super) async fn plan(from: &Storage, to: Option<&Storage>, watcher: &Watcher) -> Result<Plan> {
    let (tenants, skipped_tenants) = walk::tenants(from).await?;
    let target = match to {
        None => Target::New,
        Some(to) if walk::is_empty(to).await? => Target::Empty,
        Some(_) => Target::NotEmpty,
    };
    let mut plan = Plan { target, tenants: tenants.len() as u64, skipped_tenants, ..Plan::default() };
    let to = to.filter(|_| target == Target::NotEmpty);
    for tenant in tenants {
        let (from, to) = (from.for_tenant(tenant.clone()), to.map(|to| to.for_tenant(tenant.clone())));
        let mut sessions = Sessions::new(&from);
        while let Some(session) = sessions.next().await? {
            plan.sessions += 1;
            match plan_session(&from, to.as_ref(), &session, &mut plan).await {
                Err(error) if walk::concerns_one_session(&error, true) => {
                    let failure = SessionFailure::new(&tenant, &session, &error);
                    failed(&mut plan.failed, &mut plan.failures, failure);
                }
                planned => planned.map_err(|error| error.with("session", format_args!("{session:?}")))?,
            }
            watcher.tell(&Progress { pass: 1, sessions: plan.sessions, records: plan.records });
        }
    }
    Ok(plan)
}

async fn plan_session(from: &Storage, to: Option<&Storage>, session: &SessionId, plan: &mut Plan) -> Result<()> {
    let there = match to {
        Some(to) => digests(to, session).await?,
        None => Default::default(),
    };
    let mut seen: HashSet<Digest> = HashSet::new();
    let (mut messages, mut bytes, mut to_copy) = (0, 0, 0);
    each_record(from, session, &mut |record| {
        let encoded = record.encode();
        let digest = encoded.digest();
        if seen.insert(digest) {
            messages += u64::from(matches!(record, Record::Message(_)));
            bytes += encoded.as_str().len() as u64;
            to_copy += u64::from(!there.contains_key(&digest));
        }
    })
    .await?;
    plan.messages += messages;
    plan.records += seen.len() as u64;
    plan.bytes += bytes;
    plan.to_copy += to_copy;
    Ok(())
}
