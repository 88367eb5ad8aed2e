//! The calls.

use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, Error, ErrorKind, Hit, MessageQuery, Messages,
    Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status, Tenant, Uuid, Verified,
    WriteOptions, Written, async_trait,
};

use crate::acl;
use crate::keys::Keys;
use crate::layer::Encrypted;
use crate::open::Opener;

impl Encrypted {
    /// In one store the keys of a session and its messages would be one session: neither could be read again.
    async fn refuse_one_store_for_both(&self, cx: &Context) -> Result<()> {
        let keys = self.shared.keys.store.status(&Keys::context(cx)).await;
        // Where it cannot be told which stores these are, the first read tells.
        let (Ok(keys), Ok(data)) = (keys, self.inner.status(cx).await) else { return Ok(()) };
        let data = stores_of(&data);
        match stores_of(&keys).iter().any(|store| data.contains(store)) {
            true => Err(Error::new(ErrorKind::ConfigInvalid, "data keys need a store of their own")
                .with("key", "`keys`")
                .with("store", keys.name)),
            false => Ok(()),
        }
    }
}

/// The identities of a store and of those inside.
fn stores_of(status: &Status) -> Vec<Uuid> {
    std::iter::once(status.store).chain(status.parts.iter().flat_map(stores_of)).collect()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Encrypted {
    fn capabilities(&self) -> Capabilities {
        // It was refused when it was built if it could not.
        self.allows(self.inner.capabilities()).unwrap_or_default()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        let keys = self.shared.keys.store.prepare(&Keys::context(cx), mode).await;
        keys.map_err(|error| error.during("prepare").with("by", "key store"))?;
        // A keyring that cannot be read is found now, and not with the first message.
        self.shared.keys.provider.keys(cx).await.map_err(|error| error.during("prepare"))?;
        let capabilities = self.inner.prepare(cx, mode).await?;
        self.refuse_one_store_for_both(cx).await.map_err(|error| error.during("prepare"))?;
        self.allows(capabilities).map_err(|error| error.during("prepare"))
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        self.seal_and_write(cx, session, records, options).await.map_err(|error| error.during("write"))
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let page = self.inner.load(cx, session, query).await?;
        let mut opener = Opener::new(self, cx, session);
        let mut items = Vec::with_capacity(page.items.len());
        for message in page.items {
            items.push(opener.message(message).await.map_err(|error| error.during("load"))?);
        }
        Ok(Messages { items, more: page.more })
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let changes = self.inner.records(cx, session, from, limit).await?;
        let mut opener = Opener::new(self, cx, session);
        let mut items = Vec::with_capacity(changes.items.len());
        for record in changes.items {
            items.push(opener.record(record).await.map_err(|error| error.during("records"))?);
        }
        Ok(Changes { items, ..changes })
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        match self.inner.session(cx, session).await? {
            Some(found) => self.open_session(cx, found).await.map(Some).map_err(|error| error.during("session")),
            None => Ok(None),
        }
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        if !query.metadata.is_empty() {
            return Err(Error::unsupported("filters by metadata", "an encrypted store").during("sessions"));
        }
        let page = self.inner.sessions(cx, query).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for session in page.items {
            let opened = self.open_session(cx, session).await.map_err(|error| error.during("sessions"))?;
            // The medium goes by columns of its own, which nobody vouches for.
            if !query.scope.admits(opened.owner.as_deref(), &opened.grants) {
                let error = acl::forged().during("sessions");
                return Err(error.with("session", format!("{:?}", opened.id)));
            }
            items.push(opened);
        }
        Ok(Page { items, next: page.next })
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.search_by_tokens(cx, query).await.map_err(|error| error.during("search"))
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.inner.tenants(cx, from).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.inner.compact(cx, what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let mut status = self.inner.status(cx).await?;
        status.capabilities = self.allows(status.capabilities).map_err(|error| error.during("status"))?;
        Ok(status)
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        let mut verified = self.inner.verify(cx).await?;
        self.verify_envelopes(cx, &mut verified).await.map_err(|error| error.during("verify"))?;
        Ok(verified)
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.shared.keys.forget_all();
        let data = self.inner.close(cx).await;
        let keys = self.shared.keys.store.close(&Keys::context(cx)).await;
        data.and(keys.map_err(|error| error.during("close").with("by", "key store")))
    }
}
