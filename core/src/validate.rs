//! One set of rules for all media: sizes, depths, counts, names, stamps.

use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Backend, Capabilities, Changes, Compact, Compacted, Content, Context, Cursor, DynBackend, Error, ErrorKind, Hit,
    Layer, MAX_NAME_BYTES, Message, MessageQuery, Messages, Page, Prepare, Record, Result, Sealed, SearchQuery,
    Session, SessionId, SessionQuery, Slot, Source, Stamp, Status, Tenant, Verified, WriteOptions, Written, json,
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
/// What an index takes of a word.
const MAX_WORD_BYTES: usize = 64;

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
        self.limits.check_depth()?;
        Ok(self.limits.within(inner))
    }
    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(std::sync::Arc::new(Validated { limits: self.limits, inner }))
    }
}

impl Limits {
    /// What is written has to be read back.
    pub(crate) fn check_depth(&self) -> Result<()> {
        match self.max_depth <= DEEPEST {
            true => Ok(()),
            false => {
                Err(Error::new(ErrorKind::ConfigInvalid, "this must not be greater than 96").with("key", "`max_depth`"))
            }
        }
    }

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
        if message.sealed.is_some() && !(message.content.is_absent() && message.metadata.is_empty()) {
            return Err(Error::invalid("sealed", "a sealed message has no content and no metadata in clear"));
        }
        if let Some(sealed) = &message.sealed {
            check_words(&sealed.words)?;
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

/// Words that an index would take apart could not be found again, and their order would tell that of the text.
fn check_words(words: &[String]) -> Result<()> {
    if words.len() > Sealed::MAX_WORDS {
        return Err(too_many("sealed", Sealed::MAX_WORDS, words.len()));
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if words.iter().any(|word| word.is_empty() || word.len() > MAX_WORD_BYTES || !word.bytes().all(plain)) {
        return Err(Error::invalid("sealed", "a word must have 1 to 64 lower-case ASCII letters or digits"));
    }
    if !words.is_sorted_by(|a, b| a < b) {
        return Err(Error::invalid("sealed", "words must be sorted, each once"));
    }
    Ok(())
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
        let known = self.inner.version(cx, session).await?.map_or(0, Stamp::millis);
        let slack = self.limits.max_ahead_seconds.saturating_mul(1_000);
        if greatest.millis() <= known.saturating_add(slack) {
            return Ok(());
        }
        Err(Error::invalid("stamp", "a new record lies too far in the future")
            .with("limit_seconds", self.limits.max_ahead_seconds)
            .with("stamp", greatest))
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

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.inner.verify(cx).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.inner.close(cx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grant, ManualClock, Memory, Role, Stack};
    use futures_executor::block_on;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn at(ms: u64) -> Stamp {
        Stamp::mint(ms, None, 0).unwrap()
    }

    fn store(limits: Limits) -> DynBackend {
        let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(Validate::new(limits)).build().unwrap();
        stack.backend().clone()
    }

    fn context() -> Context {
        let clock = ManualClock::new(UNIX_EPOCH + Duration::from_millis(NOW_MS));
        Context::new(Tenant::default()).with_clock(Arc::new(clock))
    }

    fn write(store: &DynBackend, records: &[Record], options: &WriteOptions) -> Result<Written> {
        block_on(store.write(&context(), &SessionId::new("s").unwrap(), records, options))
    }

    fn message(ms: u64, content: impl Into<Content>) -> Record {
        Record::Message(Message::new(at(ms), Role::User, content))
    }

    fn refused(limits: Limits, record: Record) -> String {
        let store = store(limits);
        let error = write(&store, &[message(1, "fine"), record], &WriteOptions::fresh()).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidInput, "write"));
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        let session = block_on(store.session(&context(), &SessionId::new("s").unwrap())).unwrap();
        assert_eq!(session, None, "nothing of the batch is stored");
        assert!(error.get("field") == Some("stamp") || error.get("record") == Some("1"), "{error}");
        error.get("field").unwrap().to_owned()
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!("canary"), |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn each_rule_names_its_field() {
        let limits = Limits { max_record_bytes: 1_000, max_keys: 2, max_depth: 4, ..Limits::default() };
        let set = |key: &str, value: Value| Record::Session {
            stamp: at(2),
            set: BTreeMap::from([(key.to_owned(), Some(value))]),
        };
        let keyed = |value| Record::Message(Message::new(at(2), Role::User, "").with_metadata("canary", value));
        let crowded = (0..3).fold(Message::new(at(2), Role::User, ""), |m, n| m.with_metadata(n.to_string(), n));
        let named = Record::Acl { stamp: at(2), owner: Some("a\nb".to_owned()), grants: Vec::new() };
        let grants = vec![Grant { to: "x".to_owned(), actions: Vec::new() }; 3];
        for (record, field) in [
            (message(2, "canary".repeat(1_000)), "record"),
            (message(2, nested(5)), "content"),
            (keyed(nested(5)), "metadata"),
            (Record::Message(crowded), "metadata"),
            (set("k", nested(5)), "set"),
            (set("", json!(1)), "set"),
            (set(&"k".repeat(256), json!(1)), "set"),
            (set("craftx.state", json!(1)), "set"),
            (Record::Session { stamp: at(2), set: BTreeMap::new() }, "set"),
            (named, "acl"),
            (Record::Acl { stamp: at(2), owner: None, grants }, "grants"),
            (Record::Deleted { id: at(2), stamp: at(2) }, "stamp"),
            (Record::Cleared { through: at(3), stamp: at(2) }, "stamp"),
            (message(NOW_MS + 60_001, ""), "stamp"),
        ] {
            assert_eq!(refused(limits, record.clone()), field, "{record:?}");
        }
        let fine = store(limits);
        assert!(write(&fine, &[message(2, nested(4)), message(NOW_MS + 60_000, "")], &WriteOptions::fresh()).is_ok());
    }

    #[test]
    fn batches_are_limited_in_number_and_size() {
        let store = store(Limits { max_batch: 2, max_batch_bytes: 400, ..Limits::default() });
        let small: Vec<_> = (1..4).map(|ms| message(ms, "")).collect();
        assert!(write(&store, &small, &WriteOptions::fresh()).is_err());
        assert!(write(&store, &small[..2], &WriteOptions::fresh()).is_ok());
        let large = [message(5, "x".repeat(200)), message(6, "x".repeat(200))];
        assert!(write(&store, &large, &WriteOptions::fresh()).is_err());
    }

    #[test]
    fn depth_is_found_without_recursion() {
        let store = store(Limits::default());
        let deep = nested(100_000);
        let record = Record::Message(Message::new(at(1), Role::User, deep));
        assert!(write(&store, std::slice::from_ref(&record), &WriteOptions::fresh()).is_err());
        // Dropping such a value recurses inside of serde_json, which is not what is tested here.
        std::mem::forget(record);
    }

    #[test]
    fn what_replays_bring_is_never_compared_with_the_clock_and_is_adopted() {
        let store = store(Limits::default());
        let year = 31_536_000_000;
        assert!(write(&store, &[message(NOW_MS + year, "fast")], &WriteOptions::replay()).is_ok());
        assert!(write(&store, &[message(NOW_MS + year + 1, "answer")], &WriteOptions::fresh()).is_ok());
        assert!(write(&store, &[message(NOW_MS + 2 * year, "too fast")], &WriteOptions::fresh()).is_err());
        // Even if all that is left is the deletion.
        let clear = Record::Cleared { through: at(NOW_MS + year + 2), stamp: at(NOW_MS + year + 3) };
        assert!(write(&store, &[clear], &WriteOptions::fresh()).is_ok());
        assert!(write(&store, &[message(NOW_MS + year + 4, "again")], &WriteOptions::fresh()).is_ok());
    }

    #[test]
    fn words_of_ciphertexts_are_plain_sorted_and_few() {
        let store = store(Limits::default());
        let sealed = |ms, words: Vec<String>| {
            let mut sealed = crate::Sealed::new(1, "d", "e");
            sealed.words = words;
            Record::Message(Message::new(at(ms), Role::User, Content::Absent).with_sealed(sealed))
        };
        let owned = |words: &[&str]| words.iter().copied().map(String::from).collect::<Vec<_>>();
        for words in [&["b", "a"][..], &["a", "a"], &[""], &["A"], &["\u{e9}"], &["a b"]]
            .map(owned)
            .into_iter()
            .chain([vec!["x".repeat(65)], (0..=Sealed::MAX_WORDS).map(|n| format!("{n:06}")).collect()])
        {
            let error = write(&store, &[sealed(1, words)], &WriteOptions::replay()).unwrap_err();
            assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("sealed")));
        }
        let most = (0..Sealed::MAX_WORDS).map(|n| format!("{n:06}")).collect();
        for (ms, words) in [(1, owned(&["0a", "b"])), (2, vec!["x".repeat(64)]), (3, most)] {
            write(&store, &[sealed(ms, words)], &WriteOptions::replay()).unwrap();
        }
    }

    #[test]
    fn reserved_keys_are_for_the_system() {
        let store = store(Limits::default());
        let set = [Record::Session { stamp: at(2), set: BTreeMap::from([("craftx.x".to_owned(), Some(json!(1)))]) }];
        let system = context().with_caller(crate::Caller::System);
        let session = SessionId::new("s").unwrap();
        assert!(block_on(store.write(&system, &session, &set, &WriteOptions::fresh())).is_ok());
        assert!(write(&store, &set, &WriteOptions::replay()).is_ok());
    }
}
