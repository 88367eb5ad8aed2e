//! Checking the legs, each by itself and against the others.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use craftx_core::union::SessionSet;
use craftx_core::{
    Context, Cursor, Digest, DynBackend, Include, MAX_PAGE, Message, Operation, Problem, Result, SessionId,
    SessionQuery, Tenant, Verified,
};
use serde::Serialize;

use crate::dirty::Place;
use crate::inner::Inner;
use crate::leg::is_away;
use crate::tenant;

/// What a comparison of the legs found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Compared {
    /// How many sessions were compared, cleared ones included.
    pub sessions: u64,
    /// The sessions that are not the same in all legs that could be read.
    pub differing: Vec<Difference>,
    /// The legs that could not be read, in whole or in part.
    pub unread: Vec<Arc<str>>,
}

/// A session that is not the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its name.
    pub session: SessionId,
    /// The legs that differ from the first one that could be read.
    pub legs: Vec<Arc<str>>,
}

/// A hash and a number of records: only ever compared with others of the same run.
type Fingerprint = (u64, usize);

impl Inner {
    /// Checks every leg that is there, then whether they hold the same. Copies that are due are made first, as they are
    /// all the time.
    pub(crate) async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.heal(cx).await;
        let mut verified = Verified::default();
        let mut answered = 0;
        let mut last = None;
        for (index, leg) in self.legs.iter().enumerate() {
            let verify = |leg: DynBackend, cx: Context| async move { leg.verify(&cx).await };
            match self.call(index, cx, Operation::Verify, verify).await {
                Ok(of_leg) => {
                    answered += 1;
                    let named = |text: String| format!("`{}`: {text}", leg.name);
                    verified.checked.extend(of_leg.checked.into_iter().map(named));
                    verified.unverifiable.extend(of_leg.unverifiable.into_iter().map(named));
                    verified.notes.extend(of_leg.notes.into_iter().map(named));
                    let problems = of_leg.problems.into_iter();
                    verified.problems.extend(problems.map(|mut problem| {
                        problem.place = named(problem.place);
                        problem
                    }));
                }
                Err(error) if is_away(error.kind()) => {
                    verified.unverifiable(format!("`{}`, which is away", leg.name));
                    last = Some(error);
                }
                Err(error) => return Err(error.with("leg", &leg.name)),
            }
        }
        if let Some(error) = last.filter(|_| answered == 0) {
            return Err(error);
        }
        let compared = self.compare(cx).await;
        verified.checked(format!("that {} sessions are the same in all stores that are there", compared.sessions));
        for difference in compared.differing {
            let place = format!("session {:?} of tenant {:?}", difference.session, difference.tenant);
            if self.is_being_copied(cx, &difference).await {
                verified.note(format!("{place} is being copied from one store to another"));
                continue;
            }
            let what = format!("not the same in `{}`", difference.legs.join("`, `"));
            verified.problem(Problem::new(place, what).with_remedy("heal, which copies what is missing"));
        }
        Ok(verified)
    }

    /// Whether a session differs only because it was written to a moment ago: it is marked, or is the same by now.
    async fn is_being_copied(&self, cx: &Context, difference: &Difference) -> bool {
        let system = cx.clone().with_tenant(difference.tenant.clone());
        let Ok(tenant) = tenant::inside(&system) else { return false };
        let place = Place { tenant: tenant.clone(), session: difference.session.clone() };
        if self.state().dirty.is_marked(&place) {
            return true;
        }
        let system = self.system(cx, &tenant);
        let mut digests = BTreeSet::new();
        for leg in 0..self.legs.len() {
            match self.digest(&system, leg, &difference.session).await {
                Ok(digest) => digests.insert(digest),
                Err(error) if is_away(error.kind()) => continue,
                Err(_) => return false,
            };
        }
        digests.len() <= 1
    }

    /// Compares the canonical sets of all sessions of all tenants.
    pub(crate) async fn compare(&self, cx: &Context) -> Compared {
        let mut found: BTreeMap<Place, Vec<Option<Fingerprint>>> = BTreeMap::new();
        let mut unread = BTreeSet::new();
        for leg in 0..self.legs.len() {
            if self.digest_leg(cx, leg, &mut found).await.is_err() {
                unread.insert(leg);
            }
        }
        let name = |leg: usize| self.legs.get(leg).map(|leg| Arc::clone(&leg.name));
        let mut compared = Compared {
            sessions: found.len() as u64,
            differing: Vec::new(),
            unread: unread.iter().filter_map(|leg| name(*leg)).collect(),
        };
        for (place, digests) in found {
            let mut read = digests.iter().enumerate().filter(|(leg, _)| !unread.contains(leg));
            let first = read.next().and_then(|(_, digest)| *digest);
            let legs: Vec<_> = read.filter(|(_, digest)| **digest != first).filter_map(|(leg, _)| name(leg)).collect();
            if let Some(tenant) = tenant::outside(&place.tenant).filter(|_| !legs.is_empty()) {
                compared.differing.push(Difference { tenant, session: place.session, legs });
            }
        }
        compared
    }

    async fn digest_leg(
        &self,
        cx: &Context,
        leg: usize,
        found: &mut BTreeMap<Place, Vec<Option<Fingerprint>>>,
    ) -> Result<()> {
        for tenant in self.tenants_of(cx, leg).await? {
            let system = self.system(cx, &tenant);
            let mut query = SessionQuery::new().include(Include::All).limit(MAX_PAGE);
            loop {
                let asked = query.clone();
                let list = |leg: DynBackend, cx: Context| async move { leg.sessions(&cx, &asked).await };
                let page = self.call(leg, &system, Operation::Sessions, list).await?;
                for session in page.items {
                    let place = Place { tenant: tenant.clone(), session: session.id };
                    let digest = self.digest(&system, leg, &place.session).await?;
                    let digests = found.entry(place).or_insert_with(|| vec![None; self.legs.len()]);
                    if let Some(of_leg) = digests.get_mut(leg) {
                        *of_leg = Some(digest);
                    }
                }
                match page.next {
                    Some(next) => query = query.cursor(Some(next)),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// What the canonical set of a session is compared by: a hash of the digests of its records, and their number.
    async fn digest(&self, cx: &Context, leg: usize, session: &SessionId) -> Result<Fingerprint> {
        let mut set: SessionSet<Digest> = SessionSet::new();
        let mut from: Option<Cursor> = None;
        loop {
            let asked = from.clone();
            let read = |leg: DynBackend, cx: Context| async move {
                leg.records(&cx, session, asked.as_ref(), Some(MAX_PAGE)).await
            };
            let changes = self.call(leg, cx, Operation::Records, read).await?;
            for record in &changes.items {
                let digest = record.encode().digest();
                set.replay(record, record.identity(), |_: &Message| digest);
            }
            if changes.done {
                break;
            }
            from = Some(changes.next);
        }
        let facts = set.facts().into_iter().map(|record| record.encode().digest());
        let mut parts: Vec<Digest> = facts.chain(set.bodies().map(|(_, digest)| *digest)).collect();
        // Two variants of a message have no order of their own.
        parts.sort_unstable();
        let mut hash = DefaultHasher::new();
        parts.iter().for_each(|part| hash.write(part.as_bytes()));
        Ok((hash.finish(), parts.len()))
    }
}
