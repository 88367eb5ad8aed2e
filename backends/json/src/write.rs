//! Writing: plan, append, sync, then tell.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use craftx_core::union::Plan;
use craftx_core::{Context, Error, Message, Record, Result, Retry, SessionId, WriteOptions, Written, json};

use crate::error::io_error;
use crate::header::Header;
use crate::index::{Index, Place, Target};
use crate::layout::is_default;
use crate::line::{self, Part};
use crate::lines::MAX_RECORD;
use crate::store::Store;

/// The lines of a batch, and where each begins within them.
struct Batch {
    header: Option<(Header, Vec<u8>)>,
    bytes: Vec<u8>,
    starts: Vec<(u64, u32)>,
}

impl Store {
    pub(crate) fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let _pass = self.enter_to_write(cx)?;
        let files = self.layout.session(&cx.tenant, session);
        let target = self.target(&cx.tenant, session, &files);
        let _held = self.locks.session(cx, &files.lock_name)?;
        // The lock may have taken long, and another thread may have met a failing disk in the meantime.
        cx.check_deadline()?;
        self.check_not_poisoned()?;

        let slot = self.slot(&target);
        let mut index = slot.index();
        let log = self.refresh(cx, &target, &mut index, || self.open_to_write(&target))?;
        let plan = index.set.plan(records, options)?;
        check_readable(&plan)?;
        if plan.store.is_empty() {
            let durable_to = index.durable_to;
            let end = index.log.end;
            // What is known may have been written by a process that died before it synced.
            index.durable_to = self.make_durable(&target, log.as_ref(), durable_to, end)?;
            return Ok(index.set.commit(&plan, |_, _| Place::Log { offset: 0, len: 0 }));
        }

        // Whoever reads the session in this process waits for the sync: another process may have shown the batch to its
        // readers by then, and nobody may see less after somebody has seen more.
        let gap = Gap { end: index.log.end, durable_to: index.durable_to, torn: index.log.torn };
        let batch = Batch::new(&plan, (gap.end == 0).then(|| Header::new(target.tenant, target.session)));
        if let Err(error) = self.append(cx, &target, log, gap, &batch) {
            index.forget();
            return Err(error);
        }
        let written = batch.commit(&mut index, &plan);
        index.updated = index.updated.max(Some(cx.clock.wall()));
        self.cache.weigh(target.tenant, target.session, index.set.len());
        Ok(written)
    }

    pub(crate) fn open_to_write(&self, target: &Target<'_>) -> Result<Option<File>> {
        let log = &target.files.log;
        self.disk.open_to_write(log).map_err(|error| io_error("cannot open a session file to write", log, error))
    }

    /// Appends a batch: it is durable, or it is not there, or the store is poisoned and the outcome unknown.
    fn append(&self, cx: &Context, target: &Target<'_>, log: Option<File>, gap: Gap, batch: &Batch) -> Result<()> {
        let path = &target.files.log;
        // What another process left unsynced must reach the disk before the next batch: a torn tail is one batch.
        self.make_durable(target, log.as_ref(), gap.durable_to, gap.end)?;
        if let Some(file) = &log
            && gap.torn > 0
        {
            self.set_torn_tail_aside(target, file, &gap)?;
        }
        let (file, is_new) = match log {
            Some(file) => (file, false),
            None => {
                self.create_folders(target)?;
                let created = self.disk.create_new(path);
                (created.map_err(|error| io_error("cannot create a session file", path, error))?, true)
            }
        };
        let mut bytes = batch.header.as_ref().map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        bytes.extend_from_slice(&batch.bytes);
        if let Err(error) = self.disk.write(&file, gap.end, &bytes) {
            let error = io_error("cannot write to a session file", path, error);
            return Err(self.undo(target, &file, gap.end, is_new, error));
        }
        // The time only orders lists, and where it cannot be set the file system has set it to its own.
        let _ = file.set_modified(cx.clock.wall());
        if !self.syncs() {
            return Ok(());
        }
        // A session that was empty may have a file whose name a dead process has not synced.
        let synced = self.sync(&file).and_then(|()| match gap.end {
            0 => self.sync_names(target),
            _ => Ok(()),
        });
        synced.map_err(|error| {
            let error = io_error("cannot sync a session file", path, error);
            // Best effort: whatever the disk has taken of the batch, nobody shall build on it.
            let _ = self.disk.set_len(&file, gap.end);
            error.maybe_applied().retry_is(Retry::Never)
        })
    }

    /// After a failed write: takes back what was written of the batch.
    fn undo(&self, target: &Target<'_>, file: &File, end: u64, is_new: bool, error: Error) -> Error {
        let undone = self.disk.set_len(file, end).and_then(|()| if self.syncs() { self.sync(file) } else { Ok(()) });
        if undone.is_err() {
            self.poison();
            return error.maybe_applied().retry_is(Retry::Never);
        }
        if is_new {
            // An empty file is as good as none.
            let _ = self.disk.remove(&target.files.log);
        }
        error
    }

    /// Copies the torn tail into a file of its own and cuts it off.
    fn set_torn_tail_aside(&self, target: &Target<'_>, file: &File, gap: &Gap) -> Result<()> {
        let failed = |error| io_error("cannot set a torn tail aside", &target.files.log, error);
        let length = usize::try_from(gap.torn).unwrap_or(usize::MAX);
        let tail = self.disk.read(file, gap.end, length).map_err(failed)?;
        let (path, aside) = self.create_aside(target).map_err(failed)?;
        let kept = self.disk.write(&aside, 0, &tail).and_then(|()| {
            if self.syncs() {
                self.sync(&aside)?;
                self.sync_dir(&target.files.dir)?;
            }
            self.disk.set_len(file, gap.end)
        });
        if let Err(error) = kept {
            // The tail still is where it was; a second copy would only be in the way.
            let _ = self.disk.remove(&path);
            return Err(failed(error));
        }
        // Before anything is written in its place: power lost then must not show a mixture of both. Whatever the
        // durability, because it would make all of the session unreadable, what others have synced included.
        self.sync(file).map_err(failed)
    }

    /// The first free name for a torn tail.
    fn create_aside(&self, target: &Target<'_>) -> io::Result<(PathBuf, File)> {
        let mut number = 1;
        loop {
            let path = target.files.torn(number);
            match self.disk.create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                created => return created.map(|file| (path, file)),
            }
        }
    }

    /// Brings what is known of a session to the disk, unless that is known to have been done; returns up to where.
    pub(crate) fn make_durable(
        &self,
        target: &Target<'_>,
        log: Option<&File>,
        durable_to: u64,
        end: u64,
    ) -> Result<u64> {
        let Some(file) = log.filter(|_| self.syncs() && durable_to < end) else { return Ok(durable_to) };
        let synced = self.sync(file).and_then(|()| match durable_to {
            0 => self.sync_names(target),
            _ => Ok(()),
        });
        synced.map_err(|error| {
            let error = io_error("cannot sync a session file", &target.files.log, error);
            error.maybe_applied().retry_is(Retry::Never)
        })?;
        Ok(end)
    }

    fn create_folders(&self, target: &Target<'_>) -> Result<()> {
        if is_default(target.tenant) {
            return Ok(());
        }
        for dir in [&self.layout.tenants(), &target.files.dir] {
            self.disk.create_dir(dir).map_err(|error| io_error("cannot create the folder of a tenant", dir, error))?;
        }
        Ok(())
    }

    /// Brings the names of the session file and of the folders above it to the disk.
    fn sync_names(&self, target: &Target<'_>) -> io::Result<()> {
        self.sync_dir(&target.files.dir)?;
        if !is_default(target.tenant) {
            self.sync_dir(&self.layout.tenants())?;
            self.sync_dir(self.layout.root())?;
        }
        Ok(())
    }
}

