//! The kit on behalf of somebody: what the system does otherwise, a principal does.

use craftx_core::{
    Backend, Caller, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, Hit, MessageQuery,
    Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status, Tenant, Verified,
    WriteOptions, Written, async_trait,
};

/// A store to which a caller speaks where the kit speaks as the system: for layers that look at who asks.
///
/// What only the system may do it still does: preparing, closing, listing tenants, checking the medium, and writing who
/// owns a session.
///
/// ```
/// use craftx_conformance::{AsCaller, Subject};
/// use craftx_core::{Caller, Memory};
/// use std::sync::Arc;
/// let ann = Caller::principal("ann", ["admin"]);
/// let subject = Subject::new(AsCaller::new(ann, Arc::new(Memory::new())));
/// ```
#[derive(Debug)]
pub struct AsCaller {
    caller: Caller,
    inner: DynBackend,
    hides_owner: bool,
}

impl AsCaller {
    /// Speaks to `inner` as `caller`.
    pub fn new(caller: Caller, inner: DynBackend) -> Self {
        Self { caller, inner, hides_owner: false }
    }

    /// Takes out of the answers that the caller owns a session, for layers that say so of each session that is started:
    /// the checks know of no record but those that they write.
    #[must_use]
    pub fn hiding_owner(mut self) -> Self {
        self.hides_owner = true;
        self
    }

    fn is_hidden(&self, owner: Option<&str>) -> bool {
        matches!(&self.caller, Caller::Principal { id, .. } if self.hides_owner && owner == Some(&**id))
    }

    fn without_owner(&self, mut session: Session) -> Session {
        session.owner = session.owner.filter(|owner| !self.is_hidden(Some(owner)));
        session
    }

    /// Somebody else than the system keeps their name.
    fn cx(&self, cx: &Context) -> Context {
        match cx.caller {
            Caller::System => cx.clone().with_caller(self.caller.clone()),
            _ => cx.clone(),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for AsCaller {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.inner.prepare(cx, mode).await
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        match records.iter().any(|record| matches!(record, Record::Acl { .. })) {
            true => self.inner.write(cx, session, records, options).await,
            false => self.inner.write(&self.cx(cx), session, records, options).await,
        }
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.inner.load(&self.cx(cx), session, query).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let mut changes = self.inner.records(&self.cx(cx), session, from, limit).await?;
        changes.items.retain(|record| match record {
            Record::Acl { owner, .. } => !self.is_hidden(owner.as_deref()),
            _ => true,
        });
        Ok(changes)
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        Ok(self.inner.session(&self.cx(cx), session).await?.map(|found| self.without_owner(found)))
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let Page { items, next } = self.inner.sessions(&self.cx(cx), query).await?;
        Ok(Page { items: items.into_iter().map(|found| self.without_owner(found)).collect(), next })
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.inner.search(&self.cx(cx), query).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.inner.tenants(cx, from).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.inner.compact(&self.cx(cx), what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        self.inner.status(&self.cx(cx)).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.inner.verify(cx).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.inner.close(cx).await
    }
}
