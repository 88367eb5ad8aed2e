//! Ctrl-C: what is under way is given up, the store is closed, and files that are not complete are removed.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::exit::Exit;

/// How long a command that cannot notice the signal, such as one that waits for its input, is waited for.
const NOTICES: Duration = Duration::from_millis(500);
/// How long closing the store may take.
pub(crate) const CLOSES: Duration = Duration::from_secs(2);

/// Somebody may press Ctrl-C.
pub(crate) struct Interrupt {
    pressed: oneshot::Receiver<()>,
    noticed: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to listen. The thread that listens is the one that ends the process if nobody else does.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (press, pressed) = oneshot::channel();
        let noticed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&noticed);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("craftx-interrupt".into()).spawn(move || {
            runtime.block_on(async {
                if tokio::signal::ctrl_c().await.is_err() {
                    // The signal cannot be caught: it ends the process as if nobody listened.
                    return;
                }
                // The command may have ended in the meantime.
                let _ = press.send(());
                thread::sleep(NOTICES);
                if flag.load(Ordering::SeqCst) {
                    thread::sleep(CLOSES);
                }
                exit(Exit::Interrupted as u8 as i32);
            });
        })?;
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
