//! Ctrl-C: what is under way is given up, the store is closed, and files that are not complete are removed.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::exit::Exit;

/// How long a command that cannot notice the signal, such as one that waits for its input, is waited for.
const NOTICES: Duration = Duration::from_millis(500);
/// How long closing the store may take.
pub(crate) const CLOSES: Duration = Duration::from_secs(2);

/// The file that is not complete, if there is one.
static PARTIAL: Mutex<Option<PathBuf>> = Mutex::new(None);

/// A file that is not complete. It is removed when this is dropped, and when the process is ended by Ctrl-C; there is
/// one at a time.
pub(crate) struct Partial(PathBuf);

impl Partial {
    pub(crate) fn new(path: PathBuf) -> Self {
        *partial() = Some(path.clone());
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        *partial() = None;
        // It is not there any more if it has got its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A path cannot be left half-changed.
fn partial() -> MutexGuard<'static, Option<PathBuf>> {
    PARTIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody may press Ctrl-C.
pub(crate) struct Interrupt {
    pressed: oneshot::Receiver<()>,
    noticed: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to listen, and returns when the signal is caught. The thread that listens is the one that ends the process
    /// if nobody else does.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (press, pressed) = oneshot::channel();
        let noticed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&noticed);
        let (listens, heard) = std::sync::mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("craftx-interrupt".into()).spawn(move || {
            runtime.block_on(async {
                let mut signal = pin!(tokio::signal::ctrl_c());
                // The first look at it is what makes the system send it here.
                let first = futures_util::poll!(signal.as_mut());
                // Nobody listens any more only if the command has ended.
                let _ = listens.send(());
                let caught = match first {
                    Poll::Ready(caught) => caught,
                    Poll::Pending => signal.await,
                };
                if caught.is_err() {
                    // The signal cannot be caught: it ends the process as if nobody listened.
                    return;
                }
                // The command may have ended in the meantime.
                let _ = press.send(());
                thread::sleep(NOTICES);
                if flag.load(Ordering::SeqCst) {
                    thread::sleep(CLOSES);
                }
                if let Some(path) = partial().take() {
                    let _ = std::fs::remove_file(path);
                }
                exit(Exit::Interrupted as u8 as i32);
            });
        })?;
        // If the thread could not begin, the signal ends the process as if nobody listened.
        let _ = heard.recv();
        Ok(Self { pressed, noticed })
    }

    /// Waits for it; for ever if it never comes.
    pub(crate) async fn pressed(&mut self) {
        if (&mut self.pressed).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.noticed.store(true, Ordering::SeqCst);
    }
}
