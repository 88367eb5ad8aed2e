//! How far a long command is: a bar on a terminal, and with `--json` an object on stderr every few seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::global::Global;
use crate::output;

/// Somebody who reads the objects knows within five seconds that the command lives.
const EVERY: Duration = Duration::from_secs(4);

/// How far a command is. It goes away when it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    done: Arc<AtomicU64>,
    /// Dropping it ends the thread that tells.
    _tells: Option<Sender<()>>,
}

impl Progress {
    /// Begins to tell how many of `unit` are done, of `total` if that is known.
    pub(crate) fn new(global: &Global, command: &'static str, unit: &'static str, total: Option<u64>) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        if global.json {
            let tells = tell_now_and_then(command, unit, total, Arc::clone(&done));
            return Self { bar: ProgressBar::hidden(), done, _tells: tells };
        }
        let template = match (unit, total) {
            ("bytes", Some(_)) => "{bytes}/{total_bytes} {wide_bar} {eta}",
            ("bytes", None) => "{spinner} {bytes}",
            (_, Some(_)) => "{human_pos}/{human_len} {msg} {wide_bar} {eta}",
            (_, None) => "{spinner} {human_pos} {msg}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Drawn on stderr, and only if that is a terminal.
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style).with_message(unit);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, done, _tells: None }
    }

    pub(crate) fn add(&self, count: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
        self.bar.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn tell_now_and_then(
    command: &'static str,
    unit: &'static str,
    total: Option<u64>,
    done: Arc<AtomicU64>,
) -> Option<Sender<()>> {
    let (tells, ended) = channel();
    let started = Instant::now();
    let thread = thread::Builder::new().name("craftx-progress".into()).spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
            output::tell(json!({
                "type": "progress",
                "command": command,
                "done": done.load(Ordering::Relaxed),
                "total": total,
                "unit": unit,
                "seconds": started.elapsed().as_secs(),
            }));
        }
    });
    // A command without its reports is still the command.
    thread.ok().map(|_| tells)
}
