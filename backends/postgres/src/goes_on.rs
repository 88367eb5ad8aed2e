//! A job that goes on by itself if whoever waits for it goes away.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// A job that is done where it is waited for, as long as it is, and on a runtime from then on: so nothing is handed from
/// thread to thread for a call that nobody gives up, and nothing is left half-done by one that is. A job that was never
/// begun is not begun.
pub(crate) struct GoesOn<T: Send + 'static> {
    job: Option<BoxFuture<'static, T>>,
    begun: bool,
    runtime: Handle,
}

impl<T: Send + 'static> GoesOn<T> {
    pub(crate) fn new(job: impl Future<Output = T> + Send + 'static, runtime: Handle) -> Self {
        Self { job: Some(Box::pin(job)), begun: false, runtime }
    }
}

impl<T: Send + 'static> Future for GoesOn<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        this.begun = true;
        // Timers and tasks that it makes are those of the runtime, whichever executor this is.
        let _inside = this.runtime.enter();
        let Some(job) = &mut this.job else { return Poll::Pending };
        let done = job.as_mut().poll(task);
        if done.is_ready() {
            this.job = None;
        }
        done
    }
}

impl<T: Send + 'static> Drop for GoesOn<T> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take().filter(|_| self.begun) {
            self.runtime.spawn(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_begun_goes_on_and_what_was_not_does_not() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let job = |adds: u32| {
            let done = Arc::clone(&done);
            let job = async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                done.fetch_add(adds, Ordering::Relaxed)
            };
            GoesOn::new(job, runtime.handle().clone())
        };
        drop(job(100));
        let mut begun = job(10);
        assert!(Pin::new(&mut begun).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(begun);
        // On an executor that knows nothing of the runtime.
        futures_executor::block_on(job(1));
        while done.load(Ordering::Relaxed) < 11 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(done.load(Ordering::Relaxed), 11);
    }
}
