//! Records: what leaves a store and comes into another.

use craftx_core::{Error, MAX_PAGE, Record, Result, SessionId, Source, WriteOptions, Written};
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use super::Storage;
use crate::Conversation;
use crate::formats::below_a_clear;

/// The greatest number of bytes that are collected before a batch of records is written.
const BATCH_BYTES: usize = 4 << 20;
/// The greatest number of records of such a batch.
const BATCH: usize = 500;

impl Storage {
    /// All records of a session in order of arrival, page by page: everything there is to know of it, deletions
    /// included. A record may come twice.
    ///
    /// # Errors
    /// Those of the medium.
    pub fn records(&self, session: &SessionId) -> BoxStream<'static, Result<Record>> {
        let (storage, session) = (self.clone(), session.clone());
        stream::try_unfold(Some(None), move |cursor| {
            let (storage, session) = (storage.clone(), session.clone());
            async move {
                let Some(cursor) = cursor else { return Ok(None) };
                let cx = storage.context();
                let part = storage.backend().records(&cx, &session, Option::as_ref(&cursor), Some(MAX_PAGE)).await?;
                let next = (!part.done).then_some(Some(part.next));
                Ok::<_, Error>(Some((stream::iter(part.items).map(Ok), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    /// Unites records that exist elsewhere with a session. May be repeated: what is known is not applied again.
    ///
    /// Batches are written as the stream goes on; the whole is not atomic.
    ///
    /// # Errors
    /// The first error of the stream or the store. What was written before it stays.
    pub async fn import_records(
        &self,
        session: &SessionId,
        records: impl Stream<Item = Result<Record>>,
    ) -> Result<Written> {
        self.write_all(session, records, Source::Replay).await
    }

    /// Stores a conversation of another program. Doing it a second time changes nothing.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming the message and the field that is wrong. A conversation of up to
    /// 500 messages and 4 MiB is stored whole or not at all; of a longer one, earlier parts may be there.
    /// [`Conflict`](crate::ErrorKind::Conflict) if a message is known with other content, or if the session was
    /// cleared after the time of the messages, so that they would be dead: append them as new ones then
    /// ([`Conversation::new_messages`], on the command line `--restamp`).
    pub async fn import_conversation(&self, conversation: &Conversation) -> Result<Written> {
        let records = conversation.records()?;
        let first = records.iter().map(Record::stamp).min();
        let written = self
            .write_all(&conversation.session, stream::iter(records.into_iter().map(Ok)), Source::Fresh)
            .await
            .map_err(|error| error.during("import"))?;
        match written.cleared.zip(first) {
            Some((cleared, first)) if first <= cleared => Err(below_a_clear(&conversation.session)),
            _ => Ok(written),
        }
    }

    /// Writes a stream of records in batches.
    async fn write_all(
        &self,
        session: &SessionId,
        records: impl Stream<Item = Result<Record>>,
        source: Source,
    ) -> Result<Written> {
        let options = match source {
            Source::Fresh => WriteOptions::fresh(),
            Source::Replay => WriteOptions::replay(),
        };
        let mut total = Written::counted(0, 0, 0);
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut records = std::pin::pin!(records);
        while let Some(record) = records.next().await.transpose()? {
            bytes += record.encode().as_str().len();
            batch.push(record);
            if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                add(&mut total, self.write(&self.context(), session, &batch, &options).await?);
                batch.clear();
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            add(&mut total, self.write(&self.context(), session, &batch, &options).await?);
        }
        Ok(total)
    }

    /// Copies a session with all its records to another storage. May be repeated.
    ///
    /// # Errors
    /// Those of both media.
    pub async fn copy_session(&self, session: impl AsRef<str>, to: &Self) -> Result<Written> {
        let session = SessionId::new(session)?;
        to.import_records(&session, self.records(&session)).await
    }
}

fn add(total: &mut Written, part: Written) {
    let sum = |a: Option<u32>, b: Option<u32>| a.zip(b).map(|(a, b)| a.saturating_add(b));
    total.applied = sum(total.applied, part.applied);
    total.known = sum(total.known, part.known);
    total.dead = sum(total.dead, part.dead);
    total.version = total.version.max(part.version);
    total.cleared = total.cleared.max(part.cleared);
    total.token = part.token;
}
