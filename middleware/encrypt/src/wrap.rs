//! A wrapped data key as a message of the key store.

use craftx_core::{Content, Error, ErrorKind, Message, Record, Result, Role, Stamp};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::provider::Wrapped;

/// The role of the messages in a key store.
const ROLE: &str = "key";
const VERSION: u32 = 1;

/// A wrapped data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrap {
    /// The id of the message.
    pub(crate) id: Stamp,
    /// The first key of the session from which this one descends: it names the session's keys as a whole, and when it is
    /// dead they all are, even one that is written only then.
    pub(crate) root: Stamp,
    /// The id of the data key: that of the message in which it was wrapped first.
    pub(crate) key: Stamp,
    pub(crate) generation: u32,
    pub(crate) wrapped: Wrapped,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    v: u32,
    key: Stamp,
    generation: u32,
    by: String,
    wrapped: String,
}

impl Wrap {
    pub(crate) fn record(&self) -> Result<Record> {
        let body = Body {
            v: VERSION,
            key: self.key,
            generation: self.generation,
            by: self.wrapped.key.clone(),
            wrapped: BASE64URL_NOPAD.encode(&self.wrapped.bytes),
        };
        let body = serde_json::to_value(body)
            .map_err(|_| Error::new(ErrorKind::Unexpected, "a wrapped key cannot be written"))?;
        let message = Message::new(self.id, Role::new(ROLE)?, Content::from(body));
        Ok(Record::Message(if self.root == self.id { message } else { message.with_parent(self.root) }))
    }

    /// Reads a message of the key store.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupted`] if it is no wrapped key, [`ErrorKind::SchemaTooNew`] if a newer release wrote it.
    pub(crate) fn read(message: &Message) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::Corrupted, "this message of the key store is no wrapped key").with("id", message.id)
        };
        let body = message.content.clone().into_value().filter(|_| message.role.as_str() == ROLE).ok_or_else(wrong)?;
        if let Some(version) = body.get("v").and_then(serde_json::Value::as_u64).filter(|v| *v != u64::from(VERSION)) {
            let error =
                Error::new(ErrorKind::SchemaTooNew, "a wrapped key has a version that this release does not know");
            return Err(error.with("version", version));
        }
        let body: Body = serde_json::from_value(body).map_err(|_| wrong())?;
        let bytes = BASE64URL_NOPAD.decode(body.wrapped.as_bytes()).map_err(|_| wrong())?;
        Ok(Self {
            id: message.id,
            root: message.parent.unwrap_or(message.id),
            key: body.key,
            generation: body.generation,
            wrapped: Wrapped { key: body.by, bytes },
        })
    }
}
