//! Appending, deleting, clearing, forking.

use craftx_core::{
    Context, Error, ErrorKind, Expect, Freshness, Message, MessageQuery, Record, Result, Session, SessionId, Stamp,
    WriteOptions, Written,
};

use super::Storage;
use crate::NewMessage;

/// How often an operation that others keep getting ahead of is tried.
const TRIES: usize = 16;

/// Metadata that outlives a clear is written in parts of this size, because one record has a limit.
const KEYS_AT_ONCE: usize = 500;

/// What [`Storage::fork`] copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forked {
    /// The messages of the new session.
    pub messages: u64,
    /// How many of them this call wrote; the others were there from an earlier try.
    pub applied: u64,
}

impl Storage {
    /// Appends a message and returns it with its stamp. When this returns, the message is durable.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the message breaks a [limit](crate::Limits).
    pub async fn append(&self, session: impl AsRef<str>, message: NewMessage) -> Result<Message> {
        let appended = self.append_all(session, [message]).await?;
        appended
            .into_iter()
            .next()
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "nothing was appended").during("append"))
    }

    /// Appends messages in this order: all of them or none. Returns them with their stamps.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if one breaks a [limit](crate::Limits) or there are too many for one
    /// batch.
    pub async fn append_all(
        &self,
        session: impl AsRef<str>,
        messages: impl IntoIterator<Item = NewMessage>,
    ) -> Result<Vec<Message>> {
        let messages = messages.into_iter().collect();
        self.append_expecting(session, messages, Expect::Anything).await
    }

    /// Appends messages if nobody wrote to the session since it was read: compare-and-append.
    ///
    /// # Errors
    /// As [`Storage::append_all`]; [`Conflict`](ErrorKind::Conflict) with the fact `version` if somebody got in
    /// between; [`Unsupported`](ErrorKind::Unsupported) where the medium cannot compare.
    pub async fn append_expecting(
        &self,
        session: impl AsRef<str>,
        messages: Vec<NewMessage>,
        expect: Expect,
    ) -> Result<Vec<Message>> {
        let session = SessionId::new(session)?;
        let cx = self.context();
        let mut after = match self.known_version(&cx, &session).await {
            // The store cannot say now whether there is such a session, and a conversation may begin all the same: whether
            // it can take the message is for the write to say.
            Err(error) if error.kind() == ErrorKind::Unavailable => None,
            known => known?,
        };
        if let Expect::Version(version) = expect {
            after = after.max(Some(version));
        }
        let options = WriteOptions::fresh().expecting(expect);
        // Deletions of the living half of a batch of which a clear killed the other half.
        let mut undo: Vec<Stamp> = Vec::new();
        for _ in 0..TRIES {
            let mut records = Vec::with_capacity(undo.len() + messages.len());
            for id in &undo {
                let stamp = cx.mint(after)?;
                after = Some(stamp);
                records.push(Record::Deleted { id: *id, stamp });
            }
            let mut appended = Vec::with_capacity(messages.len());
            for message in &messages {
                let id = cx.mint(after)?;
                after = Some(id);
                appended.push(message.clone().stamped(id));
            }
            records.extend(appended.iter().cloned().map(Record::Message));
            let written = self.write(&cx, &session, &records, &options).await?;
            self.learn(&session, after);
            // A clear that this process had not seen may lie above the new stamps: mint again, above it.
            let Some(cleared) = written.cleared.filter(|cleared| appended.iter().any(|new| new.id <= *cleared)) else {
                return Ok(appended);
            };
            undo = appended.iter().map(|new| new.id).filter(|id| *id > cleared).collect();
            after = written.version.max(after).max(Some(cleared));
        }
        Err(Error::new(ErrorKind::Conflict, "the session is cleared again and again").during("append"))
    }

    /// Deletes a message for ever, and says whether it was there.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn delete_message(&self, session: impl AsRef<str>, id: Stamp) -> Result<bool> {
        let session = SessionId::new(session)?;
        let cx = self.context();
        let found = match self.backend().load(&cx, &session, &MessageQuery::oldest_first().ids([id])).await {
            Ok(found) => !found.items.is_empty(),
            // Two contents of one id: deleting it is the way out.
            Err(error) if error.kind() == ErrorKind::Conflict => true,
            Err(error) => return Err(error),
        };
        if found {
            let after = self.known_version(&cx, &session).await?.max(Some(id));
            let deletion = Record::Deleted { id, stamp: cx.mint(after)? };
            self.write(&cx, &session, &[deletion], &WriteOptions::fresh()).await?;
        }
        Ok(found)
    }

    /// Deletes the last message and returns it; `None` if there is none.
    ///
    /// Where the medium can compare, no two callers get the same message.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn pop(&self, session: impl AsRef<str>) -> Result<Option<Message>> {
        let session = SessionId::new(session)?;
        self.compare_and_write("pop", &session, async |found| {
            let cx = self.context();
            let last = self.load(&cx, &session, &MessageQuery::newest_first().limit(1)).await?;
            let Some(message) = last.items.into_iter().next() else {
                return Ok((Vec::new(), None));
            };
            let stamp = cx.mint(Some(found.version.max(message.id)))?;
            Ok((vec![Record::Deleted { id: message.id, stamp }], Some(message)))
        })
        .await
    }

    /// Deletes all messages of a session for ever; its metadata and its owner stay.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn clear(&self, session: impl AsRef<str>) -> Result<()> {
        let session = SessionId::new(session)?;
        self.compare_and_write("clear", &session, async |found| {
            let cx = self.context();
            let cleared = cx.mint(Some(found.version))?;
            let mut records = vec![Record::Cleared { through: found.version, stamp: cleared }];
            let stamp = cx.mint(Some(cleared))?;
            let keys: Vec<_> = found.metadata.into_iter().map(|(key, value)| (key, Some(value))).collect();
            for part in keys.chunks(KEYS_AT_ONCE) {
                records.push(Record::Session { stamp, set: part.iter().cloned().collect() });
            }
            Ok((records, ()))
        })
        .await
    }

    /// Deletes a session for ever, all but its owner, and says whether it was there.
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn delete_session(&self, session: impl AsRef<str>) -> Result<bool> {
        let session = SessionId::new(session)?;
        let cx = self.context();
        let latest = cx.clone().with_freshness(Freshness::Latest);
        let Some(found) = self.backend().session(&latest, &session).await? else {
            return Ok(false);
        };
        let clear = Record::Cleared { through: found.version, stamp: cx.mint(Some(found.version))? };
        self.write(&cx, &session, &[clear], &WriteOptions::fresh()).await?;
        Ok(true)
    }

    /// Deletes a session for ever, as [`Storage::delete_session`], if nobody wrote to it since it was looked at. Says
    /// whether it did.
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn delete_session_unchanged(&self, found: &Session) -> Result<bool> {
        let cx = self.context();
        let compares = self.stack().capabilities().compare_and_append.is_yes();
        let expect = if compares { Expect::Version(found.version) } else { Expect::Anything };
        let clear = Record::Cleared { through: found.version, stamp: cx.mint(Some(found.version))? };
        match self.write(&cx, &found.id, &[clear], &WriteOptions::fresh().expecting(expect)).await {
            // Where the medium cannot compare, what was written in between lies above the clear and lives.
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict && error.get("version").is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies the messages up to `at` (it included) into a new session, with the same stamps. Metadata is not copied.
    ///
    /// Not atomic, but it can be repeated until it succeeds: what was copied is known then.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session or the message does not exist,
    /// [`Conflict`](ErrorKind::Conflict) if the new session has been written by something else.
    pub async fn fork(&self, session: impl AsRef<str>, at: Stamp, into: impl AsRef<str>) -> Result<Forked> {
        let (session, into) = (SessionId::new(session)?, SessionId::new(into)?);
        if session == into {
            return Err(Error::invalid("into", "must be another session").during("fork"));
        }
        if self.get(&session, at).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "there is no such message").during("fork").with("id", at));
        }
        let compares = self.stack().capabilities().compare_and_append.is_yes();
        let mut query = MessageQuery::oldest_first();
        let mut forked = Forked { messages: 0, applied: 0 };
        let mut expect = Expect::New;
        loop {
            let cx = self.context();
            let page = self.load(&cx, &session, &query).await?;
            let batch: Vec<Record> =
                page.items.into_iter().take_while(|message| message.id <= at).map(Record::Message).collect();
            let Some(last) = batch.last().map(Record::stamp) else {
                return Ok(forked);
            };
            let options = if compares { WriteOptions::fresh().expecting(expect) } else { WriteOptions::fresh() };
            let written = self.write(&cx, &into, &batch, &options).await.map_err(|error| error.during("fork"))?;
            forked.messages += batch.len() as u64;
            forked.applied += u64::from(written.applied.unwrap_or(0));
            if last >= at || !page.more {
                return Ok(forked);
            }
            query = query.after(last);
            expect = Expect::Version(last);
        }
    }

    /// Reads a session, lets `plan` make records of it, and writes them if nobody got in between; else again.
    ///
    /// Where the medium cannot compare, the records are written as they are.
    async fn compare_and_write<T>(
        &self,
        operation: &'static str,
        session: &SessionId,
        mut plan: impl AsyncFnMut(Session) -> Result<(Vec<Record>, T)>,
    ) -> Result<T> {
        let cx = self.context();
        // What lies behind would be found to have changed again and again.
        let latest = cx.clone().with_freshness(Freshness::Latest);
        let compares = self.stack().capabilities().compare_and_append.is_yes();
        for _ in 0..TRIES {
            let found = self
                .backend()
                .session(&latest, session)
                .await?
                .ok_or_else(|| craftx_core::union::no_such_session(session).during(operation))?;
            let expect = if compares { Expect::Version(found.version) } else { Expect::Anything };
            let (records, result) = plan(found).await?;
            if records.is_empty() {
                return Ok(result);
            }
            match self.write(&cx, session, &records, &WriteOptions::fresh().expecting(expect)).await {
                Ok(_) => return Ok(result),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others write to the session all the time").during(operation))
    }

    /// Writes records as they are, and remembers the version and what a reader must have seen.
    pub(crate) async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let written = self.backend().write(cx, session, records, options).await?;
        self.learn(session, written.version);
        self.saw(written.token.as_ref());
        Ok(written)
    }
}
