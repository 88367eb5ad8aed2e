//! The readers: a few threads, each with a connection that cannot write. The writer never blocks them.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use craftx_core::{Error, ErrorKind, Result};
use futures_channel::oneshot;
use rusqlite::{Connection, TransactionBehavior};

use crate::call::{Deadline, Waited, answer, late};
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
        match answer(receiver, deadline.remaining()).await {
            Waited::Answer(result) => result,
            Waited::Late => Err(late()),
            Waited::Gone if deadline.has_passed() => Err(late()),
            Waited::Gone => Err(Error::new(ErrorKind::Unexpected, "the thread that reads is gone")),
        }
    }

    /// Refuses new jobs, and waits until the threads have ended.
    pub(crate) async fn close(&self, deadline: &Deadline) -> Result<()> {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for (thread, ended) in threads {
            if let Waited::Late = answer(ended, deadline.remaining()).await {
                return Err(late());
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
