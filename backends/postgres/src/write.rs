//! A write: in one statement if it only appends, else as a transaction that works out what it comes to.

use craftx_core::{Expect, Message, Record, SessionId, Tenant, WriteOptions, Written, async_trait};
use tokio_postgres::Row;

use crate::apply;
use crate::body::{self, Batch};
use crate::conn::{Conn, For, Step};
use crate::error::Sql;
use crate::statements::POSITION;
use crate::store::{Store, position_in};
use crate::value::Value;
use crate::writing::Writing;

/// A batch of records for one session.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) tenant: Tenant,
    pub(crate) session: SessionId,
    pub(crate) records: Vec<Record>,
    pub(crate) options: WriteOptions,
    /// Microseconds since 1970.
    pub(crate) now: i64,
}

#[async_trait]
impl Writing for Write {
    type Answer = Written;

    async fn write(&self, store: &Store, conn: &Conn) -> Sql<(Written, Option<u64>)> {
        if let (Some(messages), Some(tid)) = (self.appends(), store.known_tid(&self.tenant))
            && let Some(done) = self.append(store, conn, tid, &messages).await?
        {
            return Ok(done);
        }
        apply::write(self, store, conn).await
    }
}

impl Write {
    /// The messages, if there is nothing else, in order.
    fn appends(&self) -> Option<Vec<&Message>> {
        let mut messages = Vec::with_capacity(self.records.len());
        for record in &self.records {
            let Record::Message(message) = record else { return None };
            messages.push(message);
        }
        let in_order = !messages.is_empty() && messages.is_sorted_by(|one, next| one.id < next.id);
        (in_order && self.options.expect == Expect::Anything).then_some(messages)
    }

    /// Appends the messages if they are newer than everything in the session; `None` if not.
    async fn append(
        &self,
        store: &Store,
        conn: &Conn,
        tid: i32,
        messages: &[&Message],
    ) -> Sql<Option<(Written, Option<u64>)>> {
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return Ok(None) };
        let search = store.searchable();
        let mut batch = Batch::default();
        for message in messages {
            batch.push(message, search.then(|| body::terms(tid, message)));
        }
        let mut values = vec![
            Value::Int4(tid),
            Value::Text(self.tenant.as_str()),
            Value::Text(self.session.as_str()),
            Value::Uuid(first.id.as_uuid()),
            Value::Uuid(last.id.as_uuid()),
            Value::Int8(messages.len() as i64),
            Value::Int8(self.now),
            Value::Int8(batch.indexed),
            Value::Int8(batch.term_count),
            Value::Bool(search),
        ];
        let sql = match (&batch.roles[..], &batch.texts[..], &batch.rests[..], &batch.terms[..]) {
            ([role], [text], [rest], [terms]) => {
                let (text, rest) = (Value::MaybeData(text.as_deref()), Value::MaybeData(rest.as_deref()));
                values.extend([Value::Text(role), text, rest, Value::MaybeText(terms.as_deref())]);
                &store.sql.append_one
            }
            (roles, texts, rests, terms) => {
                values.extend([
                    Value::Uuids(&batch.stamps),
                    Value::Texts(roles),
                    Value::MaybeBytes(texts),
                    Value::MaybeBytes(rests),
                    Value::MaybeTexts(terms),
                ]);
                &store.sql.append_many
            }
        };
        let append = Step::query(sql.as_str(), values);
        let (answers, position) =
            with_position(store, conn, conn.as_transaction(For::Tenant(&self.tenant), append)).await?;
        let Some(row) = answers.iter().flatten().find(|row| row.len() == APPENDED) else { return Ok(None) };
        let written = Written::counted(messages.len() as u32, 0, 0)
            .with_version(body::maybe_stamp(row, 1)?)
            .with_cleared(body::maybe_stamp(row, 2)?);
        Ok(Some((written, position)))
    }
}

/// How many columns the answer to an append has; no other step of it has as many.
const APPENDED: usize = 3;

/// Runs steps of which the last one commits, and asks in the same round trip how far the server is then, if there are others.
pub(crate) async fn with_position(
    store: &Store,
    conn: &Conn,
    mut steps: Vec<Step<'_>>,
) -> Sql<(Vec<Vec<Row>>, Option<u64>)> {
    if !store.is_replicated() {
        return Ok((conn.all(&steps).await?, None));
    }
    steps.push(Step::query(POSITION, []));
    let mut answers = conn.all(&steps).await?;
    let position = position_in(&answers.pop().unwrap_or_default())?;
    Ok((answers, Some(position)))
}
