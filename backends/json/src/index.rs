//! What is kept in memory of a session: which messages are live, and where they lie.

use std::fs::File;
use std::time::SystemTime;

use craftx_core::union::SessionSet;
use craftx_core::{Context, Error, ErrorKind, Identity, Message, Record, Result, SessionId, Stamp, Tenant};
use uuid::Uuid;

use crate::error::{corrupted, io_error};
use crate::file::{Disk, Stat};
use crate::header::{Header, NoHeader};
use crate::layout::SessionFiles;
use crate::legacy;
use crate::line::{self, SEAL};
use crate::lines::{Line, Lines};
use crate::recover::{self, Tail};

/// No interrupted append leaves more than this, so more need not be read to judge it.
const LONGEST_TAIL: u64 = 1 << 30;
/// How many lines are read between two looks at the deadline.
const BETWEEN_LOOKS: u64 = 512;

/// What [`Target::message`] says if a message is not where the index has it.
const MOVED: &str = "a message is not where it was";

/// Whether the files may have been replaced while they were read.
pub(crate) fn has_moved(error: &Error) -> bool {
    error.kind() == ErrorKind::Corrupted && error.message() == MOVED
}

/// Where a message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a line of the session file.
    Log { offset: u64, len: u32 },
    /// In the file of CraftX.py.
    Legacy { offset: u64, len: u32 },
}

/// The session whose files are read.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) tenant: &'a Tenant,
    pub(crate) session: &'a SessionId,
    pub(crate) files: &'a SessionFiles,
}

/// A session in memory. Reading on from where it ends is all it takes to bring it up to date, unless the file has been
/// replaced.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) set: SessionSet<Place>,
    pub(crate) log: Log,
    /// The file of CraftX.py as it was when it was read.
    pub(crate) legacy: Option<Stat>,
    /// What that file holds, in its order.
    pub(crate) legacy_places: Vec<(Stamp, Place)>,
    /// When something was last stored.
    pub(crate) updated: Option<SystemTime>,
    /// Up to here the session file is known to be on the disk, names of folders included.
    pub(crate) durable_to: u64,
}

/// How far the session file has been read.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Its first line, line break included. Empty: there is no session file, or nothing whole in it.
    pub(crate) header: Vec<u8>,
    /// Changes when the file is written anew.
    pub(crate) generation: Option<Uuid>,
    /// The end of the last whole batch.
    pub(crate) end: u64,
    /// How many lines lie before the end, the header included.
    lines: u64,
    /// The last bytes before the end. If they are still there, so is everything before them.
    seal: Vec<u8>,
    /// How many bytes of a torn tail follow the end.
    pub(crate) torn: u64,
}

impl Log {
    /// How many whole lines the session file has.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}

impl Index {
    /// Forgets everything, so that the next refresh reads all again.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Brings the index up to date with the files. After an error it has to be [forgotten](Self::forget).
    ///
    /// # Errors
    /// [`ErrorKind::Corrupted`] naming file and line.
    pub(crate) fn refresh(&mut self, cx: &Context, target: &Target<'_>, file: Option<&File>) -> Result<()> {
        let size = match file {
            Some(file) => self.size_if_same(target, file)?,
            None => (self.log.end == 0).then_some(Stat { len: 0, modified: SystemTime::UNIX_EPOCH }),
        };
        let legacy = target.legacy_stat()?;
        let known = size.filter(|_| legacy == self.legacy);
        let stat = match (known, file) {
            (Some(stat), _) => stat,
            (None, file) => {
                self.forget();
                self.legacy = legacy;
                if legacy.is_some() {
                    self.read_legacy(target)?;
                }
                match file {
                    Some(file) => target.stat(file)?,
                    None => Stat { len: 0, modified: SystemTime::UNIX_EPOCH },
                }
            }
        };
        if let Some(file) = file {
            self.extend(cx, target, file, stat.len)?;
        }
        self.updated = legacy.map(|stat| stat.modified).max(file.map(|_| stat.modified));
        Ok(())
    }

    /// The size of the file, if it still begins and ends as it did when it was last read.
    fn size_if_same(&self, target: &Target<'_>, file: &File) -> Result<Option<Stat>> {
        let stat = target.stat(file)?;
        if stat.len < self.log.end {
            return Ok(None);
        }
        let seal = self.log.seal.len() as u64;
        let same = target.read(file, 0, self.log.header.len())? == self.log.header
            && target.read(file, self.log.end - seal, self.log.seal.len())? == self.log.seal;
        Ok(same.then_some(stat))
    }

