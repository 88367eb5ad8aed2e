//! What the writer's thread does: it takes what waits, commits it together, and acknowledges.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use craftx_core::{Deadline, Error, ErrorKind, Result, Written};
use rusqlite::{Connection, ErrorCode, ffi};

use crate::apply::{self, Position};
use crate::error::{is_busy, is_failed_sync, storage};
use crate::place::{Place, moved};
use crate::queue::Queue;
use crate::wal::Wal;
use crate::writer::{Batch, Job, State, gone, locked_out};

/// How many batches share a transaction at most.
const MAX_GROUP: usize = 256;

/// What runs on the thread.
pub(crate) struct Worker {
    conn: Connection,
    place: Arc<Place>,
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
    pub(crate) fn new(
        conn: Connection,
        place: Arc<Place>,
        queue: Arc<Queue<Job>>,
        state: Arc<State>,
        wal: Wal,
    ) -> Self {
        Self { conn, place, queue, state, wal, poisoned: false, full: false }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _abandon = Abandon(Arc::clone(&self.queue));
        while let Some(job) = self.queue.pop() {
            match job {
                Job::Task(task) => {
                    let conn = match self.is_itself() {
                        Err(refusal) => Err(refusal.error()),
                        Ok(()) => Ok(&mut self.conn),
                    };
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
        let Some(group) = self.begin(group) else { return Attempt::Done };
        let mut position = match Position::read(&self.conn) {
            Ok(position) => position,
            Err(error) => {
                self.roll_back();
                refuse(group, error.sqlite_error().copied());
                return Attempt::Done;
            }
        };
        let mut waiting = VecDeque::from(group);
        let mut done = Vec::with_capacity(waiting.len());
        while let Some(batch) = self.next(&mut waiting, done.len()) {
            match self.unite(&batch, &mut position) {
                United::Whole(result) => done.push((batch, result)),
                United::Broken(error) => {
                    // What was not acknowledged yet is done again without this batch.
                    self.roll_back();
                    self.full |= error.kind() == ErrorKind::StorageFull;
                    batch.answer(Err(error));
                    return Attempt::Again(done.into_iter().map(|(batch, _)| batch).chain(waiting).collect());
                }
            }
        }
        self.finish(done, position);
        Attempt::Done
    }

    /// The next batch of the group that can be done. Whoever came while the ones before it were done, or while another
    /// process held the lock, goes along.
    fn next(&self, waiting: &mut VecDeque<Batch>, done: usize) -> Option<Batch> {
        loop {
            while done + waiting.len() < MAX_GROUP
                && let Some(Job::Write(batch)) = self.queue.pop_if(|job| matches!(job, Job::Write(_)))
            {
                waiting.push_back(*batch);
            }
            let batch = self.timely(waiting.pop_front()?);
            if let Some(batch) = batch.filter(|batch| batch.ticket.begin()) {
                return Some(batch);
            }
        }
    }

    fn may_write(&mut self) -> std::result::Result<(), Refusal> {
        let too_large = self.wal.is_too_large(&self.conn);
        self.is_itself()?;
        if too_large { Err(Refusal::Wal(self.wal.max())) } else { Ok(()) }
    }

    /// Whether what is on the disk is what SQLite takes it for.
    fn is_itself(&self) -> std::result::Result<(), Refusal> {
        match (self.is_poisoned(), self.place.has_moved()) {
            (true, _) => Err(Refusal::Poisoned),
            (false, true) => Err(Refusal::Moved),
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
            group = group.into_iter().filter_map(|batch| self.timely(batch)).collect();
            if group.is_empty() {
                self.state.locked_out.store(false, Ordering::Release);
                return None;
            }
            match self.execute("BEGIN IMMEDIATE") {
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
                    refuse(group, error.sqlite_error().copied());
                    return None;
                }
            }
        }
    }

    /// The batch, if it can still wait; else it gets its answer.
    fn timely(&self, batch: Batch) -> Option<Batch> {
        // For a future that was dropped, or has given up, nothing needs to be begun.
        if batch.reply.is_canceled() {
            return None;
        }
        if !batch.deadline.has_passed() {
            return Some(batch);
        }
        // What has begun in an earlier attempt was rolled back, so this is certain in either case.
        let locked = self.state.locked_out.load(Ordering::Acquire);
        batch.answer(Err(if locked { locked_out() } else { Deadline::error() }));
        None
    }

    /// Unites one batch with its session. Whatever can be refused is refused before anything is changed, so no savepoint is
    /// needed; what fails after that undoes the whole transaction, which only a damaged or failing store makes necessary.
    fn unite(&self, batch: &Batch, position: &mut Position) -> United {
        let Batch { tenant, session, records, options, now, .. } = batch;
        let prepared = match apply::prepare(&self.conn, tenant, session, records, options) {
            Ok(prepared) => prepared,
            Err(fault) if self.conn.is_autocommit() => return United::Broken(fault.into()),
            Err(fault) => return United::Whole(Err(fault.into())),
        };
        match apply::store(&self.conn, position, tenant, session, prepared, *now) {
            Ok(_) if self.conn.is_autocommit() => United::Broken(gone()),
            Ok(written) => United::Whole(Ok(written)),
            Err(fault) => United::Broken(fault.into()),
        }
    }

    /// Executes a statement that is compiled once.
    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn roll_back(&mut self) {
        if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
            self.poisoned = true;
        }
    }

    /// Commits, then acknowledges.
    fn finish(&mut self, done: Vec<(Batch, Result<Written>)>, mut position: Position) {
        let failure = match position.write(&self.conn) {
            Err(error) => Some((error, true)),
            Ok(()) => self.execute("COMMIT").err().map(|error| {
                // A log that lacks the end of its last transaction does not count, so a full disk leaves no doubt, and
                // neither does a lock. Everything else does.
                let certain = is_full(&error) || is_busy(&error);
                (error, certain)
            }),
        };
        let Some((error, certain)) = failure else {
            self.state.commits.fetch_add(1, Ordering::AcqRel);
            // It is durable in the file that is open. Whether that one comes back nobody knows.
            let moved = self.place.has_moved();
            for (batch, result) in done {
                let lost = || Err(Refusal::Moved.error().maybe_applied());
                batch.answer(if moved { result.and_then(|_| lost()) } else { result });
            }
            return;
        };
        self.poisoned |= is_failed_sync(&error);
        self.full |= is_full(&error);
        self.roll_back();
        let code = error.sqlite_error().copied();
        for (batch, result) in done {
            batch.answer(result.and_then(|_| Err(failed(code, !certain))));
        }
    }
}

/// What became of a batch in its transaction.
enum United {
    /// It is in the transaction as a whole, or not at all because it is refused.
    Whole(Result<Written>),
    /// The transaction has to be undone, or is already.
    Broken(Error),
}

/// Answers batches of which none was begun.
fn refuse(group: Vec<Batch>, code: Option<ffi::Error>) {
    group.into_iter().for_each(|batch| batch.answer(Err(failed(code, false))));
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
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
    Moved,
    Wal(u64),
}

impl Refusal {
    fn error(self) -> Error {
        match self {
            Self::Poisoned => Error::new(
                ErrorKind::Unavailable,
                "a sync of the database has failed, so what is on the disk is unknown; open the store again",
            ),
            Self::Moved => moved(),
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
