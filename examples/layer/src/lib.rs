//! A complete layer: a switch that stops all writes to a store while reads go on, to move the store or to take it into
//! maintenance.
//!
//! ```
//! use craftx_core::{Context, ErrorKind, Memory, SessionId, SessionQuery, Stack, Tenant, WriteOptions};
//! use craftx_example_layer::Freeze;
//! use std::sync::Arc;
//! # futures_executor::block_on(async {
//! let freeze = Freeze::default();
//! let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(freeze.clone()).build()?;
//! let (cx, session) = (Context::new(Tenant::default()), SessionId::new("chat")?);
//! freeze.set(true);
//! let written = stack.backend().write(&cx, &session, &[], &WriteOptions::fresh()).await;
//! assert_eq!(written.map_err(|error| error.kind()), Err(ErrorKind::Unavailable));
//! assert!(stack.backend().sessions(&cx, &SessionQuery::new()).await.is_ok());
//! # Ok::<(), craftx_core::Error>(())
//! # }).unwrap();
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, Error, ErrorKind, Hit, Layer,
    MessageQuery, Messages, Page, Prepare, Record, Registry, Result, SearchQuery, Session, SessionId, SessionQuery,
    Slot, Status, Tenant, Verified, WriteOptions, Written, async_trait,
};

/// Lets configurations name the layer `freeze`. All stores that are built by this registry share the switch.
pub fn register(registry: &mut Registry, freeze: &Freeze) {
    let freeze = freeze.clone();
    registry.register_layer("freeze", move |part| {
        part.config::<NoOptions>()?;
        Ok(Box::new(freeze.clone()))
    });
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// A switch for every store that it wraps. Clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct Freeze {
    frozen: Arc<AtomicBool>,
}

impl Freeze {
    /// Refuses writes from now on, or no longer. A write that has begun already is not stopped.
    pub fn set(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Release);
    }

    /// Fails while writes are refused. Nothing has been applied then, and the same call can succeed later.
    fn check(&self, operation: &'static str) -> Result<()> {
        match self.frozen.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Unavailable, "the store is frozen").during(operation)),
            false => Ok(()),
        }
    }
}

impl Layer for Freeze {
    fn name(&self) -> &'static str {
        "freeze"
    }

    fn slot(&self) -> Slot {
        Slot::Access
    }

    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        Ok(inner)
    }

    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(Freezable { freeze: self.clone(), inner }))
    }
}

/// A store with the switch before it.
#[derive(Debug)]
struct Freezable {
    freeze: Freeze,
    inner: DynBackend,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Freezable {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.inner.prepare(cx, mode).await
    }

    async fn write(&self, cx: &Context, id: &SessionId, records: &[Record], how: &WriteOptions) -> Result<Written> {
        self.freeze.check("write")?;
        self.inner.write(cx, id, records, how).await
    }

    async fn load(&self, cx: &Context, id: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.inner.load(cx, id, query).await
    }

    async fn records(&self, cx: &Context, id: &SessionId, from: Option<&Cursor>, max: Option<u32>) -> Result<Changes> {
        self.inner.records(cx, id, from, max).await
    }

    async fn session(&self, cx: &Context, id: &SessionId) -> Result<Option<Session>> {
        self.inner.session(cx, id).await
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
        self.freeze.check("compact")?;
        self.inner.compact(cx, what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        self.inner.status(cx).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.inner.verify(cx).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.inner.close(cx).await
    }
}
