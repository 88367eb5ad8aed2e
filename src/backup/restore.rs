//! Bringing an archive back into a store.

use std::fmt;
use std::sync::Arc;

use craftx_core::{Context, DynBackend, Error, ErrorKind, Problem, Record, Result, SessionId, Verified, WriteOptions};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;

use super::archive::Archive;
use super::create::Watch;
use super::format::{Begin, Counts};
use super::reader::{Item, Reader};
use super::state;
use super::verify::{CheckedArchive, check};
use super::walk::Walk;
use crate::Storage;

/// The greatest number of records that are written at once, and of bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;
/// How many batches are on their way at the same time.
const AT_ONCE: usize = 16;

/// An archive that is to be restored. Nothing is ever taken away: its records are united with those that are there.
///
/// The storage must be [for](Storage::for_caller) [`Caller::System`](crate::Caller::System). See [`Backup`](super::Backup)
/// for an example.
#[derive(Clone)]
pub struct Restore {
    archive: Archive,
    merge: bool,
    watch: Option<Watch>,
}

/// What restoring would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The archive, which was read whole and is what was written.
    pub archive: CheckedArchive,
    /// Whether nothing was ever written to the store.
    pub empty: bool,
    /// The archive is an increment, and what it builds on was not restored into this store.
    pub lacks_base: bool,
    /// Why it would be refused, if it would be.
    pub refused: Option<String>,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Restored {
    /// The archive.
    pub archive: CheckedArchive,
    /// The archive is an increment, and what it builds on was not restored into this store.
    pub lacks_base: bool,
    /// Records that were not there yet, where the store can count them.
    pub applied: Option<u64>,
    /// Records that were there already.
    pub known: Option<u64>,
    /// Records that a deletion covers, or a later record supersedes.
    pub dead: Option<u64>,
    /// What the check found that follows restoring: all of the archive is there, and the store can read what it holds.
    pub verified: Verified,
}

impl Restore {
    /// Restores this archive.
    pub fn of(archive: &Archive) -> Self {
        Self { archive: archive.clone(), merge: false, watch: None }
    }

    /// Into a store that holds something already, or an increment.
    #[must_use]
    pub fn merge(mut self, merge: bool) -> Self {
        self.merge = merge;
        self
    }

    /// After each session, `watch` is told how much has been written.
    #[must_use]
    pub fn watched(mut self, watch: impl Fn(&Counts) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Checks the archive and says what restoring it would do; `None` is a store that is not there yet.
    ///
    /// # Errors
    /// As [`verify`](super::verify), and those of the store.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn preview(&self, storage: Option<&Storage>) -> Result<Preview> {
        self.look(storage.map(Walk::new).as_ref()).await.map_err(|error| error.during("restore"))
    }

    /// Checks the whole archive, then unites its records with the store, then checks that all of them are there.
    /// If it was interrupted, or failed, do it again, merging.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the store is not empty, or the archive an increment, unless it is to
    /// be [merged](Self::merge); [`NotEncrypted`](ErrorKind::NotEncrypted) if the store is encrypted and the archive is
    /// not; [`PermissionDenied`](ErrorKind::PermissionDenied) unless the caller is the system; and as
    /// [`verify`](super::verify), before anything is written.
    ///
    /// # Cancel safety
    /// May be dropped at any time; do it again, merging.
    pub async fn into_storage(&self, storage: &Storage) -> Result<Restored> {
        self.run(storage).await.map_err(|error| error.during("restore"))
    }

    async fn look(&self, walk: Option<&Walk>) -> Result<Preview> {
        let archive = check(&self.archive, None).await?;
        let (mut empty, mut lacks_base) = (true, archive.about.base.is_some());
        if let Some(walk) = walk {
            empty = walk.is_empty().await?;
            if let Some(base) = &archive.about.base {
                let own = walk.status().await?.store.to_string() == archive.about.store;
                lacks_base = (empty || !own) && !state::has_restored(walk, base).await?;
            }
        }
        let refused = self.refused(&archive, empty, walk.is_some_and(|walk| walk.encrypted));
        Ok(Preview { archive, empty, lacks_base, refused: refused.map(|error| error.to_string()) })
    }

    /// Why this archive may not be restored.
    fn refused(&self, archive: &CheckedArchive, empty: bool, encrypted: bool) -> Option<Error> {
        if encrypted && archive.plaintext {
            let what = "the archive is not encrypted and the store is; restore into a store without encryption";
            return Some(Error::new(ErrorKind::NotEncrypted, what).with("then", "`craftx keys encrypt-existing`"));
        }
        if self.merge {
            return None;
        }
        match &archive.about.base {
            Some(base) => Some(
                Error::invalid("archive", "is an increment: restore what it builds on, and then merge this one")
                    .with("base", base),
            ),
            None if !empty => Some(Error::invalid("store", "is not empty; merge the archive, or name another store")),
            None => None,
        }
    }

