//! Every call to the file system goes through here, so that a test can make each of them fail.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

#[cfg(test)]
use tests::Event;

/// A call that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Create,
    Read,
    #[cfg(test)]
    Write,
    Sync,
    SyncDir,
    SetLen,
    Rename,
    Remove,
    List,
}

/// The file system.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) faults: tests::Faults,
}

/// Size and time of the last change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) len: u64,
    pub(crate) modified: SystemTime,
}

impl Disk {
    #[cfg(not(test))]
    fn check(&self, _call: Call) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn check(&self, call: Call) -> io::Result<()> {
        self.faults.check(call)
    }

    /// Opens a file for reading; `None` if it does not exist.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Option<File>> {
        self.check(Call::Open)?;
        if_there(File::open(path))
    }

    /// Opens a file for reading and writing; `None` if it does not exist.
    pub(crate) fn open_to_write(&self, path: &Path) -> io::Result<Option<File>> {
        self.check(Call::Open)?;
        if_there(OpenOptions::new().read(true).write(true).open(path))
    }

    /// Creates a file that must not exist.
    pub(crate) fn create_new(&self, path: &Path) -> io::Result<File> {
        self.check(Call::Create)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        #[cfg(test)]
        self.faults.record(&file, |file| Event::Create { path: path.to_owned(), file });
        Ok(file)
    }

    /// Creates a file, or empties it if it exists.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        self.check(Call::Create)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        #[cfg(test)]
        self.faults.record(&file, |file| Event::Create { path: path.to_owned(), file });
        Ok(file)
    }

    /// Opens a file that only serves as a lock, and creates it if need be.
    pub(crate) fn open_lock(&self, path: &Path) -> io::Result<File> {
        self.check(Call::Open)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    /// Reads at most `len` bytes at an offset: fewer only at the end of the file. The handle must not be shared.
    pub(crate) fn read(&self, mut file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.check(Call::Read)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(len);
        file.take(len as u64).read_to_end(&mut bytes)?;
        #[cfg(test)]
        self.faults.count(bytes.len());
        Ok(bytes)
    }

    /// Writes all bytes at an offset. The handle must not be shared.
    pub(crate) fn write(&self, mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.seek(SeekFrom::Start(offset))?;
        #[cfg(test)]
        if let Err(error) = self.check(Call::Write) {
            // A disk that fills up takes a part.
            file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(error);
        }
        #[cfg(test)]
        self.faults.record(file, |file| Event::Write { file, offset, bytes: bytes.to_vec() });
        file.write_all(bytes)
    }

    /// Brings content and size of a file to the disk.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        self.check(Call::Sync)?;
        #[cfg(test)]
        if self.faults.record(file, |file| Event::Sync { file }) {
            // The model of the disk syncs.
            return Ok(());
        }
        file.sync_data()
    }

    /// Brings the names in a folder to the disk, where the operating system can do that.
    pub(crate) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check(Call::SyncDir)?;
        #[cfg(test)]
        if self.faults.note(|| Event::SyncDir { path: path.to_owned() }) {
            return Ok(());
        }
        if !cfg!(unix) {
            return Ok(());
        }
        match File::open(path)?.sync_all() {
            // The file system has no such call: its names need none.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }

    /// Cuts a file.
    pub(crate) fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.check(Call::SetLen)?;
        #[cfg(test)]
        self.faults.record(file, |file| Event::SetLen { file, len });
        file.set_len(len)
    }

    /// Replaces `to` with `from`.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Call::Rename)?;
        #[cfg(test)]
        self.faults.note(|| Event::Rename { from: from.to_owned(), to: to.to_owned() });
        fs::rename(from, to)
    }

    /// Removes a file; says whether it was there.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<bool> {
        self.check(Call::Remove)?;
        #[cfg(test)]
        self.faults.note(|| Event::Remove { path: path.to_owned() });
        if_there(fs::remove_file(path)).map(|found| found.is_some())
    }

    /// Creates a folder whose parent exists; says whether it is new.
    pub(crate) fn create_dir(&self, path: &Path) -> io::Result<bool> {
        self.check(Call::Create)?;
        match fs::create_dir(path) {
            Ok(()) => {
                #[cfg(test)]
                self.faults.note(|| Event::CreateDir { path: path.to_owned() });
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is known of an open file.
    pub(crate) fn stat(&self, file: &File) -> io::Result<Stat> {
        self.check(Call::Read)?;
        file.metadata().and_then(|metadata| stat(&metadata))
    }

    /// What is known of a file by its name; `None` if there is no file of this name.
    pub(crate) fn stat_path(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.check(Call::Read)?;
        let metadata = if_there(fs::metadata(path))?.filter(|metadata| !metadata.is_dir());
        metadata.map(|metadata| stat(&metadata)).transpose()
    }

    /// The names in a folder, and which of them are folders; `None` if it does not exist.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Option<Vec<(OsString, bool)>>> {
        self.check(Call::List)?;
        let Some(entries) = if_there(fs::read_dir(path))? else { return Ok(None) };
        entries
            .map(|entry| {
                let entry = entry?;
                Ok((entry.file_name(), entry.file_type()?.is_dir()))
            })
            .collect::<io::Result<Vec<_>>>()
            .map(Some)
    }
}

fn stat(metadata: &fs::Metadata) -> io::Result<Stat> {
    Ok(Stat { len: metadata.len(), modified: metadata.modified()? })
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    /// Which calls fail, shared by all clones of a [`Disk`].
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Faults(Arc<Mutex<State>>);

    #[derive(Debug, Default)]
    struct State {
        plan: Vec<(Call, usize, io::ErrorKind)>,
        seen: Vec<Call>,
        bytes_read: usize,
        events: Option<Vec<Event>>,
    }

    /// What a call has changed. Files are told by their number in the file system.
    #[derive(Clone, Debug)]
    pub(crate) enum Event {
        Create { path: PathBuf, file: u64 },
        Write { file: u64, offset: u64, bytes: Vec<u8> },
        SetLen { file: u64, len: u64 },
        Sync { file: u64 },
        SyncDir { path: PathBuf },
        Rename { from: PathBuf, to: PathBuf },
        Remove { path: PathBuf },
        CreateDir { path: PathBuf },
    }

    impl Faults {
        /// The call after `skip` more of its kind fails, and every later one until [`Faults::heal`].
        pub(crate) fn fail(&self, call: Call, skip: usize, kind: io::ErrorKind) {
            self.0.lock().unwrap().plan.push((call, skip, kind));
        }

        pub(crate) fn heal(&self) {
            self.0.lock().unwrap().plan.clear();
        }

        /// The calls since the last time, in order, and the bytes that they read.
        pub(crate) fn seen(&self) -> (Vec<Call>, usize) {
            let mut state = self.0.lock().unwrap();
            (std::mem::take(&mut state.seen), std::mem::take(&mut state.bytes_read))
        }

        pub(crate) fn count(&self, bytes: usize) {
            self.0.lock().unwrap().bytes_read += bytes;
        }

        /// From now on, changes are recorded.
        pub(crate) fn start_recording(&self) {
            self.0.lock().unwrap().events = Some(Vec::new());
        }

        /// What has been recorded since the last time.
        pub(crate) fn recorded(&self) -> Vec<Event> {
            self.0.lock().unwrap().events.as_mut().map(std::mem::take).unwrap_or_default()
        }

        /// Records a change; says whether changes are recorded.
        pub(crate) fn note(&self, event: impl FnOnce() -> Event) -> bool {
            let mut state = self.0.lock().unwrap();
            state.events.as_mut().map(|events| events.push(event())).is_some()
        }

        /// Records a change of a file; says whether changes are recorded.
        pub(crate) fn record(&self, file: &File, event: impl FnOnce(u64) -> Event) -> bool {
            #[cfg(unix)]
            let number = |file: &File| std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
            #[cfg(not(unix))]
            let number = |_: &File| 0;
            self.note(|| event(number(file)))
        }

        pub(crate) fn check(&self, call: Call) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            state.seen.push(call);
            for (planned, skip, kind) in &mut state.plan {
                if *planned == call {
                    match skip.checked_sub(1) {
                        Some(left) => *skip = left,
                        None => return Err((*kind).into()),
                    }
                }
            }
            Ok(())
        }
    }
}
