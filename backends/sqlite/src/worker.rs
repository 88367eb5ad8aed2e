//! What the writer's thread does: it takes what waits, commits it together, and acknowledges.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use craftx_core::{Error, ErrorKind, Result, Written};
use rusqlite::{Connection, ErrorCode, ffi};

use crate::apply;
use crate::call::late;
use crate::error::{Sql, is_busy, is_failed_sync, storage};
use crate::queue::Queue;
use crate::wal::Wal;
use crate::writer::{Batch, Job, State, gone, locked_out};

/// How many batches share a transaction at most.
const MAX_GROUP: usize = 256;

/// What runs on the thread.
pub(crate) struct Worker {
    conn: Connection,
    queue: Arc<Queue<Job>>,
    state: Arc<State>,
    wal: Wal,
    /// A sync has failed. Nobody knows what is on the disk, so nothing is acknowledged until the file is opened again.
    poisoned: bool,
    /// The disk was full. What the log takes may be had again.
    full: bool,
}

/// What became of one attempt to commit a group.
enum Attempt {
    /// Every batch has its answer.
    Done,
    /// The transaction is gone, and with it the batch that broke it; the others have to be tried again.
    Again(Vec<Batch>),
}

impl Worker {
    pub(crate) fn new(conn: Connection, queue: Arc<Queue<Job>>, state: Arc<State>, wal: Wal) -> Self {
        Self { conn, queue, state, wal, poisoned: false, full: false }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _abandon = Abandon(Arc::clone(&self.queue));
        while let Some(job) = self.queue.pop() {
            match job {
                Job::Task(task) => {
                    let conn = if self.is_poisoned() { Err(Refusal::Poisoned.error()) } else { Ok(&mut self.conn) };
                    self.poisoned |= task(conn);
                }
                Job::Write(batch) => {
                    self.commit(vec![*batch]);
                    if std::mem::take(&mut self.full) {
                        self.wal.truncate(&self.conn);
                    }
                    self.wal.tend(&self.conn);
                }
            }
        }
        // The last connection of all processes also takes the log away; this one may not be the last.
        self.wal.truncate(&self.conn);
    }

    fn commit(&mut self, mut group: Vec<Batch>) {
        while !group.is_empty() {
            match self.attempt(group) {
                Attempt::Done => return,
                Attempt::Again(rest) => group = rest,
            }
        }
    }

    fn attempt(&mut self, group: Vec<Batch>) -> Attempt {
        if let Err(refusal) = self.may_write() {
            group.into_iter().for_each(|batch| batch.answer(Err(refusal.error())));
            return Attempt::Done;
        }
        let Some(mut group) = self.begin(group) else { return Attempt::Done };
        // Whoever came while another process held the lock goes along.
        while group.len() < MAX_GROUP
            && let Some(Job::Write(batch)) = self.queue.pop_if(|job| matches!(job, Job::Write(_)))
        {
            group.push(*batch);
        }
        group = self.timely(group);
        group.retain(|batch| batch.ticket.begin());
        let mut done = Vec::with_capacity(group.len());
        let mut rest = group.into_iter();
        while let Some(batch) = rest.next() {
            let result = self.unite(&batch);
            if self.poisoned || self.conn.is_autocommit() {
                // Some failures, such as a full disk, roll the whole transaction back: what was not acknowledged yet
                // is done again without this batch.
                let error = result.err().map_or_else(gone, Error::from);
                self.full |= error.kind() == ErrorKind::StorageFull;
                batch.answer(Err(error));
                return Attempt::Again(done.into_iter().map(|(batch, _)| batch).chain(rest).collect());
            }
            done.push((batch, result));
        }
        self.finish(done);
        Attempt::Done
    }

    fn may_write(&mut self) -> std::result::Result<(), Refusal> {
        let too_large = self.wal.is_too_large(&self.conn);
        match (self.is_poisoned(), too_large) {
            (true, _) => Err(Refusal::Poisoned),
            (false, true) => Err(Refusal::Wal(self.wal.max())),
            (false, false) => Ok(()),
        }
    }

    fn is_poisoned(&self) -> bool {
        self.poisoned || self.wal.sync_failed()
    }

