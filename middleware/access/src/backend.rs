//! The calls of a backend: which action each takes. `docs/access.md` has the table.

use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, Error, ErrorKind, Hit, MessageQuery, Messages,
    Operation, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status, Support, Tenant,
    Verified, WriteOptions, Written, async_trait,
};

use crate::guard::Guard;
use crate::principal::Who;
use crate::{Action, Actions};

impl Guard {
    /// What a session is started with takes a place in the batch.
    pub(crate) fn within(owners: bool, mut inner: Capabilities) -> Capabilities {
        if owners {
            inner.max_batch = inner.max_batch.map(|most| most.saturating_sub(1));
        }
        inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Guard {
    fn capabilities(&self) -> Capabilities {
        Self::within(self.owners, self.inner.capabilities())
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        // There is nowhere yet to tell what is refused before the log is open.
        cx.require_system().map_err(|error| error.during("prepare"))?;
        if let (Some(sink), Prepare::Open | Prepare::Migrate) = (&self.log.sink, mode) {
            sink.open(cx).await.map_err(|error| error.during("prepare"))?;
        }
        let entry = self.pass_system(cx, Operation::Prepare).await?;
        let inner = match mode {
            // The log may not be there yet, and looking makes none.
            Prepare::Check => self.inner.prepare(cx, mode).await?,
            _ => self.log.around(entry, self.inner.prepare(cx, mode)).await?,
        };
        needs(inner, self.owners).map_err(|error| error.during("prepare"))?;
        Ok(Self::within(self.owners, inner))
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        self.write_records(cx, session, records, options).await
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let decide = |who: &Who<'_>, relation| who.decide(&*self.policy, Action::Read, relation);
        let entry = self.pass(cx, Operation::Load, session, Actions::READ, decide).await?;
        self.log.around(entry, self.inner.load(cx, session, query)).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let decide = |who: &Who<'_>, relation| who.decide(&*self.policy, Action::Export, relation);
        let entry = self.pass(cx, Operation::Records, session, Action::Export.into(), decide).await?;
        self.log.around(entry, self.inner.records(cx, session, from, limit)).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let decide = |who: &Who<'_>, relation| {
            let listed = who.decide(&*self.policy, Action::List, relation);
            if listed.allowed { listed } else { who.decide(&*self.policy, Action::Read, relation) }
        };
        match self.pass(cx, Operation::Session, session, Action::List.into(), decide).await {
            Ok(entry) => self.log.around(entry, self.inner.session(cx, session)).await,
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let (entry, scope) = self.pass_scope(cx, Operation::Sessions, Action::List, &query.scope).await?;
        let query = query.clone().scope(scope);
        self.log.around(entry, self.inner.sessions(cx, &query)).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        let (entry, scope) = self.pass_scope(cx, Operation::Search, Action::Search, &query.scope).await?;
        let query = query.clone().scope(scope);
        self.log.around(entry, self.inner.search(cx, &query)).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        let entry = self.pass_system(cx, Operation::Tenants).await?;
        self.log.around(entry, self.inner.tenants(cx, from)).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let entry = match &what.session {
            // Erasing what one has deleted is a part of deleting it; forgetting that it was deleted is not.
            Some(session) if what.purge_deleted_before.is_none() => {
                let decide = |who: &Who<'_>, relation| who.decide(&*self.policy, Action::Delete, relation);
                self.pass(cx, Operation::Compact, session, Action::Delete.into(), decide).await?
            }
            _ => self.pass_tenant(cx, Operation::Compact, Action::Admin.into()).await?,
        };
        self.log.around(entry, self.inner.compact(cx, what)).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let entry = self.pass_tenant(cx, Operation::Status, Action::Admin.into()).await?;
        let mut status = self.log.around(entry, self.inner.status(cx)).await?;
        status.capabilities = Self::within(self.owners, status.capabilities);
        Ok(status)
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        let entry = self.pass_system(cx, Operation::Verify).await?;
        self.log.around(entry, self.inner.verify(cx)).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        let entry = self.pass_system(cx, Operation::Close).await?;
        let closed = self.log.around(entry, self.inner.close(cx)).await;
        match &self.log.sink {
            Some(sink) => closed.and(sink.close(cx).await),
            None => closed,
        }
    }
}

/// What the layer cannot do without.
pub(crate) fn needs(inner: Capabilities, owners: bool) -> Result<()> {
    if inner.scope == Support::No {
        return Err(Error::unsupported("scopes, so lists would have to be filtered afterwards,", "the store below"));
    }
    if owners && inner.compare_and_append == Support::No {
        let what = "compare and append, so two who start a session at once could both own it,";
        return Err(Error::unsupported(what, "the store below"));
    }
    Ok(())
}
