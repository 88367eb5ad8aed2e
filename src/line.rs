//! The lines of a file that can be imported.

use craftx_core::{Error, ErrorKind, Record, Result, SessionId, Tenant, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Conversation;

/// A line of a file of records or of conversations; see `docs/formats.md`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Line {
    /// The records that follow belong to this session.
    Header(Header),
    /// A record of the session of the last header.
    Record(Record),
    /// A whole conversation of another program.
    Conversation(Conversation),
}

/// Says to which session the records that follow belong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Header {
    /// The version of the format.
    pub v: u32,
    craftx: What,
    /// The tenant that the records came from. They go wherever the import goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// The session.
    pub session: SessionId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Session,
}

impl Header {
    /// The header of the records of a session.
    pub fn new(session: SessionId) -> Self {
        Self { v: craftx_core::FORMAT_VERSION, craftx: What::Session, tenant: None, session }
    }

    /// The line, without a line break.
    pub fn encode(&self) -> String {
        // A struct of names and numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Line {
    /// Reads a line and tells by itself what it is.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) saying what is wrong, never quoting content;
    /// [`SchemaTooNew`](ErrorKind::SchemaTooNew) for a newer format.
    pub fn parse(text: &str) -> Result<Self> {
        json::check(text)?;
        let kind: Kind = serde_json::from_str(text).map_err(|_| not_a_line())?;
        match kind {
            Kind { craftx: Some(_), v, .. } => match v {
                Some(craftx_core::FORMAT_VERSION) => {
                    serde_json::from_str(text).map(Self::Header).map_err(|_| not_a_line())
                }
                _ => Err(Error::new(ErrorKind::SchemaTooNew, "a newer release of craftx wrote this file")),
            },
            Kind { record: Some(_), .. } => Record::parse(&without_framing(text)?).map(Self::Record),
            Kind { messages: Some(_), .. } => Conversation::parse(text).map(Self::Conversation),
            Kind { .. } => Err(not_a_line()),
        }
    }
}

fn not_a_line() -> Error {
    Error::new(ErrorKind::InvalidInput, "neither a record of craftx nor an object with `session_id` and `messages`")
}

/// The members that tell the kinds of lines apart.
#[derive(Deserialize)]
struct Kind {
    v: Option<u32>,
    craftx: Option<serde::de::IgnoredAny>,
    record: Option<serde::de::IgnoredAny>,
    messages: Option<serde::de::IgnoredAny>,
}

/// The JSON backend numbers the lines of a batch and closes each with a checksum. Its files can be imported as they are;
/// the checksum is checked by the backend.
fn without_framing(text: &str) -> Result<String> {
    if !text.contains("\"crc\":") && !text.contains("\"batch\":") {
        return Ok(text.to_owned());
    }
    let mut members: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|_| not_a_line())?;
    members.shift_remove("crc");
    members.shift_remove("batch");
    Ok(Value::Object(members).to_string())
}
