//! The store as a [`Backend`]: each call runs to its end on a thread that may block.

use std::sync::Arc;

use async_trait::async_trait;
use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, Durability, Error, Hit, MessageQuery,
    Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status, Support, Tenant,
    Verified, WriteOptions, Written,
};

use crate::config::JsonConfig;
use crate::file::Disk;
use crate::lines::MAX_RECORD;
use crate::store::Store;
use crate::verify::Abandoned;

/// A folder of sessions, one JSON Lines file each.
///
/// Work that has begun is finished even if its future is dropped, so that nothing is left half-written. No async
/// runtime is needed. A deadline bounds the wait for other writers and is looked at between steps; a single call to
/// the operating system that hangs, as on a network folder that is gone, is not interrupted.
#[derive(Debug)]
pub struct Json {
    store: Arc<Store>,
    durability: Durability,
}

impl Json {
    /// A store in a folder. Does no I/O: [`prepare`](Backend::prepare) opens it.
    ///
    /// # Errors
    /// [`ConfigInvalid`](craftx_core::ErrorKind::ConfigInvalid) if the path is empty.
    pub fn new(config: &JsonConfig) -> Result<Self> {
        Self::on(config, Disk::default())
    }

    pub(crate) fn on(config: &JsonConfig, disk: Disk) -> Result<Self> {
        Ok(Self { store: Arc::new(Store::new(config, disk)?), durability: config.durability })
    }

    /// Runs `call` on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        cx: &Context,
        operation: &'static str,
        call: impl FnOnce(&Store, &Context) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (store, cx) = (Arc::clone(&self.store), cx.clone());
        blocking::unblock(move || call(&store, &cx)).await.map_err(|error| error.during(operation))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Json {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
            .atomic_batch(Support::Yes)
            .compare_and_append(Support::Yes)
            .detects_conflict(Support::Yes)
            .sealed(Support::Yes)
            .recent_first(Support::Yes)
            .metadata_filter(Support::Yes)
            .scope(Support::Yes)
            .shared(Support::Yes)
            .durable(self.durability.is_durable())
            .max_record_bytes(MAX_RECORD as u64)
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.run(cx, "prepare", move |store, cx| store.prepare(cx, mode)).await?;
        Ok(self.capabilities())
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let (session, records, options) = (session.clone(), records.to_vec(), options.clone());
        self.run(cx, "write", move |store, cx| {
            let written = store.write(cx, &session, &records, &options);
            written.map_err(|error| name_session(error, &session))
        })
        .await
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let (session, query) = (session.clone(), query.clone());
        self.run(cx, "load", move |store, cx| store.load(cx, &session, &query)).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let (session, from) = (session.clone(), from.cloned());
        self.run(cx, "records", move |store, cx| store.records(cx, &session, from.as_ref(), limit)).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let session = session.clone();
        self.run(cx, "session", move |store, cx| store.session(cx, &session)).await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let query = query.clone();
        self.run(cx, "sessions", move |store, cx| store.sessions(cx, &query)).await
    }

    async fn search(&self, cx: &Context, _query: &SearchQuery) -> Result<Page<Hit>> {
        let entered = self.store.enter(cx).map(drop);
        entered.and_then(|()| Err(Error::unsupported("search", "the JSON backend"))).map_err(|e| e.during("search"))
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        let from = from.cloned();
        self.run(cx, "tenants", move |store, cx| store.tenants(cx, from.as_ref())).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let what = what.clone();
        self.run(cx, "compact", move |store, cx| store.compact(cx, &what)).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let capabilities = self.capabilities();
        self.run(cx, "status", move |store, cx| store.status(cx, capabilities)).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        let abandoned = Abandoned::default();
        let sign = abandoned.sign();
        self.run(cx, "verify", move |store, cx| store.verify(cx, &sign)).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.run(cx, "close", Store::close).await
    }
}

/// A writer that writes many sessions wants to know which one failed.
fn name_session(error: Error, session: &SessionId) -> Error {
    if error.get("session").is_some() { error } else { error.with("session", format!("{session:?}")) }
}
