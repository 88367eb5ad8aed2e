//! Compaction: a session file without what is dead, in place of the old one.

use std::collections::HashSet;
use std::fs::File;
use std::time::SystemTime;

use craftx_core::{Compact, Compacted, Context, Error, ErrorKind, Result, SessionId};

use crate::error::{io_error, shown};
use crate::header::Header;
use crate::index::{Index, Target, read_record};
use crate::layout::TORN;
use crate::line::{self, Part};
use crate::lines::Lines;
use crate::store::Store;

/// How much of a new file is gathered before it is written.
const PIECE: usize = 1 << 20;

impl Store {
    /// Compacts one session or all of the tenant. All that can be compacted is, whatever becomes of others; the first
    /// error is told at the end.
    pub(crate) fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let _pass = self.enter_to_write(cx)?;
        let sessions = match &what.session {
            Some(session) => vec![session.clone()],
            None => self.session_names(cx, &cx.tenant)?,
        };
        let mut total = Compacted::default();
        let mut first_error = None;
        for session in &sessions {
            cx.check_deadline()?;
            match self.compact_session(cx, session, what) {
                Ok(compacted) => total += compacted,
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) => Err(error),
            None => Ok(total),
        }
    }

    fn compact_session(&self, cx: &Context, session: &SessionId, what: &Compact) -> Result<Compacted> {
        let files = self.layout.session(&cx.tenant, session);
        let target = self.target(&cx.tenant, session, &files);
        let _held = self.locks.session(cx, &files.lock_name)?;
        self.check_not_poisoned()?;
        let slot = self.slot(&target);
        // Readers of this process wait: the places that they would read from are about to change.
        let mut index = slot.index();
        let log = self.refresh(cx, &target, &mut index, || self.open_to_write(&target))?;
        let compacted = match &log {
            Some(log) => self.rewrite(cx, &target, &mut index, log, what),
            None => Ok(Compacted::default()),
        };
        if compacted.as_ref().map_or(true, |compacted| *compacted != Compacted::default()) {
            index.forget();
            self.refresh(cx, &target, &mut index, || self.open_to_write(&target))?;
        }
        let compacted = compacted?;
        match dead_in_legacy(&index) {
            0 => Ok(compacted),
            dead => Err(Error::new(
                ErrorKind::Unsupported,
                "dead messages are still in a file of CraftX.py, which craftx never changes: remove them there",
            )
            .with("file", files.legacy.as_deref().map(shown).unwrap_or_default())
            .with("messages", dead)),
        }
    }

    fn rewrite(
        &self,
        cx: &Context,
        target: &Target<'_>,
        index: &mut Index,
        log: &File,
        what: &Compact,
    ) -> Result<Compacted> {
        // A deletion that holds a message of CraftX.py's file down must stay, or the message would come back.
        let purge = what.purge_deleted_before.filter(|_| index.legacy_places.is_empty());
        let tombstones = purge.map_or(0, |before| index.set.purge(before));
        let failed = |error| io_error("cannot compact a session file", &target.files.log, error);
        let old = self.disk.stat(log).map_err(failed)?;
        let aside = self.remove_leftovers(target)?;
        let mut new = NewFile::new(Header::new(target.tenant, target.session));
        let dropped = self.gather(cx, target, index, log, &mut new)?;
        if dropped.is_none() && index.log.torn == 0 {
            return Ok(Compacted::new(aside, 0, tombstones));
        }
        new.finish(self, target, old.modified)?;
        let bytes = (old.len + aside).saturating_sub(new.written);
        Ok(Compacted::new(bytes, dropped.unwrap_or(0).saturating_sub(tombstones), tombstones))
    }

    /// Copies what the session still says; `None` if that is all that there is, so that nothing has to be replaced.
    fn gather(
        &self,
        cx: &Context,
        target: &Target<'_>,
        index: &Index,
        log: &File,
        new: &mut NewFile,
    ) -> Result<Option<u64>> {
        let from = index.log.header.len() as u64;
        let mut lines = Lines::new(&self.disk, log, &target.files.log, from, index.log.end);
        let mut seen = HashSet::new();
        let (mut dropped, mut changed) = (0, false);
        while let Some(line) = lines.next()? {
            cx.check_deadline()?;
            let framed = line.whole.then(|| line::read(&line.bytes)).flatten().ok_or_else(|| target.moved())?;
            let record = read_record(target, &framed.encoded, 0)?;
            match index.set.canonical(&record, &record.identity()) {
                Some(canonical) => {
                    changed |= canonical != record;
                    let encoded = canonical.encode();
                    if seen.insert(encoded.digest()) {
                        new.push(self, target, encoded.as_str())?;
                    } else {
                        dropped += 1;
                    }
                }
                None => dropped += 1,
            }
        }
        Ok((dropped > 0 || changed).then_some(dropped))
    }

    /// Removes torn tails that were set aside, and what an interrupted compaction left; returns their bytes.
    fn remove_leftovers(&self, target: &Target<'_>) -> Result<u64> {
        let dir = &target.files.dir;
        let failed = |error| io_error("cannot remove what was set aside", dir, error);
        let torn = format!("{}{TORN}", target.files.file_name);
        let names = self.disk.list(dir).map_err(failed)?.unwrap_or_default();
        let paths = names
            .iter()
            .filter(|(name, is_dir)| !is_dir && name.to_str().is_some_and(|name| name.starts_with(&torn)))
            .map(|(name, _)| dir.join(name))
            .chain([target.files.temporary()]);
        let mut bytes = 0;
        for path in paths {
            let size = self.disk.stat_path(&path).map_err(failed)?.map_or(0, |stat| stat.len);
            if self.disk.remove(&path).map_err(failed)? {
                bytes += size;
            }
        }
        if bytes > 0 && self.syncs() {
            self.sync_dir(dir).map_err(failed)?;
        }
        Ok(bytes)
    }
}

