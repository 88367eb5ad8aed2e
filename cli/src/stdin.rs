//! Reading standard input.

use std::io;

use craftx::{Error, ErrorKind};
use tokio::sync::oneshot;

use crate::exit::Failure;

/// Reads on a thread of its own, so that Ctrl-C is noticed while it waits.
pub(crate) async fn read<T, R>(read: R) -> Result<T, Failure>
where
    T: Send + 'static,
    R: FnOnce() -> io::Result<T> + Send + 'static,
{
    let (send, receive) = oneshot::channel();
    let work = move || {
        // Nobody waits for it any more if the command was interrupted.
        let _ = send.send(read());
    };
    let failed = |error| Failure::file("standard input", error);
    std::thread::Builder::new().name("craftx-stdin".into()).spawn(work).map_err(failed)?;
    match receive.await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(Error::new(ErrorKind::Unexpected, "the thread that reads standard input is gone").into()),
    }
}
