//! An audit log in a store: a session of another backend.

use std::sync::{Mutex, PoisonError};

use craftx_core::{
    Caller, Context, DynBackend, Expect, Message, Prepare, Record, Result, Role, SessionId, Stamp, Tenant,
    WriteOptions, async_trait,
};

use super::{AuditSink, Event};

/// Keeps an audit log as a session of another store: each event is a message of the role `audit`.
///
/// It is as durable as that store, can be read and searched like any session, and can be encrypted, mirrored and backed up
/// by a stack of its own. Do not give the store that the log is about: whoever may delete there could delete the log.
///
/// ```
/// use craftx_access::StoreSink;
/// use craftx_core::{Memory, SessionId, Tenant};
/// let sink = StoreSink::new(std::sync::Arc::new(Memory::new()), Tenant::new("audit")?, SessionId::new("2026")?);
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Debug)]
pub struct StoreSink {
    store: DynBackend,
    tenant: Tenant,
    session: SessionId,
    /// The last stamp of this process, so that its events are in the order in which they were told.
    last: Mutex<Option<Stamp>>,
}

impl StoreSink {
    /// A log in this session of a store.
    pub fn new(store: DynBackend, tenant: Tenant, session: SessionId) -> Self {
        Self { store, tenant, session, last: Mutex::default() }
    }

    fn context(&self, cx: &Context) -> Context {
        cx.clone().with_tenant(self.tenant.clone()).with_caller(Caller::System).with_token(None)
    }

    fn mint(&self, cx: &Context) -> Result<Stamp> {
        // A stamp is copied whole, so a panic leaves the last one or the one before.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = cx.mint(*last)?;
        *last = Some(stamp);
        Ok(stamp)
    }
}

#[async_trait]
impl AuditSink for StoreSink {
    async fn open(&self, cx: &Context) -> Result<()> {
        let cx = self.context(cx);
        self.store.prepare(&cx, Prepare::Migrate).await?;
        // What was told before comes first, whatever the clock says now.
        let found = self.store.version(&cx, &self.session).await?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(found);
        Ok(())
    }

    async fn record(&self, cx: &Context, event: &Event) -> Result<()> {
        let cx = self.context(cx);
        let message = Message::new(self.mint(&cx)?, Role::new("audit")?, event.to_json());
        let options = WriteOptions::fresh().expecting(Expect::Anything);
        self.store.write(&cx, &self.session, &[Record::Message(message)], &options).await.map(drop)
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.store.close(&self.context(cx)).await
    }
}
