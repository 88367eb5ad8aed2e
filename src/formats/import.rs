//! Writing what a file holds into a store.

use std::collections::HashMap;

use craftx_core::{Error, ErrorKind, Record, Result, SessionId, Stamp, WriteOptions, Written as Answer};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{Entry, Foreign, Item};
use crate::stamper::Stamper;
use crate::{NewMessage, Storage};

/// The greatest number of records that are written at once, and of bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 4 << 20;
/// How many batches are on their way at the same time, and how many bytes.
const AT_ONCE: usize = 32;
const AT_ONCE_BYTES: usize = 16 << 20;

/// How a file is imported.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Append messages as new ones instead of giving them the stamps that follow from what they are: a second time
    /// doubles them. Records keep their stamps.
    pub restamp: bool,
}

impl ImportOptions {
    /// Doing it a second time changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends messages as new ones.
    #[must_use]
    pub fn restamp(mut self, restamp: bool) -> Self {
        self.restamp = restamp;
        self
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Sessions that were named in it.
    pub sessions: u64,
    /// Messages that could be read.
    pub messages: u64,
    /// Records that changed the store.
    pub applied: u64,
    /// Records that were there already.
    pub known: u64,
    /// Records that are dead, because something was deleted or superseded.
    pub dead: u64,
    /// Items that could not be read or written; each was told.
    pub failed: u64,
}

/// Writes items into a store, and tells `failed` of each that could not be read or written, with its line. Order is by
/// position, and a second import of the same file applies nothing.
///
/// Reads the file on the thread of the caller. Holds no more than the batches that are on their way.
///
/// # Errors
/// Those of the store that concern no single item, such as [`Unavailable`](ErrorKind::Unavailable). What was written
/// before stays.
///
/// # Cancel safety
/// May be dropped at any time; import the file again.
pub async fn import(
    storage: &Storage,
    entries: impl Iterator<Item = Entry>,
    options: &ImportOptions,
    failed: &mut (dyn FnMut(u64, &Error) + Send),
) -> Result<Imported> {
    let mut importer = Importer { storage, options, failed, report: Imported::default(), current: None };
    let mut writes = FuturesUnordered::new();
    let mut bytes = 0;
    for entry in entries {
        let (line, broken) = (entry.line, entry.is_broken_message());
        let full = match entry.item {
            Ok(item) => importer.take(line, item).await?,
            Err(error) => {
                importer.broken(line, error, broken)?;
                None
            }
        };
        if let Some(batch) = full {
            bytes += batch.bytes;
            writes.push(write(storage, batch));
        }
        while writes.len() >= AT_ONCE || bytes >= AT_ONCE_BYTES {
            let Some(done) = writes.next().await else { break };
            bytes -= done.batch.bytes;
            importer.written(done).await?;
        }
    }
    if let Some(batch) = importer.finish().await? {
        writes.push(write(storage, batch));
    }
    while let Some(done) = writes.next().await {
        importer.written(done).await?;
    }
    Ok(importer.report)
}

struct Importer<'a> {
    storage: &'a Storage,
    options: &'a ImportOptions,
    failed: &'a mut (dyn FnMut(u64, &Error) + Send),
    report: Imported,
    current: Option<Current>,
}

/// The session that is being read.
struct Current {
    stamper: Stamper,
    /// What is known of the session, until its first message says when it began.
    metadata: Option<(u64, craftx_core::Metadata)>,
    records: Vec<Record>,
    /// The line of each record.
    lines: Vec<u64>,
    /// Messages that are to be appended as new ones.
    new: Vec<Foreign>,
    /// The stamps of those that have been appended, by what their program calls them.
    appended: HashMap<String, Stamp>,
    bytes: usize,
    /// Its messages have no stamps yet: they must not be dead when they are written.
    fresh: bool,
}

/// What is written at once.
struct Batch {
    session: SessionId,
    records: Vec<Record>,
    lines: Vec<u64>,
    bytes: usize,
    options: WriteOptions,
}

/// A batch, and what the store said.
struct Done {
    batch: Batch,
    answer: Result<Answer>,
}

