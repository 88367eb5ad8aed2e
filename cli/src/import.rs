//! `craftx import`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use craftx::{Conversation, Error, ErrorKind, Line, Record, SessionId, Storage, StreamExt, Written};
use futures_util::stream;
use serde_json::json;

use crate::args::Import;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

/// A longer line is refused before it fills the memory.
const MAX_LINE_BYTES: usize = 1 << 30;
/// How many conversations are on their way at the same time.
const AT_ONCE: usize = 32;
/// The greatest number of records of one session that are written at once, and of bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

pub(crate) async fn run(global: &Global, import: Import) -> Result<Exit, Failure> {
    let storage = global.open().await?;
    let progress = Progress::new(global, "import", "bytes", size(&import.files));
    let report = Report::default();
    let mut importer = Importer { storage: &storage, restamp: import.restamp, progress, report };
    for file in &import.files {
        importer.file(file).await;
    }
    let Importer { report, progress, .. } = importer;
    drop(progress);
    storage.close().await?;
    report.tell(global)?;
    Ok(report.tally.exit())
}

#[derive(Default)]
struct Report {
    applied: u64,
    known: u64,
    dead: u64,
    tally: Tally,
}

impl Report {
    fn add(&mut self, written: &Written) {
        let [applied, known, dead] = [written.applied, written.known, written.dead].map(|n| u64::from(n.unwrap_or(0)));
        self.applied += applied;
        self.known += known;
        self.dead += dead;
        self.tally.done(applied + known + dead);
    }

    fn fail(&mut self, at: &Place<'_>, error: &Error) {
        let exit = Exit::from(error);
        output::complain(error.kind().as_str(), exit, format_args!("{}:{}: {error}", at.file, at.line));
        self.tally.fail(exit);
    }

    fn tell(&self, global: &Global) -> Result<(), Failure> {
        let Self { applied, known, dead, tally } = self;
        let failed = tally.failed();
        if global.json {
            let mut out = Out::new();
            out.object(json!({"applied": applied, "known": known, "dead": dead, "failed": failed}))?;
            return out.finish();
        }
        output::say(format_args!("{applied} records applied, {known} known, {dead} dead, {failed} failed"));
        Ok(())
    }
}

/// A file and a line in it, for errors.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: u64,
}

struct Importer<'a> {
    storage: &'a Storage,
    restamp: bool,
    progress: Progress,
    report: Report,
}

/// What has been read and not written yet.
#[derive(Default)]
struct Pending {
    /// The session of the last header; `None` before the first one and after a broken one, so that no record ever
    /// lands in the wrong session.
    session: Option<SessionId>,
    records: Vec<(u64, Record)>,
    bytes: usize,
    conversations: Vec<(u64, Conversation)>,
}

