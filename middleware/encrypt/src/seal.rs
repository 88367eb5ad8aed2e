//! What is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use craftx_core::{
    Context, Error, ErrorKind, Message, MessageQuery, Record, Result, Role, Sealed, SessionId, Stamp, WriteOptions,
    Written,
};
use serde_json::Value;

use crate::acl;
use crate::data_key::DataKey;
use crate::layer::Encrypted;
use crate::open::Opener;
use crate::payload;
use crate::place::{Field, Place};
use crate::sealed_value::{self, MEMBER};
use crate::session_keys::SessionKeys;
use crate::words::Tokens;

/// What the role of every message is where roles are encrypted.
const ROLE: &str = "sealed";

impl Encrypted {
    /// The records as they would stand in the store, without writing them. The key is made if there is none.
    ///
    /// # Errors
    /// As those of writing, before anything is written.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn seal(&self, cx: &Context, session: &SessionId, records: &[Record]) -> Result<Vec<Record>> {
        let seal = async {
            acl::refuse_reserved(&cx.tenant)?;
            records.iter().try_for_each(refuse_ciphertext)?;
            let (_, key) = self.key_to_write(cx, session).await?;
            let sealing = Sealing { layer: self, cx, session, key, tokens: self.tokens(cx).await?.map(Arc::new) };
            let mut sealed = records.iter().map(|record| sealing.record(record)).collect::<Result<Vec<_>>>()?;
            self.mark_all(cx, session, &mut sealed).await?;
            Ok(sealed)
        };
        seal.await.map_err(|error: Error| error.during("seal"))
    }

    /// Encrypts the records and writes them.
    pub(crate) async fn seal_and_write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        acl::refuse_reserved(&cx.tenant)?;
        records.iter().try_for_each(refuse_ciphertext)?;
        if !records.iter().any(says_something) {
            let mut marked = records.to_vec();
            self.mark_all(cx, session, &mut marked).await?;
            return self.inner.write(cx, session, &marked, options).await;
        }
        let (keys, key) = self.key_to_write(cx, session).await?;
        let sealing = Sealing { layer: self, cx, session, key, tokens: self.tokens(cx).await?.map(Arc::new) };
        let mut sealed = records.iter().map(|record| sealing.record(record)).collect::<Result<Vec<_>>>()?;
        self.mark_all(cx, session, &mut sealed).await?;
        // Two digest keys would make two contents of one, and nobody refuses a replay.
        if keys.has_several_roots() {
            sealing.keep_what_is_there(records, &mut sealed).await?;
        }
        match self.inner.write(cx, session, &sealed, options).await {
            // What was written before another key was made looks different, and says the same.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if !sealing.keep_what_is_there(records, &mut sealed).await? {
                    return Err(error);
                }
                self.inner.write(cx, session, &sealed, options).await
            }
            other => other,
        }
    }
}

impl Encrypted {
    /// The key to write with, made if the session is new.
    ///
    /// A key store that was lost, or is another one, has no key for a session that holds something: a new key there
    /// would leave the session in two halves that open with one of the two key stores each.
    async fn key_to_write(&self, cx: &Context, session: &SessionId) -> Result<(Arc<SessionKeys>, Arc<DataKey>)> {
        let keys = &self.shared.keys;
        let mut known = keys.cached(cx, session).await?;
        if known.version.is_none() && self.holds_something(cx, session).await? {
            // A key is durable before what it seals, so that of a writer who was faster is there now.
            known = keys.read(cx, session).await?;
            if known.version.is_none() {
                let why = "the session is there, and the key store has never had a key for it";
                return Err(Error::new(ErrorKind::KeyUnavailable, why).with("session", format!("{session:?}")));
            }
        }
        keys.to_write_from(cx, session, known).await
    }

    /// Whether a session has messages or metadata, as far as the store below can say now.
    async fn holds_something(&self, cx: &Context, session: &SessionId) -> Result<bool> {
        match self.inner.session(cx, session).await {
            Ok(Some(found)) => Ok(found.messages.is_some_and(|count| count > 0) || !found.metadata.is_empty()),
            Ok(None) => Ok(false),
            // A store with parts that are away may still take what is new.
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Vouches for every owner and all grants among the records.
    async fn mark_all(&self, cx: &Context, session: &SessionId, records: &mut [Record]) -> Result<()> {
        for record in records {
            if let Record::Acl { stamp, owner, grants } = record {
                *grants = self.marked(cx, session, *stamp, owner.as_deref(), grants).await?;
            }
        }
        Ok(())
    }
}

/// Whoever could hand in ciphertext could put what was sealed elsewhere in the place of something else.
fn refuse_ciphertext(record: &Record) -> Result<()> {
    match record {
        Record::Message(message) if message.sealed.is_some() => {
            Err(Error::invalid("sealed", "ciphertext is not taken from outside").with("id", message.id))
        }
        Record::Session { set, .. } if set.values().flatten().any(sealed_value::is_sealed) => {
            Err(Error::invalid("set", format!("values with the member `{MEMBER}` are not taken from outside")))
        }
        Record::Acl { grants, .. } => acl::refuse_marks(grants),
        _ => Ok(()),
    }
}

/// Whether there is something to encrypt: deletions need no key, and make none.
fn says_something(record: &Record) -> bool {
    match record {
        Record::Message(_) => true,
        Record::Session { set, .. } => set.values().any(Option::is_some),
        _ => false,
    }
}

/// Encrypts records of one session with one key.
pub(crate) struct Sealing<'a> {
    pub(crate) layer: &'a Encrypted,
    pub(crate) cx: &'a Context,
    pub(crate) session: &'a SessionId,
    pub(crate) key: Arc<DataKey>,
    pub(crate) tokens: Option<Arc<Tokens>>,
}

impl Sealing<'_> {
    pub(crate) fn record(&self, record: &Record) -> Result<Record> {
        Ok(match record {
            Record::Message(message) => Record::Message(self.message(message)?),
            Record::Session { stamp, set } => Record::Session { stamp: *stamp, set: self.values(*stamp, set)? },
            other => other.clone(),
        })
    }