    fn read_legacy(&mut self, target: &Target<'_>) -> Result<()> {
        let Some((path, bytes)) = target.legacy_bytes()? else { return Ok(()) };
        let entries =
            legacy::parse(target.session, &bytes).map_err(|error| error.with("file", crate::error::shown(&path)))?;
        for entry in entries {
            let len = u32::try_from(entry.span.len()).map_err(|_| corrupted(&path, None, "a message is too long"))?;
            let place = Place::Legacy { offset: entry.span.start as u64, len };
            let id = entry.message.id;
            let record = Record::Message(entry.message);
            let identity = record.identity();
            self.set.replay(&record, identity, |_| place);
            self.legacy_places.push((id, place));
        }
        Ok(())
    }

    /// Reads the whole batches between the end and `size`.
    fn extend(&mut self, cx: &Context, target: &Target<'_>, file: &File, size: u64) -> Result<()> {
        let path = &target.files.log;
        let mut lines = Lines::new(target.disk, file, path, self.log.end, size);
        let mut batch: Vec<(Record, Identity, Place)> = Vec::new();
        let (mut of, mut count) = (0, 0);
        self.log.torn = 0;
        while let Some(line) = lines.next()? {
            count += 1;
            if count % BETWEEN_LOOKS == 0 {
                cx.check_deadline()?;
            }
            if self.log.end == 0 {
                match read_header(target, &line)? {
                    Some(header) => self.begin(header, line),
                    None => return self.judge_tail(target, file, size),
                }
                continue;
            }
            let framed = line.whole.then(|| line::read(&line.bytes)).flatten();
            let fits = |framed: &line::Framed| framed.part.line as usize == batch.len() + 1;
            let same_batch = |framed: &line::Framed| batch.is_empty() || framed.part.of == of;
            let Some(framed) = framed.filter(fits).filter(same_batch) else {
                return self.judge_tail(target, file, size);
            };
            of = framed.part.of;
            let number = self.log.lines + batch.len() as u64 + 1;
            let record = read_record(target, &framed.encoded, number)?;
            let len =
                u32::try_from(line.bytes.len()).map_err(|_| corrupted(path, Some(number), "a line is too long"))?;
            let identity = record.identity();
            batch.push((record, identity, Place::Log { offset: line.offset, len }));
            if framed.part.is_last() {
                self.log.lines += batch.len() as u64;
                self.log.end = line.end();
                self.log.seal = seal(&line);
                for (record, identity, place) in batch.drain(..) {
                    self.set.replay(&record, identity, |_| place);
                }
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            // The batch is whole as far as it goes; judged all the same, because its lines may not belong together.
            false => self.judge_tail(target, file, size),
        }
    }

    fn begin(&mut self, header: Header, line: Line) {
        self.log.generation = Some(header.generation);
        self.log.lines = 1;
        self.log.end = line.end();
        self.log.seal = seal(&line);
        self.log.header = line.bytes;
        self.log.header.push(b'\n');
    }

    fn judge_tail(&mut self, target: &Target<'_>, file: &File, size: u64) -> Result<()> {
        let path = &target.files.log;
        let length = size.saturating_sub(self.log.end);
        let verdict = if length > LONGEST_TAIL {
            Tail::Damaged(0)
        } else {
            recover::judge(self.log.end, &target.read(file, self.log.end, length as usize)?)
        };
        match verdict {
            Tail::Torn => {
                self.log.torn = length;
                Ok(())
            }
            Tail::Damaged(index) => {
                Err(corrupted(path, Some(self.log.lines + index + 1), "a line is not what was written"))
            }
        }
    }

    /// Takes in a batch that has just been written at the end.
    pub(crate) fn wrote(&mut self, header: Option<(Header, Vec<u8>)>, batch: &[u8], lines: u64) {
        if let Some((header, bytes)) = header {
            self.log.generation = Some(header.generation);
            self.log.lines = 1;
            self.log.end = bytes.len() as u64;
            self.log.header = bytes;
        }
        self.log.lines += lines;
        self.log.end += batch.len() as u64;
        self.log.torn = 0;
        self.log.seal = batch.get(batch.len().saturating_sub(SEAL + 1)..).unwrap_or_default().to_vec();
    }
}

/// The end of a whole line, line break included.
fn seal(line: &Line) -> Vec<u8> {
    let mut seal = line.bytes.get(line.bytes.len().saturating_sub(SEAL)..).unwrap_or_default().to_vec();
    seal.push(b'\n');
    seal
}

/// The header of the session; `None` if the line is not what was written.
fn read_header(target: &Target<'_>, line: &Line) -> Result<Option<Header>> {
    let path = &target.files.log;
    let header = match Header::read(&line.bytes) {
        Ok(header) if line.whole => header,
        Ok(_) | Err(NoHeader::Damaged) => return Ok(None),
        Err(NoHeader::Wrong(error)) => return Err(error.with("file", crate::error::shown(path)).with("line", 1)),
    };
    if header.tenant != *target.tenant || header.session != *target.session {
        return Err(corrupted(path, Some(1), "the file is that of another session"));
    }
    Ok(Some(header))
}

/// The record of a line whose checksum holds.
pub(crate) fn read_record(target: &Target<'_>, encoded: &str, number: u64) -> Result<Record> {
    let path = &target.files.log;
    let record = Record::decode(encoded).map_err(|error| {
        let kind = match error.kind() {
            ErrorKind::SchemaTooNew => ErrorKind::SchemaTooNew,
            _ => ErrorKind::Corrupted,
        };
        Error::new(kind, error.message().to_owned()).with("file", crate::error::shown(path)).with("line", number)
    })?;
    // Equality of records is equality of encodings; another spelling would make one record look like two.
    if record.encode().as_str() != encoded {
        return Err(corrupted(path, Some(number), "a record is not in its canonical encoding"));
    }
    Ok(record)
}

impl Target<'_> {
    fn read(&self, file: &File, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.disk
            .read(file, offset, len)
            .map_err(|error| io_error("cannot read a session file", &self.files.log, error))
    }

