//! The readers: a few threads, each with a connection that cannot write. The writer never blocks them.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use craftx_core::{Deadline, Error, ErrorKind, Result, Waited};
use futures_channel::oneshot;
use rusqlite::{Connection, TransactionBehavior};

use crate::error::Sql;
use crate::open::patiently;
use crate::queue::Queue;
use crate::writer::no_thread;

/// How many steps of SQLite's machine pass between two looks at the deadline.
const STEPS: i32 = 1_000;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The handle of the reader threads.
pub(crate) struct Readers {
    queue: Arc<Queue<Job>>,
    threads: Mutex<Vec<(JoinHandle<()>, oneshot::Receiver<()>)>>,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Readers")
    }
}

impl Readers {
    pub(crate) fn start(connections: Vec<Connection>) -> Result<Self> {
        let queue: Arc<Queue<Job>> = Arc::new(Queue::new());
        let readers = Self { queue: Arc::clone(&queue), threads: Mutex::default() };
        for mut conn in connections {
            let queue = Arc::clone(&queue);
            let (done, ended) = oneshot::channel();
            let thread = std::thread::Builder::new()
                .name("craftx-sqlite-reader".into())
                .spawn(move || {
                    while let Some(job) = queue.pop() {
                        job(&mut conn);
                    }
                    drop(conn);
                    // Nobody waits for the end of a store that was dropped without being closed.
                    let _ = done.send(());
                })
                .map_err(no_thread)?;
            readers.threads.lock().unwrap_or_else(PoisonError::into_inner).push((thread, ended));
        }
        Ok(readers)
    }

    /// Runs `read` on one snapshot of the database. It is interrupted at the deadline, and when the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        mut read: impl FnMut(&Connection) -> Sql<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, receiver) = oneshot::channel();
        let until = deadline.clone();
        let job = move |conn: &mut Connection| {
            let reply = Arc::new(Mutex::new(Some(reply)));
            let nobody_waits = {
                let (until, reply) = (until.clone(), Arc::clone(&reply));
                move || until.has_passed() || is_dropped(&reply)
            };
            if nobody_waits() {
                return;
            }
            let result = patiently(&until, || {
                conn.progress_handler(STEPS, Some(nobody_waits.clone()))?;
                let snapshot = conn.transaction_with_behavior(TransactionBehavior::Deferred)?;
                read(&snapshot)
            });
            if let Some(reply) = reply.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // The future may have been dropped; a read leaves nothing behind.
                let _ = reply.send(result.map_err(Error::from));
            }
        };
        self.queue.push(Box::new(job), 0, &deadline).await?;
        match deadline.wait(receiver).await {
            Waited::Answer(result) => result,
            Waited::Late => Err(Deadline::error()),
            Waited::Gone if deadline.has_passed() => Err(Deadline::error()),
            Waited::Gone => Err(Error::new(ErrorKind::Unexpected, "the thread that reads is gone")),
        }
    }

    /// Refuses new jobs, and waits until the threads have ended.
    pub(crate) async fn close(&self, deadline: &Deadline) -> Result<()> {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for (thread, ended) in threads {
            if let Waited::Late = deadline.wait(ended).await {
                return Err(Deadline::error());
            }
            // The thread has nothing left to do, so this does not wait. One that panicked has ended as well.
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn is_dropped<T>(reply: &Mutex<Option<oneshot::Sender<T>>>) -> bool {
    reply.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(oneshot::Sender::is_canceled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::{Context, Tenant};
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context as Task, Waker};
    use std::time::Duration;

    const FOR_EVER: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

    fn for_ever(conn: &Connection) -> Sql<i64> {
        Ok(conn.query_row(FOR_EVER, [], |row| row.get(0))?)
    }

    fn readers() -> Readers {
        Readers::start(vec![Connection::open_in_memory().unwrap()]).unwrap()
    }

    fn within(timeout: Duration) -> Deadline {
        Deadline::of(&Context::new(Tenant::default()).with_timeout(timeout))
    }

    #[test]
    fn a_read_is_interrupted_at_its_deadline() {
        futures_executor::block_on(async {
            let readers = readers();
            let error = readers.run(within(Duration::from_millis(50)), for_ever).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            let one = |conn: &Connection| Ok(conn.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?);
            assert_eq!(readers.run(within(Duration::from_secs(20)), one).await.unwrap(), 1, "the thread is free again");
        });
    }

    #[test]
    fn a_read_is_interrupted_when_its_future_is_dropped() {
        futures_executor::block_on(async {
            let readers = readers();
            {
                let mut future = pin!(readers.run(Deadline::of(&Context::new(Tenant::default())), for_ever));
                assert!(future.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_pending());
            }
            // Without the interruption the thread would be busy for longer.
            readers.close(&within(Duration::from_secs(15))).await.unwrap();
        });
    }

    #[test]
    fn a_read_cannot_wait_longer_than_its_deadline_for_a_thread() {
        futures_executor::block_on(async {
            let readers = readers();
            let mut busy = pin!(readers.run(Deadline::of(&Context::new(Tenant::default())), for_ever));
            assert!(busy.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_pending());
            let error = readers.run(within(Duration::from_millis(50)), for_ever).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
        });
    }
}
