//! Writing: to what is there, and to what is started by it.

use craftx_core::union::{check_expectation, no_such_session};
use craftx_core::{
    Backend, Context, Error, ErrorKind, Expect, Operation, Record, Result, Session, SessionId, Source, Stamp,
    WriteOptions, Written, random_bits,
};

use crate::audit::Entry;
use crate::guard::{Guard, denied, entry};
use crate::principal::{Asker, ROLE, Who, actions_of};
use crate::{Action, Actions, Relation};

/// How often a session that others start at the same time is looked at. Once it has an owner it stays, so two are enough.
const TRIES: usize = 3;

/// What a principal writes.
struct Batch<'a> {
    who: Who<'a>,
    session: &'a SessionId,
    records: &'a [Record],
    options: &'a WriteOptions,
    actions: Actions,
}

impl Batch<'_> {
    /// Whether it says nothing but that something is dead.
    fn only_deletes(&self) -> bool {
        self.actions == Action::Delete.into()
    }

    /// The answer to a write to what is not there, or may not be seen.
    fn absent(&self) -> Error {
        match check_expectation(None, self.records, self.options.expect) {
            Ok(()) => no_such_session(self.session),
            Err(error) => error,
        }
    }

    /// The record that says whose the session is. It is older than all others, so that it moves neither the version
    /// nor anything that a caller expects of it; two such records never meet, because only one write can be the first.
    fn owner(&self) -> Result<Record> {
        let first = self.records.iter().map(Record::stamp).min().unwrap_or(Stamp::MIN);
        let stamp = match first.millis() {
            0 => Stamp::MIN,
            ms => Stamp::mint(ms - 1, None, random_bits())?,
        };
        Ok(Record::Acl { stamp, owner: Some(self.who.id.to_owned()), grants: Vec::new() })
    }
}

impl Guard {
    pub(crate) async fn write_records(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let actions = Actions::of_records(records);
        let mut entry = entry(cx, Operation::Write, actions, Some(session));
        let asker = self.asker(&mut entry).await?;
        // What was told holds for everybody, also for those who do not need the place that is kept free.
        let most = Backend::capabilities(self).max_batch.map_or(usize::MAX, |most| most as usize);
        if records.len() > most {
            let error =
                Error::invalid("records", "there are too many").with("limit", most).with("found", records.len());
            return self.refuse(&entry, error).await;
        }
        let who = match asker {
            Asker::System => return self.write_as_is(cx, entry, records, options).await,
            Asker::Principal(who) => who,
        };
        match options.source {
            Source::Replay => self.replay(cx, who, entry, records, options).await,
            // Who owns what is said by this layer alone, and so is what a later release writes.
            Source::Fresh if actions.contains(Action::Admin) => self.refuse(&entry, denied(&entry)).await,
            Source::Fresh => self.write_fresh(cx, entry, Batch { who, session, records, options, actions }).await,
        }
    }

