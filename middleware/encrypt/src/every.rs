//! Going through every session, for what concerns them all.

use craftx_core::{Context, Cursor, DynBackend, Include, Result, SessionId, SessionQuery, Tenant};

/// All tenants of a store.
///
/// # Errors
/// Those of the store; [`PermissionDenied`](craftx_core::ErrorKind::PermissionDenied) unless the caller is the system.
pub(crate) async fn tenants(store: &DynBackend, cx: &Context) -> Result<Vec<Tenant>> {
    let (mut all, mut from): (Vec<Tenant>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = store.tenants(cx, from.as_ref()).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(all),
        }
    }
}

/// The sessions of the tenant of `cx`, page by page.
pub(crate) struct Sessions<'a> {
    store: &'a DynBackend,
    cx: &'a Context,
    query: Option<SessionQuery>,
}

impl<'a> Sessions<'a> {
    pub(crate) fn new(store: &'a DynBackend, cx: &'a Context, include: Include) -> Self {
        Self { store, cx, query: Some(SessionQuery::new().include(include).limit(craftx_core::MAX_PAGE)) }
    }

    /// The next ones; none at the end.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn next(&mut self) -> Result<Vec<SessionId>> {
        let Some(query) = self.query.take() else { return Ok(Vec::new()) };
        let page = self.store.sessions(self.cx, &query).await?;
        self.query = page.next.map(|next| query.cursor(Some(next)));
        // A page may be empty and have a next one.
        if page.items.is_empty() && self.query.is_some() {
            return Box::pin(self.next()).await;
        }
        Ok(page.items.into_iter().map(|session| session.id).collect())
    }
}
