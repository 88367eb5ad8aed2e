//! What is read.

use std::sync::Arc;

use craftx_core::{Context, Error, ErrorKind, Message, Metadata, Record, Result, Sealed, Session, SessionId, Stamp};
use serde_json::Value;

use crate::data_key::DataKey;
use crate::envelope;
use crate::layer::Encrypted;
use crate::payload;
use crate::place::{Field, Place};
use crate::sealed_value;

/// Opens what one session holds.
pub(crate) struct Opener<'a> {
    layer: &'a Encrypted,
    cx: &'a Context,
    session: &'a SessionId,
    /// The key that was needed last: most often the next one too.
    last: Option<Arc<DataKey>>,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(layer: &'a Encrypted, cx: &'a Context, session: &'a SessionId) -> Self {
        Self { layer, cx, session, last: None }
    }

    /// # Errors
    /// Naming the message: [`ErrorKind::NotEncrypted`], [`ErrorKind::Tampered`], [`ErrorKind::KeyUnavailable`], and those
    /// of the key store.
    pub(crate) async fn message(&mut self, message: Message) -> Result<Message> {
        self.message_and_role(message).await.map(|(message, _)| message)
    }

    /// The message, and whether its role was sealed too.
    ///
    /// # Errors
    /// As [`Opener::message`].
    pub(crate) async fn message_and_role(&mut self, message: Message) -> Result<(Message, bool)> {
        let id = message.id;
        let opened = self.open_message(message).await;
        opened.map_err(|error| self.named(error).with("id", id))
    }

    async fn open_message(&mut self, message: Message) -> Result<(Message, bool)> {
        let sealed = sealed(&message)?;
        let field = Field::Message(&message);
        let bytes = self.open(field, &sealed.words, sealed.generation, &sealed.digest, &sealed.envelope).await?;
        let payload = payload::read(&bytes)?;
        let hidden = payload.role.is_some();
        let mut opened = Message::new(message.id, payload.role.unwrap_or(message.role), payload.content);
        opened.parent = message.parent;
        opened.created_at = message.created_at;
        opened.metadata = payload.metadata;
        Ok((opened, hidden))
    }

    /// # Errors
    /// As [`Opener::message`], naming the key.
    pub(crate) async fn value(&mut self, key: &str, value: &Value) -> Result<Value> {
        self.value_of(None, key, value).await
    }

    /// The value of a record: its own stamp must be that of the record.
    async fn value_of(&mut self, of: Option<Stamp>, key: &str, value: &Value) -> Result<Value> {
        let opened = async {
            let sealed = sealed_value::read(value)?;
            if of.is_some_and(|stamp| stamp != sealed.stamp) {
                return Err(Error::new(ErrorKind::Tampered, "what was sealed here belongs to another change"));
            }
            let field = Field::Value { stamp: sealed.stamp, key };
            let bytes = self.open(field, &[], sealed.generation, sealed.digest, sealed.envelope).await?;
            Ok(payload::read(&bytes)?.content.into_value().unwrap_or_default())
        };
        let opened = opened.await;
        opened.map_err(|error: Error| self.named(error).with("metadata_key", format_args!("`{}`", key.escape_debug())))
    }

    /// # Errors
    /// As [`Opener::message`].
    pub(crate) async fn record(&mut self, record: Record) -> Result<Record> {
        Ok(match record {
            Record::Message(message) => Record::Message(self.message(message).await?),
            Record::Session { stamp, mut set } => {
                for (key, value) in &mut set {
                    if let Some(value) = value {
                        *value = self.value_of(Some(stamp), key, value).await?;
                    }
                }
                Record::Session { stamp, set }
            }
            Record::Acl { stamp, owner, grants } => {
                let opened = self.layer.unmarked(self.cx, self.session, stamp, owner.as_deref(), grants).await;
                Record::Acl { stamp, grants: opened.map_err(|error| self.named(error))?, owner }
            }
            other => other,
        })
    }

    async fn metadata(&mut self, metadata: Metadata) -> Result<Metadata> {
        let mut opened = Metadata::new();
        for (key, value) in metadata {
            let value = self.value(&key, &value).await?;
            opened.insert(key, value);
        }
        Ok(opened)
    }

    async fn open(
        &mut self,
        field: Field<'_>,
        words: &[String],
        generation: u32,
        digest: &str,
        envelope: &str,
    ) -> Result<Vec<u8>> {
        let envelope = envelope::read(envelope)?;
        let key = self.key(envelope.key).await?;
        if key.generation != generation {
            let error = Error::new(ErrorKind::Tampered, "what was sealed here names another generation than its key");
            return Err(error.with("data_key", key.id));
        }
        let place = Place { tenant: &self.cx.tenant, session: self.session, field };
        key.open(&place, words, digest, envelope).map_err(|error| error.with("data_key", key.id))
    }

    async fn key(&mut self, id: Stamp) -> Result<Arc<DataKey>> {
        match &self.last {
            Some(key) if key.id == id => Ok(Arc::clone(key)),
            _ => {
                let key = self.layer.shared.keys.to_read(self.cx, self.session, id).await?;
                Ok(Arc::clone(self.last.insert(key)))
            }
        }
    }

    fn named(&self, error: Error) -> Error {
        match error.get("session") {
            Some(_) => error,
            None => error.with("session", format!("{:?}", self.session)),
        }
    }
}

/// The data key that sealed a message.
///
/// # Errors
/// [`ErrorKind::NotEncrypted`] for a plaintext, [`ErrorKind::Tampered`] for what is no envelope.
pub(crate) fn key_of_message(message: &Message) -> Result<Stamp> {
    let key = sealed(message).and_then(|sealed| Ok(envelope::read(&sealed.envelope)?.key));
    key.map_err(|error| error.with("id", message.id))
}

fn sealed(message: &Message) -> Result<&Sealed> {
    match &message.sealed {
        Some(sealed) if message.content.is_absent() && message.metadata.is_empty() => Ok(sealed),
        _ => Err(Error::new(ErrorKind::NotEncrypted, "there is plaintext where ciphertext must be")),
    }
}

impl Encrypted {
    /// Opens what is known of a session, and checks its owner and grants.
    pub(crate) async fn open_session(&self, cx: &Context, mut session: Session) -> Result<Session> {
        let id = session.id.clone();
        let mut opener = Opener::new(self, cx, &id);
        self.check_acl(cx, &mut session).await.map_err(|error| opener.named(error))?;
        session.metadata = opener.metadata(session.metadata).await?;
        Ok(session)
    }
}
