//! Layers that do the same around every call, such as trying again or giving up in time.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use crate::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, Hit, MessageQuery, Messages, Page,
    Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status, Tenant, Verified, WriteOptions,
    Written,
};

/// The calls of a [`Backend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Backend::prepare`].
    Prepare,
    /// [`Backend::write`].
    Write,
    /// [`Backend::load`].
    Load,
    /// [`Backend::records`].
    Records,
    /// [`Backend::session`].
    Session,
    /// [`Backend::sessions`].
    Sessions,
    /// [`Backend::search`].
    Search,
    /// [`Backend::tenants`].
    Tenants,
    /// [`Backend::compact`].
    Compact,
    /// [`Backend::verify`].
    Verify,
    /// [`Backend::status`].
    Status,
    /// [`Backend::close`].
    Close,
}

impl Operation {
    /// The name of the call.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Write => "write",
            Self::Load => "load",
            Self::Records => "records",
            Self::Session => "session",
            Self::Sessions => "sessions",
            Self::Search => "search",
            Self::Tenants => "tenants",
            Self::Compact => "compact",
            Self::Verify => "verify",
            Self::Status => "status",
            Self::Close => "close",
        }
    }

    /// Whether a call takes the time that it needs, up to the deadline of the caller: a migration that is always cut off
    /// would never be done.
    pub const fn takes_long(self) -> bool {
        matches!(self, Self::Prepare | Self::Compact | Self::Verify | Self::Close)
    }

    /// Whether a call that failed may have changed the store all the same.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Prepare | Self::Write | Self::Compact)
    }
}

/// What a layer does around every call, whatever it asks for. [`Surrounded`] makes a backend of it, so that no call can
/// be forgotten.
///
/// ```
/// use craftx_core::{Around, Context, Memory, Operation, Result, Surrounded, async_trait};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Debug, Default)]
/// struct Counted(AtomicU64);
///
/// #[async_trait]
/// impl Around for Counted {
///     async fn around<T, F, Fut>(&self, _: Operation, cx: &Context, call: F) -> Result<T>
///     where
///         T: Send,
///         F: Fn(Context) -> Fut + Send + Sync,
///         Fut: Future<Output = Result<T>> + Send,
///     {
///         self.0.fetch_add(1, Ordering::Relaxed);
///         call(cx.clone()).await
///     }
/// }
///
/// let backend = Surrounded::new(Arc::new(Counted::default()), Arc::new(Memory::new()));
/// ```
#[async_trait]
pub trait Around: fmt::Debug + Send + Sync + 'static {
    /// Makes the call, with this context or another one; once, several times or not at all.
    ///
    /// # Errors
    /// Those of the call, or its own.
    ///
    /// # Cancel safety
    /// As that of the call.
    async fn around<T, F, Fut>(&self, operation: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send;
}

/// A backend with something [`Around`] every call.
#[derive(Debug)]
pub struct Surrounded<A> {
    around: std::sync::Arc<A>,
    inner: DynBackend,
}

impl<A: Around> Surrounded<A> {
    /// Puts `around` around every call to `inner`. What `around` holds is shared by all that it surrounds.
    pub fn new(around: std::sync::Arc<A>, inner: DynBackend) -> Self {
        Self { around, inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Around> Backend for Surrounded<A> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.prepare(&cx, mode).await };
        self.around.around(Operation::Prepare, cx, call).await
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.write(&cx, session, records, options).await };
        self.around.around(Operation::Write, cx, call).await
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.load(&cx, session, query).await };
        self.around.around(Operation::Load, cx, call).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.records(&cx, session, from, limit).await };
        self.around.around(Operation::Records, cx, call).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.session(&cx, session).await };
        self.around.around(Operation::Session, cx, call).await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.sessions(&cx, query).await };
        self.around.around(Operation::Sessions, cx, call).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.search(&cx, query).await };
        self.around.around(Operation::Search, cx, call).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.tenants(&cx, from).await };
        self.around.around(Operation::Tenants, cx, call).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.compact(&cx, what).await };
        self.around.around(Operation::Compact, cx, call).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.verify(&cx).await };
        self.around.around(Operation::Verify, cx, call).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.status(&cx).await };
        self.around.around(Operation::Status, cx, call).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        let inner = &self.inner;
        let call = |cx: Context| async move { inner.close(&cx).await };
        self.around.around(Operation::Close, cx, call).await
    }
}
