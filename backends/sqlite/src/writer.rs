//! The writer: one thread that owns the only connection which writes.
//!
//! All batches that wait share one transaction and one sync (group commit); each has a savepoint of its own, so that
//! one that is refused takes no other with it. A batch is acknowledged after the commit, never before.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use craftx_core::{Context, Error, ErrorKind, Record, Result, SessionId, Tenant, WriteOptions, Written};
use futures_channel::oneshot;
use rusqlite::{Connection, ErrorCode, ffi};

use crate::apply;
use crate::call::{Deadline, Ticket, Waited, answer, late};
use crate::error::{Fault, Sql, is_busy, is_failed_sync, storage};
use crate::open::patiently;
use crate::queue::Queue;
use crate::row::micros;
use crate::wal::Wal;

/// How many batches share a transaction at most.
const MAX_GROUP: usize = 256;

/// The handle of the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Arc<Queue<Job>>,
    state: Arc<State>,
    thread: Mutex<Option<(JoinHandle<()>, oneshot::Receiver<()>)>>,
}

/// What the thread lets others know.
#[derive(Debug, Default)]
struct State {
    /// Whether another process keeps the writer waiting.
    locked_out: AtomicBool,
    /// How many transactions were committed.
    commits: AtomicU64,
}

enum Job {
    Write(Box<Batch>),
    Task(Task),
}

/// Gets the connection, or why it may not be used; says whether a sync has failed.
type Task = Box<dyn FnOnce(Result<&mut Connection>) -> bool + Send>;

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Write(_) => "Write",
            Self::Task(_) => "Task",
        })
    }
}

/// One write, with everything that the thread needs after its future was dropped.
struct Batch {
    tenant: Tenant,
    session: SessionId,
    records: Vec<Record>,
    options: WriteOptions,
    now: i64,
    deadline: Deadline,
    ticket: Arc<Ticket>,
    reply: oneshot::Sender<Result<Written>>,
}

impl Writer {
    pub(crate) fn start(conn: Connection, path: PathBuf, max_wal_bytes: u64) -> Result<Self> {
        let queue = Arc::new(Queue::new());
        let state = Arc::new(State::default());
        let (done, ended) = oneshot::channel();
        let worker = Worker {
            conn,
            queue: Arc::clone(&queue),
            state: Arc::clone(&state),
            wal: Wal::new(path, max_wal_bytes),
            poisoned: false,
            full: false,
        };
        let thread = std::thread::Builder::new()
            .name("craftx-sqlite-writer".into())
            .spawn(move || {
                worker.run();
                // Nobody waits for the end of a store that was dropped without being closed.
                let _ = done.send(());
            })
            .map_err(no_thread)?;
        Ok(Self { queue, state, thread: Mutex::new(Some((thread, ended))) })
    }

    pub(crate) async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let deadline = Deadline::of(cx);
        let ticket = Arc::new(Ticket::default());
        let (reply, receiver) = oneshot::channel();
        let batch = Batch {
            tenant: cx.tenant.clone(),
            session: session.clone(),
            records: records.to_vec(),
            options: options.clone(),
            now: micros(cx.clock.wall()),
            deadline: deadline.clone(),
            ticket: Arc::clone(&ticket),
            reply,
        };
        let bytes = records.iter().map(weight).sum();
        self.queue.push(Job::Write(Box::new(batch)), bytes, &deadline).await?;
        match answer(receiver, deadline.remaining()).await {
            Waited::Answer(result) => result,
            Waited::Late if !ticket.withdraw() => Err(late().maybe_applied()),
            Waited::Late if self.state.locked_out.load(Ordering::Acquire) => Err(locked_out()),
            Waited::Late => Err(late()),
            Waited::Gone => Err(gone().maybe_applied()),
        }
    }

    /// Runs `task` on the writer's connection, outside of any transaction, until the deadline.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        task: impl FnOnce(&mut Connection) -> Sql<T> + Send + 'static,
    ) -> Result<T> {
        let ticket = Arc::new(Ticket::default());
        let (reply, receiver) = oneshot::channel();
        let begun = Arc::clone(&ticket);
        let job = move |conn: Result<&mut Connection>| {
            if !begun.begin() {
                return false;
            }
            let result = conn.map_err(Fault::from).and_then(task);
            let failed_sync = matches!(&result, Err(Fault::Sqlite(error)) if is_failed_sync(error));
            // The future may have been dropped; the task is done all the same.
            let _ = reply.send(result.map_err(Error::from));
            failed_sync
        };
        self.queue.push(Job::Task(Box::new(job)), 0, &deadline).await?;
        match answer(receiver, deadline.remaining()).await {
            Waited::Answer(result) => result,
            Waited::Late if ticket.withdraw() => Err(late()),
            Waited::Late => Err(late().maybe_applied()),
            Waited::Gone => Err(gone().maybe_applied()),
        }
    }

    /// Refuses new jobs, and waits until those that are waiting are done and the connection is closed.
    pub(crate) async fn close(&self, deadline: &Deadline) -> Result<()> {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((thread, ended)) = thread else { return Ok(()) };
        match answer(ended, deadline.remaining()).await {
            Waited::Late => Err(late()),
            // The thread has nothing left to do, so this does not wait.
            _ => thread.join().map_err(|_| gone()),
        }
    }

    #[cfg(test)]
    pub(crate) fn commits(&self) -> u64 {
        self.state.commits.load(Ordering::Acquire)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// About how many bytes a record takes in memory.
fn weight(record: &Record) -> usize {
    const SMALL: usize = 256;
    match record {
        Record::Message(message) => match &message.content {
            craftx_core::Content::Text(text) if message.metadata.is_empty() => SMALL + text.len(),
            _ => SMALL + record.encode().as_str().len(),
        },
        _ => SMALL,
    }
}

pub(crate) fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "no thread can be started").because(error)
}

