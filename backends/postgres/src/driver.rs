//! What moves the bytes of a connection: polled by whoever waits for an answer, so that no other thread has to be woken to send
//! a question.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{AsyncMessage, Connection};

/// The other half of a client.
pub(crate) struct Driver {
    /// `None` when the connection has ended.
    connection: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Whether somebody who waits is being asked just now.
    asking: AtomicBool,
    /// Whether the server said that a commit was not replicated as it should be.
    unconfirmed: Arc<AtomicBool>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    pub(crate) fn new<S, T>(connection: Connection<S, T>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unconfirmed = Arc::new(AtomicBool::new(false));
        let connection = Box::pin(drive(connection, Arc::clone(&unconfirmed)));
        Self { connection: Mutex::new(Some(connection)), asking: AtomicBool::new(false), unconfirmed }
    }

    /// Waits for an answer, and moves bytes meanwhile. Who waits for several waits for them in one: then all that has to be
    /// sent is sent together.
    pub(crate) async fn until<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        poll_fn(|task| {
            // First it says what has to be sent.
            let (done, outermost) = self.ask(answer.as_mut(), task);
            if done.is_ready() || !outermost {
                return done;
            }
            self.poll(task);
            // What has been received may be all that it waits for. If the connection has ended, it is told so.
            self.ask(answer.as_mut(), task).0
        })
        .await
    }

    /// Polls an answer. One within another moves no bytes: the outermost one does. Whoever uses a connection is one task.
    fn ask<T>(&self, answer: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> (Poll<T>, bool) {
        let outermost = !self.asking.swap(true, Ordering::Relaxed);
        let done = answer.poll(task);
        if outermost {
            self.asking.store(false, Ordering::Relaxed);
        }
        (done, outermost)
    }

    fn poll(&self, task: &mut Context<'_>) {
        let mut connection = self.connection();
        if connection.as_mut().is_some_and(|connection| connection.as_mut().poll(task).is_ready()) {
            *connection = None;
        }
    }

    /// A connection that was not polled to its end can be polled again.
    fn connection(&self) -> MutexGuard<'_, Option<BoxFuture<'static, ()>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection has ended, as far as can be seen from here. Nobody looks at one that is not used.
    pub(crate) fn has_ended(&self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.connection().is_none()
    }

    /// Whether the server has said, since this was last asked, that a commit may not have been replicated: somebody
    /// cancelled the wait for a standby. Such a commit is not acknowledged.
    pub(crate) fn take_unconfirmed(&self) -> bool {
        self.unconfirmed.swap(false, Ordering::Relaxed)
    }
}

async fn drive<S, T>(mut connection: Connection<S, T>, unconfirmed: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    while let Some(Ok(message)) = poll_fn(|task| connection.poll_message(task)).await {
        if let AsyncMessage::Notice(notice) = message
            && tells_of_no_replication(&notice)
        {
            unconfirmed.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a notice says that a transaction was committed without waiting for a standby as it should have. Such a warning
/// has no code of its own and its words depend on the server's language, so any plain warning counts: at worst a write is
/// made sure of once more.
fn tells_of_no_replication(notice: &DbError) -> bool {
    notice.parsed_severity() == Some(Severity::Warning)
        && [SqlState::WARNING, SqlState::ADMIN_SHUTDOWN].contains(notice.code())
}
