//! The threads of a store.

use craftx_core::{Error, ErrorKind, Result};
use tokio::runtime::Runtime;

/// A runtime that can be dropped anywhere.
#[derive(Debug)]
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(crate) fn start() -> Result<Self> {
        let built = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("craftx-postgres")
            .enable_io()
            .enable_time()
            .build();
        built.map(|runtime| Self(Some(runtime))).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the threads of the store cannot be started").because(error)
        })
    }

    pub(crate) fn handle(&self) -> Option<&tokio::runtime::Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // Waiting for its threads would block, which may not be done everywhere.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
