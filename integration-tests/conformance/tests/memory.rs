//! The reference store keeps every promise, alone and below layers.

use std::sync::Arc;

use craftx_conformance::{Subject, conformance};
use craftx_core::*;

conformance!(memory, || async { Ok(Subject::new(Memory::new())) }, |kit| kit.cases(10_000).sequences(1_000));

conformance!(memory_below_validate, || async {
    let stack = Stack::builder("memory", Arc::new(Memory::new())).build()?;
    Ok(Subject::from(stack.backend().clone()))
});

/// A layer that does nothing but forward.
#[derive(Debug)]
struct Nothing;

impl Layer for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }
    fn slot(&self) -> Slot {
        Slot::Observe
    }
    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        Ok(inner)
    }
    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(Forward(inner)))
    }
}

conformance!(
    memory_below_a_layer_that_forwards,
    || async {
        let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(Nothing).build()?;
        Ok(Subject::from(stack.backend().clone()))
    },
    |kit| kit.cases(500)
);

/// Forwards every call.
#[derive(Debug)]
struct Forward(DynBackend);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Forward {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.0.prepare(cx, mode).await
    }
    async fn write(&self, cx: &Context, id: &SessionId, records: &[Record], options: &WriteOptions) -> Result<Written> {
        self.0.write(cx, id, records, options).await
    }
    async fn load(&self, cx: &Context, id: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.0.load(cx, id, query).await
    }
    async fn records(
        &self,
        cx: &Context,
        id: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        self.0.records(cx, id, from, limit).await
    }
    async fn session(&self, cx: &Context, id: &SessionId) -> Result<Option<Session>> {
        self.0.session(cx, id).await
    }
    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.0.sessions(cx, query).await
    }
    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.0.search(cx, query).await
    }
    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.0.tenants(cx, from).await
    }
    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.0.compact(cx, what).await
    }
    async fn status(&self, cx: &Context) -> Result<Status> {
        self.0.status(cx).await
    }
    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.0.verify(cx).await
    }
    async fn close(&self, cx: &Context) -> Result<()> {
        self.0.close(cx).await
    }
}
