//! The writer: one thread that owns the only connection which writes.
//!
//! All batches that wait share one transaction and one sync (group commit). A batch is refused before it has changed
//! anything, so it takes no other with it; and it is acknowledged after the commit, never before.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use craftx_core::{
    Context, Deadline, Error, ErrorKind, Record, Result, SessionId, Tenant, Ticket, Waited, WriteOptions, Written,
};
use futures_channel::oneshot;
use rusqlite::Connection;

use crate::error::{Fault, Sql, is_failed_sync};
use crate::open::patiently;
use crate::place::Place;
use crate::queue::Queue;
use crate::row::micros;
use crate::wal::Wal;
use crate::worker::Worker;

/// The handle of the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Arc<Queue<Job>>,
    state: Arc<State>,
    thread: Mutex<Option<(JoinHandle<()>, oneshot::Receiver<()>)>>,
}

/// What the thread lets others know.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Whether another process keeps the writer waiting.
    pub(crate) locked_out: AtomicBool,
    /// How many transactions were committed.
    pub(crate) commits: AtomicU64,
}

pub(crate) enum Job {
    Write(Box<Batch>),
    Task(Task),
}

/// Gets the connection, or why it may not be used; says whether a sync has failed.
pub(crate) type Task = Box<dyn FnOnce(Result<&mut Connection>) -> bool + Send>;

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Write(_) => "Write",
            Self::Task(_) => "Task",
        })
    }
}

/// One write, with everything that the thread needs after its future was dropped.
pub(crate) struct Batch {
    pub(crate) tenant: Tenant,
    pub(crate) session: SessionId,
    pub(crate) records: Vec<Record>,
    pub(crate) options: WriteOptions,
    pub(crate) now: i64,
    pub(crate) deadline: Deadline,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) reply: oneshot::Sender<Result<Written>>,
}

impl Writer {
    pub(crate) fn start(conn: Connection, place: Arc<Place>, path: PathBuf, max_wal_bytes: u64) -> Result<Self> {
        let queue = Arc::new(Queue::new());
        let state = Arc::new(State::default());
        let (done, ended) = oneshot::channel();
        let wal = Wal::new(path, max_wal_bytes);
        let worker = Worker::new(conn, place, Arc::clone(&queue), Arc::clone(&state), wal);
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
        match deadline.wait(receiver).await {
            Waited::Answer(result) => result,
            Waited::Late if !ticket.withdraw() => Err(Deadline::error().maybe_applied()),
            Waited::Late if self.state.locked_out.load(Ordering::Acquire) => Err(locked_out()),
            Waited::Late => Err(Deadline::error()),
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
        match deadline.wait(receiver).await {
            Waited::Answer(result) => result,
            Waited::Late if ticket.withdraw() => Err(Deadline::error()),
            Waited::Late => Err(Deadline::error().maybe_applied()),
            Waited::Gone => Err(gone().maybe_applied()),
        }
    }

    /// Refuses new jobs, and waits until those that are waiting are done and the connection is closed.
    pub(crate) async fn close(&self, deadline: &Deadline) -> Result<()> {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((thread, ended)) = thread else { return Ok(()) };
        match deadline.wait(ended).await {
            Waited::Late => Err(Deadline::error()),
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

pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::Unexpected, "the thread that writes is gone")
}

pub(crate) fn locked_out() -> Error {
    Error::new(ErrorKind::Locked, "another process holds the database")
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
