//! The store as backup and restore see it: below encryption, all tenants, page by page.

use craftx_core::{
    Context, Cursor, DynBackend, Include, MAX_PAGE, Result, SessionId, SessionQuery, Slot, Status, Tenant,
};

use crate::{Storage, inventory};

/// A store below its encryption.
pub(super) struct Walk {
    storage: Storage,
    /// Above all layers.
    pub(super) top: DynBackend,
    pub(super) backend: DynBackend,
    pub(super) encrypted: bool,
}

impl Walk {
    pub(super) fn new(storage: &Storage) -> Self {
        let below = storage.stack().below(Slot::Encrypt);
        let backend = below.unwrap_or_else(|| storage.stack().backend()).clone();
        Self { storage: storage.clone(), top: storage.stack().backend().clone(), backend, encrypted: below.is_some() }
    }

    /// The context of a call that begins now.
    pub(super) fn context(&self, tenant: &Tenant) -> Context {
        self.storage.context().with_tenant(tenant.clone())
    }

    pub(super) async fn status(&self) -> Result<Status> {
        self.backend.status(&self.storage.context()).await
    }

    /// All tenants but those that say something of this store alone, sorted.
    pub(super) async fn tenants(&self) -> Result<Vec<Tenant>> {
        Ok(inventory::tenants(&self.backend, &self.storage.context()).await?.0)
    }

    /// A page of the sessions of a tenant, cleared ones included, and where to go on.
    pub(super) async fn sessions(
        &self,
        tenant: &Tenant,
        from: Option<Cursor>,
    ) -> Result<(Vec<SessionId>, Option<Cursor>)> {
        let query = SessionQuery::new().include(Include::All).limit(MAX_PAGE).cursor(from);
        let page = self.backend.sessions(&self.context(tenant), &query).await?;
        Ok((page.items.into_iter().map(|session| session.id).collect(), page.next))
    }

    /// Whether nothing was ever written to the store.
    pub(super) async fn is_empty(&self) -> Result<bool> {
        inventory::is_empty(&self.backend, &self.storage.context()).await
    }
}