/// Where a batch goes.
struct Gap {
    end: u64,
    durable_to: u64,
    torn: u64,
}

impl Batch {
    fn new(plan: &Plan, header: Option<Header>) -> Self {
        let header = header.map(|header| {
            let mut bytes = Vec::new();
            header.push(&mut bytes);
            (header, bytes)
        });
        let of = plan.store.len() as u32;
        let mut batch = Self { header, bytes: Vec::new(), starts: Vec::with_capacity(plan.store.len()) };
        for (line, planned) in (1..).zip(&plan.store) {
            let start = batch.bytes.len();
            line::push(&mut batch.bytes, planned.encoded().as_str(), Part { line, of });
            // Without the line break; MAX_RECORD keeps it within 32 bits.
            batch.starts.push((start as u64, (batch.bytes.len() - start - 1) as u32));
        }
        batch
    }

    /// Takes the batch, which is on the disk now, into the index.
    fn commit(mut self, index: &mut Index, plan: &Plan) -> Written {
        let start = match &self.header {
            Some((_, bytes)) => bytes.len() as u64,
            None => index.log.end,
        };
        index.wrote(self.header.take(), &self.bytes, self.starts.len() as u64);
        index.durable_to = index.log.end;
        let place = |number: usize, _: &Message| match self.starts.get(number) {
            Some((offset, len)) => Place::Log { offset: start + offset, len: *len },
            None => Place::Log { offset: start, len: 0 },
        };
        index.set.commit(plan, place)
    }
}

/// Nothing is acknowledged that could not be read back.
///
/// # Errors
/// [`InvalidInput`](craftx_core::ErrorKind::InvalidInput) for a record that is too long or nested too deep.
fn check_readable(plan: &Plan) -> Result<()> {
    for planned in &plan.store {
        let bytes = planned.encoded().as_str().len();
        if bytes > MAX_RECORD {
            return Err(Error::invalid("record", "is too large").with("bytes", bytes).with("limit", MAX_RECORD));
        }
        json::check(planned.encoded().as_str())?;
    }
    Ok(())
}