    fn stat(&self, file: &File) -> Result<Stat> {
        self.disk.stat(file).map_err(|error| io_error("cannot read a session file", &self.files.log, error))
    }

    fn legacy_stat(&self) -> Result<Option<Stat>> {
        match &self.files.legacy {
            Some(path) => {
                self.disk.stat_path(path).map_err(|error| io_error("cannot read a file of CraftX.py", path, error))
            }
            None => Ok(None),
        }
    }

    /// Name and content of the file of CraftX.py.
    fn legacy_bytes(&self) -> Result<Option<(std::path::PathBuf, Vec<u8>)>> {
        let Some(path) = &self.files.legacy else { return Ok(None) };
        let failed = |error| io_error("cannot read a file of CraftX.py", path, error);
        // Where the file system folds case, a file answers to names that are not its own.
        let names = self.disk.list(&self.files.dir).map_err(failed)?.unwrap_or_default();
        if !names.iter().any(|(name, _)| Some(name.as_os_str()) == path.file_name()) {
            return Ok(None);
        }
        let Some(file) = self.disk.open(path).map_err(failed)? else { return Ok(None) };
        let size = self.disk.stat(&file).map_err(failed)?.len;
        let bytes = self.disk.read(&file, 0, size as usize).map_err(failed)?;
        Ok(Some((path.clone(), bytes)))
    }

    /// Opens the file of CraftX.py, if it still is what was read.
    pub(crate) fn open_legacy(&self, read: Option<Stat>) -> Result<Option<File>> {
        let (Some(path), Some(read)) = (&self.files.legacy, read) else { return Ok(None) };
        let failed = |error| io_error("cannot read a file of CraftX.py", path, error);
        let Some(file) = self.disk.open(path).map_err(failed)? else { return Ok(None) };
        Ok((self.disk.stat(&file).map_err(failed)? == read).then_some(file))
    }

    /// The error for a line that is not where it was.
    pub(crate) fn moved(&self) -> Error {
        corrupted(&self.files.log, None, MOVED)
    }

    /// The message at a place in one of the two files.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupted`] if it is not there any more: the caller looks again, since the file may have been
    /// replaced in between.
    pub(crate) fn message(
        &self,
        id: Stamp,
        place: Place,
        log: Option<&File>,
        legacy: Option<&File>,
    ) -> Result<Message> {
        match place {
            Place::Legacy { offset, len } => {
                let moved = || corrupted(self.files.legacy.as_deref().unwrap_or(&self.files.dir), None, MOVED);
                let bytes = self.read(legacy.ok_or_else(moved)?, offset, len as usize)?;
                legacy::parse_one(id, &bytes).map_err(|_| moved())
            }
            Place::Log { offset, len } => {
                let file = log.ok_or_else(|| self.moved())?;
                let bytes = self.read(file, offset, len as usize)?;
                let framed = line::read(&bytes).ok_or_else(|| self.moved())?;
                match Record::decode(&framed.encoded) {
                    Ok(Record::Message(message)) if message.id == id => Ok(message),
                    _ => Err(self.moved()),
                }
            }
        }
    }
}
