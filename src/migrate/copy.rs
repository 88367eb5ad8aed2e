//! Copying: over all sessions, until there is nothing new.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use craftx_core::{Changes, Error, Record, Result, SessionId, Tenant, WriteOptions};
use futures_util::future::{FutureExt, join};
use futures_util::stream::TryStreamExt;

use super::journal::Journal;
use super::report::failed;
use super::walk::{self, Sessions};
use super::{Migrated, Progress, SessionFailure, StorageMigrator};
use crate::Storage;

/// So many sessions are on their way at the same time: media sync them together.
const AT_ONCE: usize = 16;
/// So many records are read at once, and written at once if they are not larger than so many bytes.
const BATCH: u32 = 500;
const BATCH_BYTES: usize = 4 << 20;
/// How often the sessions are gone through at most.
const PASSES: u32 = 16;

pub(super) async fn copy(migrator: StorageMigrator, journal: Journal) -> Result<Migrated> {
    let resumed = journal.resumed();
    let mut total = Migrated { resumed, ..Migrated::default() };
    let copying = Arc::new(Copying { migrator, journal: Mutex::new(journal), progress: Mutex::default() });
    while total.passes < PASSES && !total.caught_up {
        let pass = copying.pass(total.passes + 1).await?;
        // A medium may tell a record twice, or not know what it had: either is enough to be done.
        total.caught_up = pass.records == 0 || pass.applied == 0;
        total = Migrated {
            messages: total.messages + pass.messages,
            records: total.records + pass.records,
            applied: total.applied + pass.applied,
            passes: total.passes + 1,
            caught_up: total.caught_up,
            resumed,
            ..pass
        };
    }
    Ok(total)
}

struct Copying {
    migrator: StorageMigrator,
    journal: Mutex<Journal>,
    progress: Mutex<Progress>,
}

/// What was copied of a session.
#[derive(Default)]
struct Copied {
    messages: u64,
    records: u64,
    applied: u64,
    failure: Option<SessionFailure>,
}

impl Copying {
    /// Goes over all sessions.
    async fn pass(self: &Arc<Self>, number: u32) -> Result<Migrated> {
        self.tell(|progress| *progress = Progress { pass: number, sessions: 0, ..*progress });
        let (tenants, skipped_tenants) = walk::tenants(&self.migrator.from).await?;
        let mut pass = Migrated { tenants: tenants.len() as u64, skipped_tenants, ..Migrated::default() };
        for tenant in tenants {
            let from = self.migrator.from.for_tenant(tenant.clone());
            let of_tenant = (Arc::clone(self), tenant);
            let copies = Sessions::new(&from).stream().map_ok(move |session| {
                let (copying, tenant) = of_tenant.clone();
                async move { copying.session(&tenant, session).await }.boxed()
            });
            let mut copies = copies.try_buffer_unordered(AT_ONCE);
            while let Some(copied) = copies.try_next().await? {
                pass.sessions += 1;
                pass.messages += copied.messages;
                pass.records += copied.records;
                pass.applied += copied.applied;
                if let Some(failure) = copied.failure {
                    failed(&mut pass.failed, &mut pass.failures, failure);
                }
                self.tell(|progress| progress.sessions += 1);
            }
        }
        // They end in any order.
        pass.failed.sort_by(|a, b| (&a.tenant, &a.session).cmp(&(&b.tenant, &b.session)));
        Ok(pass)
    }

    /// Copies what is new of a session.
    ///
    /// # Errors
    /// Those that concern others too.
    async fn session(&self, tenant: &Tenant, session: SessionId) -> Result<Copied> {
        let mut copied = Copied::default();
        match self.parts(tenant, &session, &mut copied).await {
            Ok(()) => Ok(copied),
            Err(Broken { error, reading }) if walk::concerns_one_session(&error, reading) => {
                copied.failure = Some(SessionFailure::new(tenant, &session, &error));
                Ok(copied)
            }
            Err(Broken { error, .. }) => Err(error.with("session", format_args!("{session:?}"))),
        }
    }

    async fn parts(&self, tenant: &Tenant, session: &SessionId, copied: &mut Copied) -> Result<(), Broken> {
        let (from, to) = (self.migrator.from.for_tenant(tenant.clone()), self.migrator.to.for_tenant(tenant.clone()));
        let begin = self.journal().cursor(tenant, session);
        let mut part = walk::part(&from, session, begin.as_ref(), BATCH).await.map_err(Broken::reading)?;
        loop {
            let Changes { items, next, done } = part;
            let following =
                async { if done { Ok(None) } else { walk::part(&from, session, Some(&next), BATCH).await.map(Some) } };
            // The next part is read while this one is written.
            let (written, following) = join(self.write(&to, session, items, copied), following).await;
            written.map_err(Broken::writing)?;
            self.journal().reach(tenant, session, next.clone()).map_err(Broken::writing)?;
            match following.map_err(Broken::reading)? {
                Some(following) => part = following,
                None => return Ok(()),
            }
        }
    }

    /// Writes records, in batches that are not too large.
    async fn write(&self, to: &Storage, session: &SessionId, records: Vec<Record>, copied: &mut Copied) -> Result<()> {
        let mut batch = Vec::with_capacity(records.len());
        let mut bytes = 0;
        for record in records {
            let size = record.encode().as_str().len();
            if !batch.is_empty() && bytes + size > BATCH_BYTES {
                self.write_batch(to, session, &batch, copied).await?;
                batch.clear();
                bytes = 0;
            }
            bytes += size;
            batch.push(record);
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.write_batch(to, session, &batch, copied).await,
        }
    }

    async fn write_batch(
        &self,
        to: &Storage,
        session: &SessionId,
        batch: &[Record],
        copied: &mut Copied,
    ) -> Result<()> {
        let written = to.stack().backend().write(&to.context(), session, batch, &WriteOptions::replay()).await?;
        let records = batch.len() as u64;
        copied.records += records;
        copied.applied += written.applied.map_or(records, u64::from);
        copied.messages += batch.iter().filter(|record| matches!(record, Record::Message(_))).count() as u64;
        self.tell(|progress| progress.records += records);
        Ok(())
    }

    /// Says how far it is.
    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        let progress = {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut progress);
            *progress
        };
        self.migrator.watcher.tell(&progress);
    }

    /// A line of the journal is either noted or not.
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a session was not copied to its end.
struct Broken {
    error: Error,
    reading: bool,
}

impl Broken {
    fn reading(error: Error) -> Self {
        Self { error, reading: true }
    }

    fn writing(error: Error) -> Self {
        Self { error, reading: false }
    }
}