async fn write(storage: &Storage, batch: Batch) -> Done {
    let answer = storage.write(&storage.context(), &batch.session, &batch.records, &batch.options).await;
    Done { batch, answer }
}

impl Importer<'_> {
    fn fail(&mut self, line: u64, error: &Error) {
        self.report.failed += 1;
        (self.failed)(line, error);
    }

    /// Tells of an item that could not be read. The place of a message stays free, so that the others keep theirs when it
    /// can be read one day.
    fn broken(&mut self, line: u64, error: Error, is_message: bool) -> Result<()> {
        let Some(current) = self.current.as_mut().filter(|_| is_message) else {
            self.fail(line, &error);
            return Ok(());
        };
        current.stamper.skip()?;
        let error = error.with("message", current.stamper.index());
        let error = of_session(error, current.stamper.session());
        self.fail(line, &error);
        Ok(())
    }

    /// Takes in an item; returns a batch that is to be written before the next.
    async fn take(&mut self, line: u64, item: Item) -> Result<Option<Batch>> {
        match item {
            Item::Session { id, metadata } => {
                let batch = self.finish().await?;
                self.report.sessions += 1;
                let metadata = (!metadata.is_empty()).then_some((line, metadata));
                let stamper = Stamper::new(id);
                self.current = Some(Current {
                    stamper,
                    metadata,
                    records: Vec::new(),
                    lines: Vec::new(),
                    new: Vec::new(),
                    appended: HashMap::new(),
                    bytes: 0,
                    fresh: true,
                });
                Ok(batch)
            }
            Item::Message(message) => {
                let Some(current) = &mut self.current else {
                    self.fail(line, &no_session());
                    return Ok(None);
                };
                if self.options.restamp {
                    self.report.messages += 1;
                    // A parent has to have its new stamp before whoever names it.
                    let waits = current.new.iter().any(|before| before.id.is_some() && before.id == message.parent);
                    if waits || current.new.len() >= BATCH {
                        self.append().await?;
                    }
                    self.current.iter_mut().for_each(|current| current.new.push((*message).clone()));
                    return Ok(None);
                }
                current.metadata_before(message.message.created_at.as_ref())?;
                let index = current.stamper.index();
                match message.stamped(&mut current.stamper) {
                    Ok(message) => {
                        self.report.messages += 1;
                        Ok(current.push(line, Record::Message(message)))
                    }
                    Err(error) => {
                        self.fail(line, &error.with("message", index + 1));
                        Ok(None)
                    }
                }
            }
            Item::Record(record) => {
                let Some(current) = &mut self.current else {
                    self.fail(line, &no_session());
                    return Ok(None);
                };
                current.fresh = false;
                self.report.messages += u64::from(matches!(*record, Record::Message(_)));
                Ok(current.push(line, *record))
            }
        }
    }

    /// What is left of the current session.
    async fn finish(&mut self) -> Result<Option<Batch>> {
        self.append().await?;
        let Some(current) = &mut self.current else { return Ok(None) };
        current.metadata_before(None)?;
        let batch = (!current.records.is_empty()).then(|| current.batch());
        self.current = None;
        Ok(batch)
    }

    /// Appends what has been collected as new messages, and the metadata before them.
    async fn append(&mut self) -> Result<()> {
        let Some(current) = self.current.as_mut().filter(|_| self.options.restamp) else { return Ok(()) };
        let session = current.stamper.session().clone();
        if let Some((_, metadata)) = current.metadata.take() {
            for (key, value) in metadata {
                self.storage.set_metadata(&session, key, value).await?;
                self.report.applied += 1;
            }
        }
        let new = std::mem::take(&mut current.new);
        if !new.is_empty() {
            let stamp_of = |id: &String| current.appended.get(id).copied();
            let messages = new.iter().map(|foreign| NewMessage {
                parent: foreign.parent.as_ref().and_then(stamp_of),
                ..foreign.message.clone()
            });
            let messages: Vec<_> = messages.collect();
            let appended = self.storage.append_all(&session, messages).await?;
            self.report.applied += appended.len() as u64;
            let named = new.into_iter().zip(&appended).filter_map(|(foreign, message)| Some((foreign.id?, message.id)));
            current.appended.extend(named);
        }
        Ok(())
    }

    async fn written(&mut self, done: Done) -> Result<()> {
        let Batch { session, records, lines, options, .. } = done.batch;
        match done.answer {
            Ok(answer) => self.count(&session, &records, &lines, &options, &answer),
            // One of them breaks a rule, or is known with other content: the others go in, and that one is named.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Conflict) => {
                for (line, record) in lines.into_iter().zip(records) {
                    let one = [record];
                    match self.storage.write(&self.storage.context(), &session, &one, &options).await {
                        Ok(answer) => self.count(&session, &one, &[line], &options, &answer),
                        Err(error) => self.fail(line, &of_session(explained(error, &options), &session)),
                    }
                }
            }
            // Only this session is damaged, or not the caller's.
            Err(error) if matches!(error.kind(), ErrorKind::Corrupted | ErrorKind::PermissionDenied) => {
                let error = of_session(error, &session);
                lines.iter().for_each(|line| self.fail(*line, &error));
            }
            Err(error) => return Err(of_session(error, &session)),
        }
        Ok(())
    }

    fn count(
        &mut self,
        session: &SessionId,
        records: &[Record],
        lines: &[u64],
        options: &WriteOptions,
        answer: &Answer,
    ) {
        self.report.applied += u64::from(answer.applied.unwrap_or(0));
        self.report.known += u64::from(answer.known.unwrap_or(0));
        let first = records.iter().map(Record::stamp).min();
        let below = answer.cleared.zip(first).is_some_and(|(cleared, first)| first <= cleared);
        if below && options.source == craftx_core::Source::Fresh {
            self.fail(lines.first().copied().unwrap_or(0), &below_a_clear(session));
        } else {
            self.report.dead += u64::from(answer.dead.unwrap_or(0));
        }
    }
}

