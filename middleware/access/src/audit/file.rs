//! An audit log in a file of JSON Lines.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use craftx_core::{Context, Error, ErrorKind, Result, async_trait, json};

use super::{AuditSink, Event};

/// Appends one JSON object a line to a file, which only its owner may read.
///
/// Several processes may append to the same file: each line is written at once, at its end. An event is there when the
/// process is killed after it was told, and if `sync` is set when the power fails.
///
/// ```
/// use craftx_access::FileSink;
/// let sink = FileSink::new("audit.jsonl").sync(true);
/// ```
#[derive(Clone, Debug)]
pub struct FileSink {
    path: PathBuf,
    sync: bool,
    file: Arc<Mutex<Option<File>>>,
}

impl FileSink {
    /// A log in the file at `path`, made when it is opened.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), sync: false, file: Arc::default() }
    }

    /// Sets whether each event is synced to the disk before the call goes on. Default: no.
    #[must_use]
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// Runs something with the file on a thread that may wait for a disk.
    async fn with_file(
        &self,
        change: impl FnOnce(&Self, &mut Option<File>) -> std::io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let sink = self.clone();
        blocking::unblock(move || {
            // A panic leaves a file open or not, which is all that there is to know of it.
            let mut file = sink.file.lock().unwrap_or_else(PoisonError::into_inner);
            change(&sink, &mut file)
        })
        .await
        .map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
                _ => ErrorKind::Unavailable,
            };
            let (cause, file) = (error.kind(), self.path.display());
            let told = Error::new(kind, "the file of the audit log cannot be written").because(error);
            told.with("cause", cause).with("file", format_args!("`{file}`"))
        })
    }

    fn open_file(&self) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        // A line that was cut off by a loss of power must not swallow the next one.
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    }
}

#[async_trait]
impl AuditSink for FileSink {
    async fn open(&self, _: &Context) -> Result<()> {
        self.with_file(|sink, file| {
            if file.is_none() {
                *file = Some(sink.open_file()?);
            }
            Ok(())
        })
        .await
    }

    async fn record(&self, _: &Context, event: &Event) -> Result<()> {
        let mut line = json::encode(&event.to_json());
        line.push('\n');
        self.with_file(move |sink, held| {
            let mut file = match held.take() {
                Some(file) => file,
                None => sink.open_file()?,
            };
            file.write_all(line.as_bytes())?;
            if sink.sync {
                file.sync_data()?;
            }
            // After an error it is opened again, which ends a line that was written in part.
            *held = Some(file);
            Ok(())
        })
        .await
    }

    async fn close(&self, _: &Context) -> Result<()> {
        self.with_file(|_, file| match file.take() {
            Some(file) => file.sync_data(),
            None => Ok(()),
        })
        .await
    }
}
