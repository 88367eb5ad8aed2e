//! The lines of an archive that are not records; see `docs/formats.md`.

use craftx_core::{Cursor, Error, ErrorKind, Record, Result, SessionId, Tenant, Time, json};
use serde::{Deserialize, Serialize};

/// The version of the format that this release writes.
pub(super) const VERSION: u32 = 1;

/// The first line: of what the archive is a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct About {
    v: u32,
    craftx: Backup,
    /// The identity of the store.
    pub store: String,
    /// Its scheme, such as `sqlite`.
    pub scheme: String,
    /// Its position when the backup began, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// When the backup began.
    pub time: Time,
    /// Whether it was read below an encryption layer: it holds ciphertext, and the keys are elsewhere.
    pub encrypted: bool,
    /// The digest of the archive that it builds on; `None` for a backup of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Backup {
    Backup,
}

impl About {
    pub(super) fn new(store: String, scheme: &str, position: Option<u64>, time: Time, encrypted: bool) -> Self {
        let scheme = scheme.to_owned();
        Self { v: VERSION, craftx: Backup::Backup, store, scheme, position, time, encrypted, base: None }
    }
}

/// The records that follow belong to this session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    v: u32,
    craftx: Session,
    pub(super) tenant: Tenant,
    pub(super) session: SessionId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Session {
    Session,
}

impl Begin {
    pub(super) fn new(tenant: Tenant, session: SessionId) -> Self {
        Self { v: VERSION, craftx: Session::Session, tenant, session }
    }
}

/// These were all records of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    v: u32,
    craftx: EndOfSession,
    pub(super) records: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// BLAKE3 of the lines of the session before this one, with their line breaks.
    pub(super) digest: String,
    /// Up to where the session was read; `None` if it could not be read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<Cursor>,
    /// The kind of the error for which the session could not be read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndOfSession {
    EndOfSession,
}

impl End {
    pub(super) fn new(records: u64, messages: u64, bytes: u64, digest: String) -> Self {
        let craftx = EndOfSession::EndOfSession;
        Self { v: VERSION, craftx, records, messages, bytes, digest, cursor: None, failed: None }
    }
}

/// The last line: how much there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    v: u32,
    craftx: EndOfBackup,
    pub(super) counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndOfBackup {
    EndOfBackup,
}

impl Manifest {
    pub(super) fn new(counts: Counts) -> Self {
        Self { v: VERSION, craftx: EndOfBackup::EndOfBackup, counts }
    }
}

/// How much an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Tenants.
    pub tenants: u64,
    /// Sessions, cleared ones included; of an increment also those in which nothing is new.
    pub sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Records, messages among them.
    pub records: u64,
    /// The bytes of the records.
    pub bytes: u64,
    /// Sessions that could not be read to their end, so that the backup is not complete.
    pub failed: u64,
}

/// A line of an archive.
#[derive(Debug)]
pub(super) enum Line {
    About(About),
    Begin(Begin),
    Record(Record),
    End(End),
    Manifest(Manifest),
}

/// The members that tell the kinds of lines apart.
#[derive(Deserialize)]
struct Kind {
    v: Option<u32>,
    craftx: Option<String>,
    record: Option<serde::de::IgnoredAny>,
}

impl Line {
    /// # Errors
    /// [`ErrorKind::SchemaTooNew`] for another version, [`ErrorKind::Corrupted`] for anything else that is no line of
    /// an archive. Nothing is quoted.
    pub(super) fn parse(text: &str) -> Result<Self> {
        json::check(text).map_err(|_| no_line())?;
        let kind: Kind = serde_json::from_str(text).map_err(|_| no_line())?;
        let Some(what) = kind.craftx else {
            return match kind.record {
                Some(_) => Record::decode(text).map(Self::Record).map_err(|error| match error.kind() {
                    ErrorKind::SchemaTooNew => error,
                    _ => no_line(),
                }),
                None => Err(no_line()),
            };
        };
        match kind.v {
            Some(VERSION) => {}
            Some(v) => return Err(too_new(v)),
            None => return Err(no_line()),
        }
        match what.as_str() {
            "backup" => serde_json::from_str(text).map(Self::About),
            "session" => serde_json::from_str(text).map(Self::Begin),
            "end_of_session" => serde_json::from_str(text).map(Self::End),
            "end_of_backup" => serde_json::from_str(text).map(Self::Manifest),
            _ => return Err(no_line()),
        }
        .map_err(|_| no_line())
    }
}

fn too_new(v: u32) -> Error {
    Error::new(ErrorKind::SchemaTooNew, "a newer release of craftx wrote this archive")
        .with("version", v)
        .with("known", VERSION)
}

fn no_line() -> Error {
    Error::new(ErrorKind::Corrupted, "a line is none that a backup has")
}

/// A line without its line break.
pub(super) fn encode(line: &impl Serialize) -> String {
    // Structs of names and numbers always serialise.
    serde_json::to_string(line).unwrap_or_default()
}
