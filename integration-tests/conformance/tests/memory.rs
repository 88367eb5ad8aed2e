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
        Ok(Arc::new(Surrounded::new(Arc::new(Self), inner)))
    }
}

#[async_trait]
impl Around for Nothing {
    async fn around<T, F, Fut>(&self, _: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        call(cx.clone()).await
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
