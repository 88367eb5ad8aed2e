//! Reading an archive: what it holds, every count and digest checked on the way.

use craftx_core::{Error, ErrorKind, Record, Result};

use super::archive::Archive;
use super::format::{About, Begin, Counts, End, Line};
use super::inflate::Inflate;

/// An archive that is being read.
pub(super) struct Reader {
    lines: Inflate,
    pub(super) about: About,
    /// The session whose records are being read, and what has been read of it.
    current: Option<(Begin, End, blake3::Hasher)>,
    last: Option<Begin>,
    counts: Counts,
}

/// What comes next in an archive.
pub(super) enum Item {
    /// The records that follow belong to this session.
    Begin(Begin),
    Record(Record),
    /// The session was what its end says.
    End(End),
    /// Everything was what the end says. The archive has this digest.
    Done(Counts, String),
}

impl Reader {
    pub(super) async fn open(archive: &Archive) -> Result<Self> {
        Self::begin(archive).await.map_err(|error| archive.name(error))
    }

    async fn begin(archive: &Archive) -> Result<Self> {
        let mut lines = Inflate::open(archive).await?;
        let first = match lines.next().await? {
            Some(text) => Line::parse(&text).map_err(|error| match error.kind() {
                ErrorKind::SchemaTooNew => error,
                _ => Error::new(ErrorKind::InvalidInput, "this is no archive of craftx"),
            })?,
            None => return Err(lines.damaged("the archive is empty")),
        };
        match first {
            Line::About(about) => Ok(Self { lines, about, current: None, last: None, counts: Counts::default() }),
            _ => Err(Error::new(ErrorKind::InvalidInput, "this is no archive of craftx")),
        }
    }

    /// How many bytes of the archive have been read.
    pub(super) fn at(&self) -> u64 {
        self.lines.at
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupted`] with the line, the byte and the session, and those of the medium.
    pub(super) async fn next(&mut self) -> Result<Item> {
        let next = self.item().await;
        next.map_err(|error| match &self.current {
            Some((begin, ..)) => {
                error.with("tenant", format!("{:?}", begin.tenant)).with("session", format!("{:?}", begin.session))
            }
            None => error,
        })
    }

    async fn item(&mut self) -> Result<Item> {
        let Some(text) = self.lines.next().await? else {
            return Err(self.lines.damaged("the end of the backup is missing"));
        };
        let line = Line::parse(&text).map_err(|error| self.lines.place(error))?;
        match (line, &mut self.current) {
            (Line::Begin(begin), None) => {
                if self.last.as_ref().is_none_or(|last| last.tenant != begin.tenant) {
                    self.counts.tenants += 1;
                }
                self.counts.sessions += 1;
                let mut hasher = blake3::Hasher::new();
                hash(&mut hasher, &text);
                self.current = Some((begin.clone(), End::new(0, 0, 0, String::new()), hasher));
                Ok(Item::Begin(begin))
            }
            (Line::Record(record), Some((_, so_far, hasher))) => {
                hash(hasher, &text);
                so_far.records += 1;
                so_far.messages += u64::from(matches!(record, Record::Message(_)));
                so_far.bytes += text.len() as u64;
                Ok(Item::Record(record))
            }
            (Line::End(end), Some((_, so_far, hasher))) => {
                let counted = (so_far.records, so_far.messages, so_far.bytes);
                if counted != (end.records, end.messages, end.bytes) {
                    return Err(self.lines.damaged("the session has not as many records as its end says"));
                }
                if *hasher.finalize().to_hex() != *end.digest {
                    return Err(self.lines.damaged("the session has not the digest that its end says"));
                }
                self.counts.records += end.records;
                self.counts.messages += end.messages;
                self.counts.bytes += end.bytes;
                self.counts.failed += u64::from(end.failed.is_some());
                self.last = self.current.take().map(|(begin, ..)| begin);
                Ok(Item::End(end))
            }
            (Line::Manifest(manifest), None) => {
                if manifest.counts != self.counts {
                    return Err(self.lines.damaged("there is not as much as the end says"));
                }
                if self.lines.next().await?.is_some() {
                    return Err(self.lines.damaged("there is something behind the end"));
                }
                let digest = self.lines.digest().await?;
                Ok(Item::Done(self.counts, digest))
            }
            _ => Err(self.lines.damaged("a line stands where it does not belong")),
        }
    }
}

fn hash(hasher: &mut blake3::Hasher, line: &str) {
    hasher.update(line.as_bytes()).update(b"\n");
}
