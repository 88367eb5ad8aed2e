//! One writer a session, among the threads of this process and among all processes.
//!
//! A fixed number of lock files, each for many sessions, so that no lock file ever has to be removed: removing one is
//! what makes two processes lock different files of the same name. The operating system lets go of the locks of a
//! process that dies. Readers wait for no lock; one who finds something new looks whether somebody holds it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use craftx_core::{Context, Error, ErrorKind, Result};

use crate::error::io_error;
use crate::file::Disk;

/// How many sessions can be written at the same time, at most. Part of the format: every process must agree.
const STRIPES: u32 = 64;

/// The lock files of a store.
#[derive(Debug)]
pub(crate) struct Locks {
    dir: PathBuf,
    disk: Disk,
    longest: Duration,
    stripes: Vec<Stripe>,
}

/// Among threads a lock that can be waited for, among processes the lock of the file.
#[derive(Debug, Default)]
struct Stripe {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// How many threads wait for it. To wake nobody is a call to the operating system all the same.
    waiting: usize,
    /// Kept open between writes; only whoever has taken the stripe uses it.
    file: Option<File>,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    stripe: &'a Stripe,
    file: Option<File>,
}

impl Locks {
    pub(crate) fn new(dir: PathBuf, disk: Disk, longest: Duration) -> Self {
        // One more for the store itself.
        let stripes = (0..=STRIPES).map(|_| Stripe::default()).collect();
        Self { dir, disk, longest, stripes }
    }

    /// Locks the session whose file is called `name` in the folder of the store.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] if others hold it until the deadline, or for the longest wait that is configured.
    pub(crate) fn session(&self, cx: &Context, name: &str) -> Result<Held<'_>> {
        self.acquire(cx, number_of(name))
    }

    /// Whether nobody is writing to the session right now, nor to another one with the same lock, as far as can be told
    /// without waiting.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        let number = number_of(name);
        let Some(held) = self.stripes.get(number as usize).and_then(Stripe::try_take) else { return false };
        // Shared, so that readers do not take each other for writers. Letting go of what is held unlocks it.
        if let Some(file) = &held.file {
            return file.try_lock_shared().is_ok();
        }
        // Not made here, and not kept: the store may be one that can only be read.
        match self.disk.open(&self.path(number)) {
            Ok(Some(file)) => file.try_lock_shared().is_ok(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Locks what concerns the store as a whole.
    ///
    /// # Errors
    /// As [`Locks::session`].
    pub(crate) fn store(&self, cx: &Context) -> Result<Held<'_>> {
        self.acquire(cx, STRIPES)
    }

    fn acquire(&self, cx: &Context, number: u32) -> Result<Held<'_>> {
        let wait = Wait { cx, started: Instant::now(), longest: self.longest };
        let Some(stripe) = self.stripes.get(number as usize) else {
            return Err(Error::new(ErrorKind::Unexpected, "there is no such lock"));
        };
        let mut held = stripe.take(&wait)?;
        let path = self.path(number);
        let file = match held.file.take() {
            Some(file) => file,
            None => self.open(&path)?,
        };
        let mut pause = Duration::from_micros(500);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(io_error("cannot lock", &path, error)),
            }
            if wait.is_over() {
                return Err(locked());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        held.file = Some(file);
        Ok(held)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:02}"))
    }

    fn open(&self, path: &Path) -> Result<File> {
        self.disk.create_dir(&self.dir).map_err(|error| io_error("cannot create the folder of locks", path, error))?;
        self.disk.open_lock(path).map_err(|error| io_error("cannot open a lock", path, error))
    }
}

/// Which lock a session has.
fn number_of(name: &str) -> u32 {
    crc32c::crc32c(name.as_bytes()) % STRIPES
}

impl Stripe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(&self) -> Option<Held<'_>> {
        let mut state = self.state();
        (!std::mem::replace(&mut state.taken, true)).then(|| Held { stripe: self, file: state.file.take() })
    }

    fn take(&self, wait: &Wait<'_>) -> Result<Held<'_>> {
        let mut state = self.state();
        while state.taken {
            if wait.is_over() {
                return Err(locked());
            }
            // Woken now and then, because the clock of the context need not be the one that Condvar waits by.
            state.waiting += 1;
            let waited = self.freed.wait_timeout(state, Duration::from_millis(20));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        state.taken = true;
        Ok(Held { stripe: self, file: state.file.take() })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.stripe.state();
        // A file that cannot be unlocked is closed, which unlocks it.
        state.file = self.file.take().filter(|file| file.unlock().is_ok());
        state.taken = false;
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.stripe.freed.notify_one();
        }
    }
}

struct Wait<'a> {
    cx: &'a Context,
    started: Instant,
    longest: Duration,
}

impl Wait<'_> {
    fn is_over(&self) -> bool {
        match self.cx.deadline {
            Some(_) => self.cx.check_deadline().is_err(),
            None => self.started.elapsed() >= self.longest,
        }
    }
}

fn locked() -> Error {
    Error::new(ErrorKind::Locked, "another process or thread is writing, and did not finish in time")
}