impl Importer<'_> {
    async fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        if let Err(error) = self.lines(path, &name).await {
            self.report.tally.fail(Failure::file(name, error).report());
        }
    }

    async fn lines(&mut self, path: &Path, name: &str) -> io::Result<()> {
        let mut reader: Box<dyn BufRead> = match path == Path::new("-") {
            true => Box::new(io::stdin().lock()),
            false => Box::new(BufReader::with_capacity(1 << 16, File::open(path)?)),
        };
        let mut pending = Pending::default();
        let mut line = Vec::new();
        let mut at = Place { file: name, line: 0 };
        loop {
            line.clear();
            at.line += 1;
            let read = read_line(&mut reader, &mut line)?;
            if read == 0 {
                break;
            }
            self.progress.add(read as u64);
            self.line(&line, at, &mut pending).await;
        }
        self.flush(name, &mut pending).await;
        Ok(())
    }

    async fn line(&mut self, line: &[u8], at: Place<'_>, pending: &mut Pending) {
        match parse(line) {
            Ok(None) => {}
            Ok(Some(Line::Header(header))) => {
                self.flush(at.file, pending).await;
                pending.session = Some(header.session);
            }
            Ok(Some(Line::Record(record))) if pending.session.is_some() => {
                pending.bytes += line.len();
                pending.records.push((at.line, record));
                if pending.records.len() >= BATCH || pending.bytes >= BATCH_BYTES {
                    self.flush(at.file, pending).await;
                }
            }
            Ok(Some(Line::Conversation(conversation))) => {
                pending.bytes += line.len();
                pending.conversations.push((at.line, conversation));
                if pending.conversations.len() >= AT_ONCE || pending.bytes >= BATCH_BYTES {
                    self.flush(at.file, pending).await;
                }
            }
            Ok(Some(_)) => self.report.fail(
                &at,
                &Error::new(
                    ErrorKind::InvalidInput,
                    "no valid header before this record says to which session it belongs",
                ),
            ),
            Err(error) => {
                self.flush(at.file, pending).await;
                // It may have been a header: what follows must not land in the session before it.
                if !line.starts_with(br#"{"v":1,"record":"#) {
                    pending.session = None;
                }
                self.report.fail(&at, &error);
            }
        }
    }

    async fn flush(&mut self, file: &str, pending: &mut Pending) {
        pending.bytes = 0;
        self.conversations(file, std::mem::take(&mut pending.conversations)).await;
        if let Some(session) = &pending.session {
            self.records(file, session, std::mem::take(&mut pending.records)).await;
        }
    }

    async fn conversations(&mut self, file: &str, conversations: Vec<(u64, Conversation)>) {
        let (storage, restamp) = (self.storage, self.restamp);
        let writes = conversations.into_iter().map(|(line, conversation)| async move {
            let result = match restamp {
                true => restamped(storage, &conversation).await,
                false => storage.import_conversation(&conversation).await,
            };
            (line, result)
        });
        let mut results = std::pin::pin!(stream::iter(writes).buffered(AT_ONCE));
        while let Some((line, result)) = results.next().await {
            match result {
                Ok(written) => self.report.add(&written),
                Err(error) => self.report.fail(&Place { file, line }, &error),
            }
        }
    }

    async fn records(&mut self, file: &str, session: &SessionId, records: Vec<(u64, Record)>) {
        if records.is_empty() {
            return;
        }
        let all: Vec<Record> = records.iter().map(|(_, record)| record.clone()).collect();
        match self.write(session, all).await {
            Ok(written) => self.report.add(&written),
            // One of them breaks a rule: the others go in, and that one is named.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                for (line, record) in records {
                    match self.write(session, vec![record]).await {
                        Ok(written) => self.report.add(&written),
                        Err(error) => self.report.fail(&Place { file, line }, &error),
                    }
                }
            }
            Err(error) => {
                for (line, _) in records {
                    self.report.fail(&Place { file, line }, &error);
                }
            }
        }
    }

    async fn write(&self, session: &SessionId, records: Vec<Record>) -> Result<Written, Error> {
        let records = stream::iter(records.into_iter().map(Ok));
        self.storage.import_records(session, records).await
    }
}

async fn restamped(storage: &Storage, conversation: &Conversation) -> Result<Written, Error> {
    let mut applied = 0;
    for (key, value) in &conversation.metadata {
        storage.set_metadata(&conversation.session, key, value.clone()).await?;
        applied += 1;
    }
    let messages = conversation.new_messages()?;
    for part in messages.chunks(BATCH) {
        applied += storage.append_all(&conversation.session, part.iter().cloned()).await?.len() as u32;
    }
    Ok(Written::counted(applied, 0, 0))
}

/// Reads up to a line break or [`MAX_LINE_BYTES`]; returns how many bytes were read.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let mut read = 0;
    loop {
        let part = reader.fill_buf()?;
        if part.is_empty() {
            return Ok(read);
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(part.len(), |end| end + 1);
        if line.len() <= MAX_LINE_BYTES {
            line.extend(part.iter().take(end.unwrap_or(taken)));
        }
        reader.consume(taken);
        read += taken;
        if end.is_some() {
            return Ok(read);
        }
    }
}

/// `None` for an empty line.
fn parse(line: &[u8]) -> Result<Option<Line>, Error> {
    if line.len() > MAX_LINE_BYTES {
        return Err(Error::new(ErrorKind::InvalidInput, "the line is longer than 1 GiB"));
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| Error::new(ErrorKind::InvalidInput, "this is not UTF-8").with("byte", error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_matches([' ', '\t', '\r']);
    if text.is_empty() { Ok(None) } else { Line::parse(text).map(Some) }
}

/// How much there is to read; `None` if that is not known.
fn size(files: &[PathBuf]) -> Option<u64> {
    let size = |path: &PathBuf| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
    files.iter().map(size).sum()
}
