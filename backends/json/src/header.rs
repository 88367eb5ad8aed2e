//! The first line of a session file.

use craftx_core::{Error, ErrorKind, SessionId, Tenant, random_id};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::line::{self, Part};

/// The version of the layout that this release writes and reads.
pub(crate) const VERSION: u32 = 1;

/// Says what the file is, and whose, in clear: the names of long ids are cut, and a file that was copied under another
/// name must not be taken for another session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    v: u32,
    craftx: Kind,
    pub(crate) tenant: Tenant,
    pub(crate) session: SessionId,
    /// Another one whenever the file is written anew, so that offsets in an older file are recognised.
    pub(crate) generation: Uuid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Session,
}

#[derive(Deserialize)]
struct OnlyVersion {
    v: u32,
}

/// Why a first line is no header.
#[derive(Debug)]
pub(crate) enum NoHeader {
    /// Its bytes are not what was written.
    Damaged,
    /// They are, but they say something else.
    Wrong(Error),
}

impl Header {
    pub(crate) fn new(tenant: &Tenant, session: &SessionId) -> Self {
        Self {
            v: VERSION,
            craftx: Kind::Session,
            tenant: tenant.clone(),
            session: session.clone(),
            generation: random_id(),
        }
    }

    /// Writes the line at the end of `out`.
    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        // Serialising these fields to a string cannot fail.
        line::push(out, &serde_json::to_string(self).unwrap_or_default(), Part::WHOLE);
    }

    /// Reads a line without its line break.
    pub(crate) fn read(line: &[u8]) -> Result<Self, NoHeader> {
        let framed = line::read(line).filter(|framed| framed.part == Part::WHOLE).ok_or(NoHeader::Damaged)?;
        match serde_json::from_str::<OnlyVersion>(&framed.encoded) {
            Ok(OnlyVersion { v }) if v > VERSION => Err(NoHeader::Wrong(too_new(v))),
            _ => serde_json::from_str(&framed.encoded).map_err(|_| {
                NoHeader::Wrong(Error::new(ErrorKind::Corrupted, "the first line is no header of a session"))
            }),
        }
    }
}

/// The error for what a newer release wrote.
pub(crate) fn too_new(version: u32) -> Error {
    Error::new(ErrorKind::SchemaTooNew, "a newer release wrote this").with("version", version).with("known", VERSION)
}
