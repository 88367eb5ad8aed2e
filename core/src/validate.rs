//! One set of rules for all media: sizes, depths, counts, names, stamps.

use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Backend, Capabilities, Changes, Compact, Compacted, Content, Context, Cursor, DynBackend, Error, Hit, Include,
    Layer, MAX_NAME_BYTES, Message, MessageQuery, Messages, Page, Prepare, Record, Result, SearchQuery, Session,
    SessionId, SessionQuery, Slot, Source, Stamp, Status, Tenant, WriteOptions, Written, json,
};

/// How much is too much. The defaults fit every medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The greatest canonical encoding of one record, in bytes. Default: 16 MiB.
    pub max_record_bytes: u64,
    /// The greatest number of records in one write. Default: 1,000.
    pub max_batch: u32,
    /// The greatest sum of the encodings of one write, in bytes. Default: 64 MiB.
    pub max_batch_bytes: u64,
    /// The deepest nesting of arrays and objects in content and metadata. Default: 64; at most 96, so that whatever
    /// is written can be read back.
    pub max_depth: usize,
    /// The greatest number of keys in the metadata of a message or in one change of a session's. Default: 1,000.
    pub max_keys: usize,
    /// How far a fresh stamp may lie ahead of this machine's clock, in seconds. Default: 60.
    pub max_ahead_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_record_bytes: 16 << 20,
            max_batch: 1_000,
            max_batch_bytes: 64 << 20,
            max_depth: 64,
            max_keys: 1_000,
            max_ahead_seconds: 60,
        }
    }
}

/// Names that begin so belong to craftx itself.
const RESERVED: &str = "craftx.";
/// A record puts content into one object more, and `serde_json` reads 127 levels.
const DEEPEST: usize = 96;

/// The layer that checks every write before any medium sees it. Part of every [`Stack`](crate::Stack).
///
/// Errors name the field and the rule, and never quote content. Depth is checked before anything recursive runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validate {
    limits: Limits,
}

impl Validate {
    /// A layer with other limits than the default ones.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Layer for Validate {
    fn name(&self) -> &'static str {
        "validate"
    }
    fn slot(&self) -> Slot {
        Slot::Validate
    }
    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        if self.limits.max_depth > DEEPEST {
            return Err(Error::new(crate::ErrorKind::ConfigInvalid, "`max_depth` must not be greater than 96"));
        }
        Ok(self.limits.within(inner))
    }
    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(std::sync::Arc::new(Validated { limits: self.limits, inner }))
    }
}

impl Limits {
    fn within(&self, mut inner: Capabilities) -> Capabilities {
        let batch = inner.max_batch.unwrap_or(u32::MAX).min(self.max_batch);
        let bytes = inner.max_record_bytes.unwrap_or(u64::MAX).min(self.max_record_bytes);
        inner.max_batch = Some(batch);
        inner.max_record_bytes = Some(bytes);
        inner
    }

    /// Checks the records of one write, all but the stamps that lie in the future.
    fn check(&self, cx: &Context, records: &[Record], source: Source) -> Result<()> {
        if records.len() > self.max_batch as usize {
            return Err(too_many("records", self.max_batch as usize, records.len()));
        }
        let mut bytes = 0;
        for (index, record) in records.iter().enumerate() {
            bytes += self.check_record(cx, record, source).map_err(|error| error.with("record", index))?;
        }
        if bytes > self.max_batch_bytes {
            return Err(too_large("records", self.max_batch_bytes, bytes));
        }
        Ok(())
    }

    /// Returns the size of the record.
    fn check_record(&self, cx: &Context, record: &Record, source: Source) -> Result<u64> {
        match record {
            Record::Message(message) => self.check_message(message)?,
            Record::Session { set, .. } => {
                if set.is_empty() {
                    return Err(Error::invalid("set", "must not be empty"));
                }
                if set.len() > self.max_keys {
                    return Err(too_many("set", self.max_keys, set.len()));
                }
                for (key, value) in set {
                    check_key(key)?;
                    if key.starts_with(RESERVED) && source == Source::Fresh && cx.require_system().is_err() {
                        return Err(Error::invalid("set", "keys that begin with `craftx.` are reserved"));
                    }
                    if let Some(value) = value {
                        self.check_value("set", value)?;
                    }
                }
            }
            Record::Acl { owner, grants, .. } => {
                let names = owner.iter().chain(grants.iter().map(|grant| &grant.to));
                for name in names {
                    SessionId::new(name).map_err(|error| Error::invalid("acl", error.message().to_owned()))?;
                }
                if grants.len() > self.max_keys {
                    return Err(too_many("grants", self.max_keys, grants.len()));
                }
            }
            Record::Deleted { id, stamp } if id >= stamp => {
                return Err(Error::invalid("stamp", "a deletion must be later than what it deletes"));
            }
            Record::Cleared { through, stamp } if through >= stamp => {
                return Err(Error::invalid("stamp", "a clear must be later than what it clears"));
            }
            Record::Deleted { .. } | Record::Cleared { .. } => {}
        }
        let bytes = record.encode().as_str().len() as u64;
        if bytes > self.max_record_bytes {
            return Err(too_large("record", self.max_record_bytes, bytes));
        }
        Ok(bytes)
    }