impl Current {
    /// The metadata lies below the first message.
    fn metadata_before(&mut self, first: Option<&craftx_core::Time>) -> Result<()> {
        if let Some((line, metadata)) = self.metadata.take() {
            let record = self.stamper.metadata(&metadata, first)?;
            self.push(line, record);
        }
        Ok(())
    }

    fn push(&mut self, line: u64, record: Record) -> Option<Batch> {
        self.bytes += record.encode().as_str().len();
        self.records.push(record);
        self.lines.push(line);
        (self.records.len() >= BATCH || self.bytes >= BATCH_BYTES).then(|| self.batch())
    }

    fn batch(&mut self) -> Batch {
        let options = if self.fresh { WriteOptions::fresh() } else { WriteOptions::replay() };
        Batch {
            session: self.stamper.session().clone(),
            records: std::mem::take(&mut self.records),
            lines: std::mem::take(&mut self.lines),
            bytes: std::mem::take(&mut self.bytes),
            options,
        }
    }
}

fn no_session() -> Error {
    Error::new(ErrorKind::InvalidInput, "nothing before this says to which session it belongs")
}

/// Who imports conversations has edited a message, or put two files into one session; nothing has to be deleted.
fn explained(error: Error, options: &WriteOptions) -> Error {
    match error.get("id") {
        Some(id) if error.kind() == ErrorKind::Conflict && options.source == craftx_core::Source::Fresh => {
            let why =
                "the session has another message at this place: it was edited, or another file filled the session";
            Error::new(ErrorKind::Conflict, why).with("id", id).with("say", "`--session NAME` for another session")
        }
        _ => error,
    }
}

fn of_session(error: Error, session: &SessionId) -> Error {
    error.during("import").with("session", format!("{session:?}"))
}

/// The error for messages that a clear of the session covers.
pub(crate) fn below_a_clear(session: &SessionId) -> Error {
    let why = "the session was cleared after the time of these messages; import them with `--restamp`";
    of_session(Error::new(ErrorKind::Conflict, why), session)
}