    async fn run(&self, storage: &Storage) -> Result<Restored> {
        storage.context().require_system()?;
        let walk = Walk::new(storage);
        let Preview { archive, empty, lacks_base, .. } = self.look(Some(&walk)).await?;
        if let Some(error) = self.refused(&archive, empty, walk.encrypted) {
            return Err(self.archive.name(error));
        }
        let first = self.pass(&walk, &archive, self.watch.as_ref()).await?;
        let again = self.pass(&walk, &archive, None).await?;
        let mut verified = walk.backend.verify(&storage.context()).await?;
        match again.applied {
            Some(0) => verified.checked("every record of the archive"),
            // Where the medium cannot count, the second time has made sure by itself.
            None => verified.unverifiable("whether every record of the archive was there after the first time"),
            Some(lost) => {
                let what = format!("{lost} records of the archive were not there after they had been written");
                verified.problem(Problem::new("the store", what).with_remedy("restore again, merging"));
            }
        }
        // Nothing may be written in clear into a store that may be opened with encryption later.
        if verified.is_clean() && archive.ciphertext <= walk.encrypted {
            // Only what an increment is told later depends on it.
            let _ = state::restored(&walk, &archive.digest).await;
        }
        let Tally { applied, known, dead } = first;
        Ok(Restored { archive, lacks_base, applied, known, dead, verified })
    }

    /// Unites every record of the archive with the store.
    async fn pass(&self, walk: &Walk, checked: &CheckedArchive, watch: Option<&Watch>) -> Result<Tally> {
        let mut reader = Reader::open(&self.archive).await?;
        let mut writes = Writes { walk, going: FuturesUnordered::new(), tally: Tally::new() };
        let mut at: Option<Begin> = None;
        let (mut batch, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
        let mut counts = Counts::default();
        loop {
            match reader.next().await.map_err(|error| self.archive.name(error))? {
                Item::Begin(begin) => at = Some(begin),
                Item::Record(record) => {
                    bytes += record.encode().as_str().len();
                    batch.push(record);
                    if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                        writes.write(at.as_ref(), std::mem::take(&mut batch)).await?;
                        bytes = 0;
                    }
                }
                Item::End(end) => {
                    writes.write(at.take().as_ref(), std::mem::take(&mut batch)).await?;
                    bytes = 0;
                    counts.sessions += 1;
                    counts.records += end.records;
                    counts.messages += end.messages;
                    counts.bytes += end.bytes;
                    if let Some(watch) = watch {
                        watch(&counts);
                    }
                }
                Item::Done(_, digest) if digest == checked.digest => return writes.finish().await,
                Item::Done(..) => {
                    let error = Error::new(ErrorKind::Corrupted, "the archive changed while it was restored");
                    return Err(self.archive.name(error));
                }
            }
        }
    }
}

impl fmt::Debug for Restore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restore").field("archive", &self.archive).field("merge", &self.merge).finish_non_exhaustive()
    }
}

/// What became of the records; `None` where the medium cannot count.
#[derive(Clone, Copy)]
struct Tally {
    applied: Option<u64>,
    known: Option<u64>,
    dead: Option<u64>,
}

impl Tally {
    fn new() -> Self {
        Self { applied: Some(0), known: Some(0), dead: Some(0) }
    }
}

/// Batches on their way. Their order does not matter: a write is a union.
struct Writes<'a> {
    walk: &'a Walk,
    going: FuturesUnordered<BoxFuture<'static, Result<craftx_core::Written>>>,
    tally: Tally,
}

impl Writes<'_> {
    async fn write(&mut self, at: Option<&Begin>, batch: Vec<Record>) -> Result<()> {
        let Some(Begin { tenant, session, .. }) = at.filter(|_| !batch.is_empty()) else { return Ok(()) };
        while self.going.len() >= AT_ONCE {
            self.one().await?;
        }
        let (backend, cx) = (self.walk.backend.clone(), self.walk.context(tenant));
        self.going.push(unite(backend, cx, session.clone(), batch).boxed());
        Ok(())
    }

    /// Waits for one of them; whether there was one.
    async fn one(&mut self) -> Result<bool> {
        let Some(written) = self.going.next().await.transpose()? else { return Ok(false) };
        let add = |sum: &mut Option<u64>, more: Option<u32>| {
            *sum = sum.zip(more).map(|(sum, more)| sum + u64::from(more));
        };
        add(&mut self.tally.applied, written.applied);
        add(&mut self.tally.known, written.known);
        add(&mut self.tally.dead, written.dead);
        Ok(true)
    }

    async fn finish(mut self) -> Result<Tally> {
        while self.one().await? {}
        Ok(self.tally)
    }
}

async fn unite(
    backend: DynBackend,
    cx: Context,
    session: SessionId,
    batch: Vec<Record>,
) -> Result<craftx_core::Written> {
    let written = backend.write(&cx, &session, &batch, &WriteOptions::replay()).await;
    written.map_err(|error| error.with("tenant", format!("{:?}", cx.tenant)).with("session", format!("{session:?}")))
}