    fn check_message(&self, message: &Message) -> Result<()> {
        if message.metadata.len() > self.max_keys {
            return Err(too_many("metadata", self.max_keys, message.metadata.len()));
        }
        match &message.content {
            Content::Parts(parts) => self.check_values("content", parts)?,
            Content::Object(object) => self.check_values("content", object.values())?,
            Content::Number(number) => check_number("content", number)?,
            Content::Absent | Content::Null | Content::Text(_) | Content::Bool(_) => {}
        }
        self.check_values("metadata", message.metadata.values())
    }

    fn check_values<'a>(&self, field: &'static str, values: impl IntoIterator<Item = &'a Value>) -> Result<()> {
        values.into_iter().try_for_each(|value| self.check_value(field, value))
    }

    fn check_value(&self, field: &'static str, value: &Value) -> Result<()> {
        // The value lies inside of one object or array already.
        if json::depth(value, self.max_depth) + 1 > self.max_depth {
            return Err(Error::invalid(field, "is nested too deep").with("limit", self.max_depth));
        }
        let mut rest = vec![value];
        while let Some(value) = rest.pop() {
            match value {
                Value::Number(number) => check_number(field, number)?,
                Value::Array(items) => rest.extend(items),
                Value::Object(members) => rest.extend(members.values()),
                _ => {}
            }
        }
        Ok(())
    }

    fn greatest_fresh(&self, cx: &Context) -> u64 {
        let wall = cx.clock.wall().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let ahead = wall.saturating_add(Duration::from_secs(self.max_ahead_seconds));
        u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Serde's numbers are `i64`, `u64` or finite `f64`, unless another crate has turned on `arbitrary_precision`.
fn check_number(field: &'static str, number: &serde_json::Number) -> Result<()> {
    if number.is_i64() || number.is_u64() || json::is_exact(&number.to_string()) {
        return Ok(());
    }
    Err(Error::invalid(field, "has a number that cannot be held exactly"))
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MAX_NAME_BYTES {
        return Err(Error::invalid("set", "a key must have 1 to 255 bytes").with("bytes", key.len()));
    }
    Ok(())
}

fn too_many(field: &'static str, limit: usize, found: usize) -> Error {
    Error::invalid(field, "there are too many").with("limit", limit).with("found", found)
}

fn too_large(field: &'static str, limit: u64, found: u64) -> Error {
    Error::invalid(field, "is too large").with("limit_bytes", limit).with("bytes", found)
}

#[derive(Debug)]
struct Validated {
    limits: Limits,
    inner: DynBackend,
}

impl Validated {
    /// Fresh stamps may lie ahead of the clock by a minute at most, unless the session itself is ahead: whoever
    /// answers a message from a fast clock has to write after it.
    async fn check_future(&self, cx: &Context, session: &SessionId, records: &[Record]) -> Result<()> {
        let limit = self.limits.greatest_fresh(cx);
        let Some(greatest) = records.iter().map(Record::stamp).max().filter(|stamp| stamp.millis() > limit) else {
            return Ok(());
        };
        let known = self.version(cx, session).await?.map_or(0, Stamp::millis);
        let slack = self.limits.max_ahead_seconds.saturating_mul(1_000);
        if greatest.millis() <= known.saturating_add(slack) {
            return Ok(());
        }
        Err(Error::invalid("stamp", "a new record lies too far in the future")
            .with("limit_seconds", self.limits.max_ahead_seconds)
            .with("stamp", greatest))
    }

    /// The version of a session, even of one that was deleted.
    async fn version(&self, cx: &Context, session: &SessionId) -> Result<Option<Stamp>> {
        // The session itself is the first of those that begin with its name.
        let query = SessionQuery::new().include(Include::All).prefix(session.as_str()).limit(1);
        let page = self.inner.sessions(cx, &query).await?;
        Ok(page.items.first().filter(|found| found.id == *session).map(|found| found.version))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Validated {
    fn capabilities(&self) -> Capabilities {
        self.limits.within(self.inner.capabilities())
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        Ok(self.limits.within(self.inner.prepare(cx, mode).await?))
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        self.limits.check(cx, records, options.source).map_err(|error| error.during("write"))?;
        if options.source == Source::Fresh {
            self.check_future(cx, session, records).await.map_err(|error| error.during("write"))?;
        }
        self.inner.write(cx, session, records, options).await
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        if query.ids.len() > self.limits.max_batch as usize {
            return Err(too_many("ids", self.limits.max_batch as usize, query.ids.len()).during("load"));
        }
        self.inner.load(cx, session, query).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        self.inner.records(cx, session, from, limit).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        self.inner.session(cx, session).await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.inner.sessions(cx, query).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.inner.search(cx, query).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.inner.tenants(cx, from).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.inner.compact(cx, what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let mut status = self.inner.status(cx).await?;
        status.capabilities = self.limits.within(status.capabilities);
        Ok(status)
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.inner.close(cx).await
    }
}