    fn place<'a>(&'a self, field: Field<'a>) -> Place<'a> {
        Place { tenant: &self.cx.tenant, session: self.session, field }
    }

    fn message(&self, message: &Message) -> Result<Message> {
        match self.layer.shared.config.seal_roles {
            true => self.shown_as(&Role::new(ROLE)?, Some(&message.role), message),
            false => self.shown_as(&message.role, None, message),
        }
    }

    /// Seals a message with this role in sight, and its own among what is sealed if there is a hidden one.
    pub(crate) fn shown_as(&self, shown: &Role, hidden: Option<&Role>, message: &Message) -> Result<Message> {
        let mut outside = Message::new(message.id, shown.clone(), craftx_core::Content::Absent);
        outside.parent = message.parent;
        outside.created_at.clone_from(&message.created_at);
        let payload = payload::of_message(message, hidden);
        let pad = self.layer.shared.config.pad;
        let words = self.tokens.as_ref().map(|tokens| tokens.of_message(message)).unwrap_or_default();
        let words = Vec::from_iter(words);
        let sealed = self.key.seal(&self.place(Field::Message(&outside)), &words, payload, pad)?;
        let sealed = Sealed::new(self.key.generation, sealed.digest, sealed.envelope).with_words(words);
        Ok(outside.with_sealed(sealed))
    }

    fn values(&self, stamp: Stamp, set: &BTreeMap<String, Option<Value>>) -> Result<BTreeMap<String, Option<Value>>> {
        let seal = |(key, value): (&String, &Option<Value>)| {
            let value = match value {
                Some(value) => Some(self.value(stamp, key, value)?),
                None => None,
            };
            Ok((key.clone(), value))
        };
        set.iter().map(seal).collect()
    }

    pub(crate) fn value(&self, stamp: Stamp, key: &str, value: &Value) -> Result<Value> {
        let place = self.place(Field::Value { stamp, key });
        let sealed = self.key.seal(&place, &[], payload::of_value(value), self.layer.shared.config.pad)?;
        Ok(sealed_value::write(self.key.generation, stamp, &sealed))
    }

    /// Puts what the store has in place of what says the same, found out by opening it. Returns whether there was any.
    async fn keep_what_is_there(&self, records: &[Record], sealed: &mut [Record]) -> Result<bool> {
        let there = self.messages_there(records).await?;
        let values = self.values_there(records).await?;
        let mut opener = Opener::new(self.layer, self.cx, self.session);
        let mut found = false;
        for (record, sealed) in records.iter().zip(sealed) {
            match (record, sealed) {
                (Record::Message(message), Record::Message(sealed)) => {
                    let Some(stored) = there.iter().find(|stored| stored.id == message.id) else { continue };
                    if stored != sealed && opener.message(stored.clone()).await? == *message {
                        *sealed = stored.clone();
                        found = true;
                    }
                }
                (Record::Session { stamp, set }, Record::Session { set: sealed, .. }) => {
                    for (key, value) in set {
                        let (Some(value), Some(stored)) = (value, values.get(key)) else { continue };
                        if sealed_value::stamp(stored) != Some(*stamp) || sealed.get(key) == Some(&Some(stored.clone()))
                        {
                            continue;
                        }
                        if opener.value(key, stored).await? == *value {
                            sealed.insert(key.clone(), Some(stored.clone()));
                            found = true;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    async fn messages_there(&self, records: &[Record]) -> Result<Vec<Message>> {
        let ids = records.iter().filter_map(|record| match record {
            Record::Message(message) => Some(message.id),
            _ => None,
        });
        let ids: Vec<_> = ids.collect();
        let mut found = Vec::new();
        for ids in ids.chunks(craftx_core::MAX_PAGE as usize) {
            let query = MessageQuery::oldest_first().ids(ids.iter().copied()).limit(craftx_core::MAX_PAGE);
            match self.layer.inner.load(self.cx, self.session, &query).await {
                Ok(page) => found.extend(page.items),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn values_there(&self, records: &[Record]) -> Result<craftx_core::Metadata> {
        if !records.iter().any(|record| matches!(record, Record::Session { .. })) {
            return Ok(craftx_core::Metadata::new());
        }
        let session = self.layer.inner.session(self.cx, self.session).await?;
        Ok(session.map(|session| session.metadata).unwrap_or_default())
    }
}