    /// Begins the transaction, waiting for other processes as long as any batch can wait. Returns the batches that
    /// can still be done, `None` if there are none; the others have their answer.
    fn begin(&mut self, mut group: Vec<Batch>) -> Option<Vec<Batch>> {
        loop {
            group = self.timely(group);
            if group.is_empty() {
                self.state.locked_out.store(false, Ordering::Release);
                return None;
            }
            match self.conn.execute_batch("BEGIN IMMEDIATE") {
                Ok(()) => {
                    self.state.locked_out.store(false, Ordering::Release);
                    return Some(group);
                }
                Err(error) if is_busy(&error) => {
                    self.state.locked_out.store(true, Ordering::Release);
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => {
                    self.state.locked_out.store(false, Ordering::Release);
                    let code = error.sqlite_error().copied();
                    group.into_iter().for_each(|batch| batch.answer(Err(failed(code, false))));
                    return None;
                }
            }
        }
    }

    /// The batches that can still wait; the others get their answer.
    fn timely(&self, mut group: Vec<Batch>) -> Vec<Batch> {
        // For a future that was dropped, or has given up, nothing needs to be begun.
        group.retain(|batch| !batch.reply.is_canceled());
        let (expired, waiting) = group.into_iter().partition::<Vec<_>, _>(|batch| batch.deadline.has_passed());
        let locked = self.state.locked_out.load(Ordering::Acquire);
        for batch in expired {
            // What has begun in an earlier attempt was rolled back, so this is certain in either case.
            batch.answer(Err(if locked { locked_out() } else { late() }));
        }
        waiting
    }

    /// Unites one batch, whole or not at all. If not even that is possible, the whole transaction is undone.
    fn unite(&mut self, batch: &Batch) -> Sql<Written> {
        let conn = &self.conn;
        conn.prepare_cached("SAVEPOINT batch")?.execute([])?;
        let result = apply::unite(conn, &batch.tenant, &batch.session, &batch.records, &batch.options, batch.now);
        if conn.is_autocommit() {
            return result;
        }
        let ended = match &result {
            Ok(_) => conn.prepare_cached("RELEASE batch").and_then(|mut release| release.execute([]).map(drop)),
            Err(_) => conn.execute_batch("ROLLBACK TO batch; RELEASE batch"),
        };
        if let Err(error) = ended {
            self.roll_back();
            return Err(error.into());
        }
        result
    }

    fn roll_back(&mut self) {
        if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
            self.poisoned = true;
        }
    }

    /// Commits, then acknowledges.
    fn finish(&mut self, done: Vec<(Batch, Sql<Written>)>) {
        let committed = self.conn.execute_batch("COMMIT");
        let (code, unknown) = match &committed {
            Ok(()) => {
                self.state.commits.fetch_add(1, Ordering::AcqRel);
                (None, false)
            }
            Err(error) => {
                self.poisoned |= is_failed_sync(error);
                // A log that lacks the end of its last transaction does not count, so a full disk leaves no doubt, and
                // neither does a lock. Everything else does.
                let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
                self.full |= full;
                let certain = full || is_busy(error);
                (error.sqlite_error().copied(), !certain)
            }
        };
        self.roll_back();
        for (batch, result) in done {
            let result = match (result, &committed) {
                (Ok(written), Ok(())) => Ok(written),
                (Ok(_), Err(_)) => Err(failed(code, unknown)),
                (Err(refused), _) => Err(refused.into()),
            };
            batch.answer(result);
        }
    }
}

/// The same failure, for one of many batches.
fn failed(code: Option<ffi::Error>, unknown: bool) -> Error {
    let error = storage(match code {
        Some(code) => rusqlite::Error::SqliteFailure(code, None),
        None => rusqlite::Error::InvalidQuery,
    });
    if unknown { error.maybe_applied() } else { error }
}

impl Batch {
    fn answer(self, result: Result<Written>) {
        // The future may have been dropped; the write happened all the same, or did not.
        let _ = self.reply.send(result);
    }
}

/// Why nothing is written now.
#[derive(Clone, Copy)]
enum Refusal {
    Poisoned,
    Wal(u64),
}

impl Refusal {
    fn error(self) -> Error {
        match self {
            Self::Poisoned => Error::new(
                ErrorKind::Unavailable,
                "a sync of the database has failed, so what is on the disk is unknown; open the store again",
            ),
            Self::Wal(max) => {
                Error::new(ErrorKind::Unavailable, "a reader holds the write-ahead log, which may not grow further")
                    .with("max_wal_bytes", max)
            }
        }
    }
}

/// If the thread ends, for whatever reason, nobody may wait for it any longer.
struct Abandon(Arc<Queue<Job>>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
