//! A file that is to be imported.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use craftx_core::{Error, ErrorKind, Result, SessionId, Time, json};
use serde_json::Value;

use super::elements::{Element, Elements};

/// What a SQLite database begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// So many elements are looked at to find out the format, and so many bytes of them.
const SAMPLE: usize = 64;
const SAMPLE_BYTES: usize = 1 << 20;

/// A file that is to be imported: JSON that is read as a stream, or a SQLite database.
pub struct Source {
    path: Option<PathBuf>,
    session: Option<SessionId>,
    zone: Option<String>,
    read: Arc<AtomicU64>,
    what: What,
}

enum What {
    Json { elements: Elements<Counted>, ahead: VecDeque<Element> },
    Database { tables: Vec<String> },
}

/// What a file looks like: the values it begins with, or the tables of a database.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Sample {
    /// The first values of a JSON file: the elements of its array, or its lines. Those that are no JSON are left out.
    pub values: Vec<Value>,
    /// The names of the tables of a SQLite database.
    pub tables: Vec<String>,
}

impl Sample {
    /// The first value, if it is an object.
    pub fn first(&self) -> Option<&serde_json::Map<String, Value>> {
        self.values.first().and_then(Value::as_object)
    }

    /// Whether it is a database with this table.
    pub fn has_table(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table == name)
    }
}

impl Source {
    /// A file. What has no name of its own in it becomes a session that is called like the file, without its ending.
    ///
    /// # Errors
    /// Those of opening the file.
    pub fn file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut beginning = Vec::new();
        (&mut file).take(SQLITE.len() as u64).read_to_end(&mut beginning)?;
        if beginning == SQLITE {
            let what = What::Database { tables: tables(path)? };
            return Ok(Self { path: Some(path.to_owned()), session: None, zone: None, read: Arc::default(), what });
        }
        let mut source = Self::reader(io::Cursor::new(beginning).chain(file));
        source.path = Some(path.to_owned());
        Ok(source)
    }

    /// Anything that can be read.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        let read = Arc::new(AtomicU64::new(0));
        let elements = Elements::new(Counted { reader: Box::new(reader), read: Arc::clone(&read) });
        let what = What::Json { elements, ahead: VecDeque::new() };
        Self { path: None, session: None, zone: None, read, what }
    }

    /// Sets the session of what has no name of its own.
    #[must_use]
    pub fn with_session(mut self, session: Option<SessionId>) -> Self {
        self.session = session;
        self
    }

    /// Sets in which zone times are that say none, such as `Europe/Berlin` or `+02:00`. Without it they are kept as they
    /// are written, and read as UTC where an order is needed.
    #[must_use]
    pub fn with_zone(mut self, zone: Option<String>) -> Self {
        self.zone = zone;
        self
    }

    /// How many bytes have been read so far, for whoever shows progress.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// The file, for formats that read databases.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is no file, or no database.
    pub fn database(&self) -> Result<&Path> {
        match (&self.what, &self.path) {
            (What::Database { .. }, Some(path)) => Ok(path),
            _ => Err(Error::new(ErrorKind::InvalidInput, "the file is no SQLite database")),
        }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The session of what has no name of its own in the file.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if nobody gave it a name, or the file's name is no name of a session.
    pub fn session(&self) -> Result<SessionId> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let stem = self.path.as_deref().and_then(Path::file_name).map(|name| {
            let name = name.to_string_lossy();
            name.rsplit_once('.').map_or_else(|| name.clone().into_owned(), |(stem, _)| stem.to_owned())
        });
        match stem {
            Some(stem) => SessionId::new(stem),
            None => Err(Error::new(ErrorKind::InvalidInput, "nothing says which session this is")
                .with("say", "`--session NAME`")),
        }
    }

    /// A time as another program wrote it, in the zone that was given if it says none itself; `None` if it is no time.
    pub fn time(&self, text: &str) -> Option<Time> {
        zoned(text, self.zone.as_deref())
    }

    /// Reads times as [`Source::time`] does, when the source itself has been consumed.
    pub(crate) fn clock(&self) -> impl Fn(&str) -> Option<Time> + Send + 'static {
        let zone = self.zone.clone();
        move |text| zoned(text, zone.as_deref())
    }

    /// What the file looks like.
    pub fn sample(&mut self) -> Sample {
        match &mut self.what {
            What::Database { tables } => Sample { tables: tables.clone(), ..Sample::default() },
            What::Json { elements, ahead } => {
                let size = |element: &Element| element.text.as_ref().map_or(0, String::len);
                let mut bytes = ahead.iter().map(size).sum::<usize>();
                while ahead.len() < SAMPLE && bytes < SAMPLE_BYTES {
                    let Some(element) = elements.next() else { break };
                    bytes += size(&element);
                    ahead.push_back(element);
                }
                let values = ahead.iter().filter_map(|element| json::parse(element.text.as_ref().ok()?).ok());
                Sample { values: values.collect(), ..Sample::default() }
            }
        }
    }

    /// Whether there is nothing in the file, as far as a [sample](Self::sample) has shown.
    pub fn is_empty(&self) -> bool {
        matches!(&self.what, What::Json { ahead, .. } if ahead.is_empty())
    }

    /// The values of a JSON file as text, each with the line on which it begins: the elements of its array, or what is on
    /// its lines.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is a database.
    pub fn texts(self) -> Result<impl Iterator<Item = (u64, Result<String>)> + Send> {
        match self.what {
            What::Json { mut elements, mut ahead } => Ok(std::iter::from_fn(move || {
                let element = ahead.pop_front().or_else(|| elements.next())?;
                Some((element.line, element.text))
            })),
            What::Database { .. } => Err(Error::new(ErrorKind::InvalidInput, "the file is a database")),
        }
    }

    /// As [`Source::texts`], parsed.
    ///
    /// # Errors
    /// As [`Source::texts`].
    pub fn values(self) -> Result<impl Iterator<Item = (u64, Result<Value>)> + Send> {
        Ok(self.texts()?.map(|(line, text)| (line, text.and_then(|text| json::parse(&text)))))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("path", &self.path).field("session", &self.session).finish_non_exhaustive()
    }
}

/// Without SQLite a database has no tables that any format knows.
fn tables(path: &Path) -> io::Result<Vec<String>> {
    #[cfg(feature = "sqlite")]
    return super::database::tables(path).map_err(io::Error::other);
    #[cfg(not(feature = "sqlite"))]
    return Ok(Vec::from([path.display().to_string()]));
}

/// A time without a zone is in `zone`, if there is one.
fn zoned(text: &str, zone: Option<&str>) -> Option<Time> {
    let time: Time = text.parse().ok()?;
    match zone {
        // Whoever asks has checked that the zone exists.
        Some(zone) if !time.has_zone() => time.in_zone(zone).ok(),
        _ => Some(time),
    }
}

/// Counts what is read.
struct Counted {
    reader: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