/// How many messages of CraftX.py's file are dead.
fn dead_in_legacy(index: &Index) -> usize {
    let live: HashSet<_> = index.set.bodies().map(|(id, _)| id).collect();
    index.legacy_places.iter().filter(|(id, _)| !live.contains(id)).count()
}

/// The session file that takes the place of the old one.
struct NewFile {
    file: Option<File>,
    buffer: Vec<u8>,
    /// How much is in the file.
    written: u64,
}

impl NewFile {
    fn new(header: Header) -> Self {
        let mut buffer = Vec::new();
        header.push(&mut buffer);
        Self { file: None, buffer, written: 0 }
    }

    fn push(&mut self, store: &Store, target: &Target<'_>, encoded: &str) -> Result<()> {
        line::push(&mut self.buffer, encoded, Part::WHOLE);
        if self.buffer.len() >= PIECE { self.flush(store, target) } else { Ok(()) }
    }

    fn flush(&mut self, store: &Store, target: &Target<'_>) -> Result<()> {
        let path = target.files.temporary();
        let failed = |error| io_error("cannot write a compacted session file", &path, error);
        let file = match self.file.take() {
            Some(file) => file,
            None => store.disk.create(&path).map_err(failed)?,
        };
        let written = store.disk.write(&file, self.written, &self.buffer);
        if let Err(error) = written {
            // It would hold messages that may be deleted later, in a file that nobody knows.
            let _ = store.disk.remove(&path);
            return Err(failed(error));
        }
        self.file = Some(file);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Puts the new file in the place of the old one, whole or not at all.
    fn finish(&mut self, store: &Store, target: &Target<'_>, modified: SystemTime) -> Result<()> {
        self.flush(store, target)?;
        let Some(file) = self.file.take() else { return Ok(()) };
        let path = target.files.temporary();
        let failed = |error| io_error("cannot replace a session file", &path, error);
        // A compaction is no write: lists keep their order.
        let _ = file.set_modified(modified);
        // Synced whatever the durability: the old file is the only other copy.
        let renamed = store.sync(&file).and_then(|()| store.disk.rename(&path, &target.files.log));
        if let Err(error) = renamed {
            let _ = store.disk.remove(&path);
            return Err(failed(error));
        }
        store.sync_dir(&target.files.dir).map_err(failed)
    }
}