    async fn write_as_is(
        &self,
        cx: &Context,
        entry: Entry<'_>,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let Some(session) = entry.session else {
            return Err(Error::new(ErrorKind::Unexpected, "a write without a session").during("write"));
        };
        let says_who = records.iter().any(|record| matches!(record, Record::Acl { .. }));
        let written = self.log.around(entry, self.inner.write(cx, session, records, options)).await;
        if says_who {
            self.cache.forget(&cx.tenant, session);
        }
        written
    }

    /// A replay brings records with their stamps, owners among them: a restore or a migration.
    async fn replay(
        &self,
        cx: &Context,
        who: Who<'_>,
        mut entry: Entry<'_>,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        entry.actions = entry.actions.union(Action::Admin.into());
        let decision = who.decide_all(&*self.policy, entry.actions, Relation::Tenant);
        entry.rule = decision.rule;
        if !decision.allowed {
            return self.refuse(&entry, denied(&entry)).await;
        }
        for record in records {
            if let Record::Acl { owner, grants, .. } = record {
                let odd_owner = owner.as_ref().is_some_and(|owner| owner.starts_with(ROLE));
                if odd_owner || grants.iter().any(|grant| !actions_of(grant).contains(Action::Read)) {
                    let rule = "an owner is a principal, and every grant includes `read`";
                    return self.refuse(&entry, Error::invalid("acl", rule)).await;
                }
            }
        }
        self.write_as_is(cx, entry, records, options).await
    }

    async fn write_fresh(&self, cx: &Context, mut entry: Entry<'_>, batch: Batch<'_>) -> Result<Written> {
        // What is deleted must have been written before, which only the medium knows.
        if !batch.actions.contains(Action::Delete)
            && let Some(acl) = self.remembered(cx, batch.session)
        {
            let decision = batch.who.decide_all(&*self.policy, batch.actions, batch.who.relation(&acl));
            if decision.allowed {
                entry.rule = decision.rule;
                return self.write_as_is(cx, entry, batch.records, batch.options).await;
            }
        }
        for _ in 0..TRIES {
            match self.look(cx, batch.session).await? {
                Some(found) => return self.write_to(cx, entry, &batch, found).await,
                None => {
                    if let Some(written) = self.start(cx, &mut entry, &batch).await? {
                        return Ok(written);
                    }
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others start this session at the same time").during("write"))
    }

    /// Writes to a session that is there.
    async fn write_to(&self, cx: &Context, mut entry: Entry<'_>, batch: &Batch<'_>, found: Session) -> Result<Written> {
        let version = found.version;
        let relation = batch.who.relation(&found.into());
        let decision = batch.who.decide_all(&*self.policy, batch.actions, relation);
        entry.rule = decision.rule;
        if !decision.allowed {
            let error = match batch.who.sees(&*self.policy, relation) {
                true => denied(&entry),
                false => batch.absent(),
            };
            return self.refuse(&entry, error).await;
        }
        let administers = batch.who.decide(&*self.policy, Action::Admin, Relation::Tenant).allowed;
        if !administers && batch.records.iter().any(|record| covers(record) > Some(version)) {
            let rule = "what is not written yet cannot be deleted";
            return self.refuse(&entry, Error::invalid("stamp", rule).with("version", version)).await;
        }
        self.write_as_is(cx, entry, batch.records, batch.options).await
    }

    /// Writes to a session that is not there, which makes the principal its owner. `None` if somebody was faster.
    async fn start(&self, cx: &Context, entry: &mut Entry<'_>, batch: &Batch<'_>) -> Result<Option<Written>> {
        let Batch { who, session, records, options, actions } = batch;
        let policy = &*self.policy;
        let anywhere = who.decide_all(policy, *actions, Relation::Other);
        let start = who.decide(policy, Action::Append, Relation::New);
        if (records.is_empty() || batch.only_deletes()) && anywhere.allowed {
            // Nothing is started by it.
            entry.rule = anywhere.rule;
            return self.write_as_is(cx, entry.clone(), records, options).await.map(Some);
        }
        // A batch that would change nothing must not tell a name that is taken from one that is free.
        let probes = records.is_empty();
        let deletes = actions.contains(Action::Delete) && !who.decide(policy, Action::Delete, Relation::Other).allowed;
        if !start.allowed || probes || deletes || !who.decide_all(policy, *actions, Relation::Owner).allowed {
            entry.rule = "absent".into();
            return self.refuse(entry, batch.absent()).await;
        }
        entry.rule = start.rule;
        // Somebody who may write everywhere may also go on where nobody owned what was there before.
        let goes_on = anywhere.allowed && matches!(options.expect, Expect::Version(_));
        if !self.owners || goes_on {
            return self.write_as_is(cx, entry.clone(), records, options).await.map(Some);
        }
        if matches!(options.expect, Expect::Version(_)) {
            return self.refuse(entry, batch.absent()).await;
        }
        let mut started = Vec::with_capacity(records.len() + 1);
        started.push(batch.owner()?);
        started.extend_from_slice(records);
        let first = WriteOptions::clone(options).expecting(Expect::New);
        match self.write_as_is(cx, entry.clone(), &started, &first).await {
            Ok(written) => Ok(Some(without_owner(written))),
            Err(error) if error.kind() == ErrorKind::Conflict && error.get("version").is_some() => {
                if self.look(cx, session).await?.is_some() {
                    return Ok(None);
                }
                // Only what is dead is left of it, and nobody owned it.
                match anywhere.allowed {
                    true => self.write_as_is(cx, entry.clone(), records, options).await.map(Some),
                    false => {
                        entry.rule = "absent".into();
                        self.refuse(entry, batch.absent()).await
                    }
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// Up to which stamp a record says that something is dead.
fn covers(record: &Record) -> Option<Stamp> {
    match record {
        Record::Deleted { id, .. } => Some(*id),
        Record::Cleared { through, .. } => Some(*through),
        _ => None,
    }
}

/// The counts without the record that the caller did not write. It applied unless the whole batch was known.
fn without_owner(mut written: Written) -> Written {
    match (&mut written.applied, &mut written.known) {
        (Some(applied), _) if *applied > 0 => *applied -= 1,
        (_, Some(known)) => *known = known.saturating_sub(1),
        _ => {}
    }
    written
}
