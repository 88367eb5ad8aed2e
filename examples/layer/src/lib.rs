//! A complete layer: it counts the calls to a store, and how many of them failed. It depends on `craftx-core` alone.
//!
//! ```
//! use craftx_core::{Backend, Context, ErrorKind, Memory, MessageQuery, SessionId, Stack, Tenant};
//! use craftx_example_layer::CountCalls;
//! use std::sync::Arc;
//! # futures_executor::block_on(async {
//! let calls = CountCalls::default();
//! let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(calls.clone()).build()?;
//! let cx = Context::new(Tenant::default());
//! let found = stack.backend().load(&cx, &SessionId::new("nobody")?, &MessageQuery::oldest_first()).await;
//! assert_eq!(found.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
//! assert_eq!((calls.of("load").calls, calls.of("load").failed), (1, 1));
//! # Ok::<(), craftx_core::Error>(())
//! # }).unwrap();
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, Hit, Layer, MessageQuery,
    Messages, Page, Prepare, Record, Registry, Result, SearchQuery, Session, SessionId, SessionQuery, Slot, Status,
    Tenant, Verified, WriteOptions, Written, async_trait,
};

/// Lets configurations name the layer `count-calls`. All stores that are built by this registry share the counts of
/// `layer`.
pub fn register(registry: &mut Registry, layer: &CountCalls) {
    let layer = layer.clone();
    registry.register_layer("count-calls", move |part| {
        part.config::<NoOptions>()?;
        Ok(Box::new(layer.clone()))
    });
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// Counts the calls to every store that it wraps. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct CountCalls {
    counts: Arc<Mutex<BTreeMap<&'static str, Count>>>,
}

/// How often a method of a store was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// Calls that were begun, whatever became of them.
    pub calls: u64,
    /// Calls that ended in an error. A call whose future was dropped did not end.
    pub failed: u64,
}

impl CountCalls {
    /// The count of one method of [`Backend`], such as `write`.
    pub fn of(&self, method: &str) -> Count {
        self.counts().get(method).copied().unwrap_or_default()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Count>> {
        // Numbers cannot be left half-changed.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layer for CountCalls {
    fn name(&self) -> &'static str {
        "count-calls"
    }

    fn slot(&self) -> Slot {
        Slot::Observe
    }

    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        Ok(inner)
    }

    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(Counted { layer: self.clone(), inner }))
    }
}

/// A store whose calls are counted.
#[derive(Debug)]
struct Counted {
    layer: CountCalls,
    inner: DynBackend,
}

impl Counted {
    /// Awaits a call of the inner store and counts it.
    async fn count<T>(&self, method: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.layer.counts().entry(method).or_default().calls += 1;
        // No lock is held here: the call may take long, and its future may be dropped.
        let answer = call.await;
        if answer.is_err() {
            self.layer.counts().entry(method).or_default().failed += 1;
        }
        answer
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Counted {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.count("prepare", self.inner.prepare(cx, mode)).await
    }

    async fn write(&self, cx: &Context, id: &SessionId, records: &[Record], how: &WriteOptions) -> Result<Written> {
        self.count("write", self.inner.write(cx, id, records, how)).await
    }

    async fn load(&self, cx: &Context, id: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.count("load", self.inner.load(cx, id, query)).await
    }

    async fn records(&self, cx: &Context, id: &SessionId, from: Option<&Cursor>, max: Option<u32>) -> Result<Changes> {
        self.count("records", self.inner.records(cx, id, from, max)).await
    }

    async fn session(&self, cx: &Context, id: &SessionId) -> Result<Option<Session>> {
        self.count("session", self.inner.session(cx, id)).await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.count("sessions", self.inner.sessions(cx, query)).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.count("search", self.inner.search(cx, query)).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.count("tenants", self.inner.tenants(cx, from)).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.count("compact", self.inner.compact(cx, what)).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        self.count("status", self.inner.status(cx)).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.count("verify", self.inner.verify(cx)).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.count("close", self.inner.close(cx)).await
    }
}
