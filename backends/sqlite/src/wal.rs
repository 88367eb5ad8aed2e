//! Keeping the write-ahead log small.
//!
//! SQLite copies the log into the database by itself, but it can begin the log anew only while no reader needs it. A
//! reader that hangs, in whatever process, would let it grow without bound; here writes are refused instead.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use rusqlite::Connection;

use crate::error::is_failed_sync;

/// From this size on, the log is cut whenever it has grown by as much again.
const COMFORTABLE: u64 = 16 << 20;

/// Watches the size of the log.
#[derive(Debug)]
pub(crate) struct Wal {
    path: PathBuf,
    /// The log, once it was there. It is not replaced as long as any connection is open.
    log: Option<File>,
    max: u64,
    step: u64,
    /// The size at which cutting is tried next.
    next: u64,
    sync_failed: bool,
}

impl Wal {
    /// The log of the database at `path`.
    pub(crate) fn new(path: PathBuf, max: u64) -> Self {
        let mut name = path.into_os_string();
        name.push("-wal");
        let step = COMFORTABLE.min(max / 2);
        Self { path: name.into(), log: None, max, step, next: step, sync_failed: false }
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The size of the log; 0 if there is none.
    ///
    /// Looked up without asking for the times of the file: whoever asks Linux for them makes the next write set them
    /// exactly, and the sync after it bring them to the disk, which makes each sync slower by about a fifth.
    pub(crate) fn bytes(&mut self) -> u64 {
        if self.log.is_none() {
            self.log = File::open(&self.path).ok();
        }
        self.log.as_mut().and_then(|log| log.seek(SeekFrom::End(0)).ok()).unwrap_or(0)
    }

    /// Whether a sync has failed while the log was copied.
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed
    }

    /// Cuts the log if it has grown. Costs one look at the file otherwise.
    pub(crate) fn tend(&mut self, conn: &Connection) {
        let size = self.bytes();
        if size >= self.next {
            self.truncate(conn);
            self.next = self.bytes() + self.step;
        }
    }

    /// Whether the log is too large, and no reader lets it be cut.
    pub(crate) fn is_too_large(&mut self, conn: &Connection) -> bool {
        if self.bytes() <= self.max {
            return false;
        }
        self.truncate(conn);
        self.bytes() > self.max
    }

    /// Copies the log into the database and cuts it to nothing, if no reader needs it.
    pub(crate) fn truncate(&mut self, conn: &Connection) {
        // A reader that is in the way, or a failing disk, changes nothing: the log is intact and is copied later.
        let cut = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.sync_failed |= cut.is_err_and(|error| is_failed_sync(&error));
    }
}