fn gone() -> Error {
    Error::new(ErrorKind::Unexpected, "the thread that writes is gone")
}

fn locked_out() -> Error {
    Error::new(ErrorKind::Locked, "another process holds the database")
}

/// What runs on the thread.
struct Worker {
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
    fn run(mut self) {
        let _abandon = Abandon(Arc::clone(&self.queue));
        while let Some(job) = self.queue.pop() {
            match job {
                Job::Task(task) => {
                    let conn = if self.is_poisoned() { Err(Refusal::Poisoned.error()) } else { Ok(&mut self.conn) };
                    self.poisoned |= task(conn);
                }
                Job::Write(batch) => {
                    let mut group = vec![*batch];
                    while group.len() < MAX_GROUP
                        && let Some(Job::Write(batch)) = self.queue.pop_if(|job| matches!(job, Job::Write(_)))
                    {
                        group.push(*batch);
                    }
                    self.commit(group);
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
            let (expired, waiting) = group.into_iter().partition::<Vec<_>, _>(|batch| batch.deadline.has_passed());
            let locked = self.state.locked_out.load(Ordering::Acquire);
            for batch in expired {
                // What has begun in an earlier attempt was rolled back, so this is certain in either case.
                batch.answer(Err(if locked { locked_out() } else { late() }));
            }
            group = waiting;
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

    /// Unites one batch, whole or not at all. If not even that is possible, the whole transaction is undone.
    fn unite(&mut self, batch: &Batch) -> Sql<Written> {
        let conn = &self.conn;
        conn.prepare_cached("SAVEPOINT batch")?.execute([])?;
        let result = apply::unite(conn, &batch.tenant, &batch.session, &batch.records, &batch.options, batch.now);
        if conn.is_autocommit() {
            return result;
        }
        let end = match &result {
            Ok(_) => "RELEASE batch",
            Err(_) => "ROLLBACK TO batch; RELEASE batch",
        };
        if let Err(error) = conn.execute_batch(end) {
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

/// Repeats a task on the writer's connection while another process is in the way.
pub(crate) fn immediately<T>(
    conn: &mut Connection,
    deadline: &Deadline,
    mut task: impl FnMut(&Connection) -> Sql<T>,
) -> Sql<T> {
    patiently(deadline, || {
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let result = task(&transaction)?;
        transaction.commit()?;
        Ok(result)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sqlite, SqliteConfig};
    use craftx_core::{Backend, Message, Prepare, Role, Stamp};
    use futures_util::future::{join, join_all};

    #[test]
    fn writes_that_wait_at_the_same_time_share_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = Sqlite::new(SqliteConfig::new(&path)).unwrap();
        let cx = Context::new(Tenant::default());
        futures_executor::block_on(async {
            store.prepare(&cx, Prepare::Migrate).await.unwrap();
            let other = Connection::open(&path).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let session = SessionId::new("a").unwrap();
            let options = WriteOptions::fresh();
            let records: Vec<[Record; 1]> = (0..64)
                .map(|ms| [Record::Message(Message::new(Stamp::mint(ms, None, 0).unwrap(), Role::User, "hi"))])
                .collect();
            let writes = join_all(records.iter().map(|records| store.write(&cx, &session, records, &options)));
            // Polled after all writes are in the queue.
            let release = async { other.execute_batch("ROLLBACK").unwrap() };
            let (results, ()) = join(writes, release).await;
            assert!(results.iter().all(|result| result.as_ref().unwrap().applied == Some(1)));
            let commits = store.store(&cx).unwrap().writer.commits();
            assert!((1..=2).contains(&commits), "{commits} commits for 64 writes");
            store.close(&cx).await.unwrap();
        });
    }

    #[test]
    fn a_batch_that_is_refused_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = Sqlite::new(SqliteConfig::new(&path)).unwrap();
        let cx = Context::new(Tenant::default());
        futures_executor::block_on(async {
            store.prepare(&cx, Prepare::Migrate).await.unwrap();
            let other = Connection::open(&path).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let session = SessionId::new("a").unwrap();
            let options = WriteOptions::fresh();
            let message =
                |ms, text: &str| [Record::Message(Message::new(Stamp::mint(ms, None, 0).unwrap(), Role::User, text))];
            let records = [message(1, "a"), message(1, "b"), message(2, "c")];
            let writes = join_all(records.iter().map(|records| store.write(&cx, &session, records, &options)));
            let (results, ()) = join(writes, async { other.execute_batch("ROLLBACK").unwrap() }).await;
            let kinds: Vec<_> = results.iter().map(|result| result.as_ref().map_err(Error::kind).err()).collect();
            assert_eq!(kinds, [None, Some(ErrorKind::Conflict), None]);
            let found = store.load(&cx, &session, &craftx_core::MessageQuery::oldest_first()).await.unwrap();
            assert_eq!(found.items.iter().map(|message| message.text().unwrap()).collect::<Vec<_>>(), ["a", "c"]);
        });
    }
}
