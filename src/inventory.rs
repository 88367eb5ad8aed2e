//! What a store holds: which tenants, and whether there is anything.

use craftx_core::{Context, DynBackend, Include, Result, SessionQuery, Tenant};

/// What the names of tenants begin with in which the failover layer keeps what is its own. It hides them; they are seen
/// where one of its legs is read alone, and mean nothing in another store.
const OF_FAILOVER: &str = "craftx.failover";
/// Where a store says when it was backed up, which is true of that store alone.
pub(crate) const OF_BACKUP: &str = "craftx.backup";

/// Whether the data of a tenant is that of users, and not what one store says of itself.
fn is_of_users(tenant: &Tenant) -> bool {
    !tenant.as_str().starts_with(OF_FAILOVER) && tenant.as_str() != OF_BACKUP
}

/// The tenants whose data is that of users, and those that say something of this store alone; sorted.
#[cfg(any(feature = "backup", feature = "migrate"))]
pub(crate) async fn tenants(backend: &DynBackend, cx: &Context) -> Result<(Vec<Tenant>, Vec<Tenant>)> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = backend.tenants(cx, from.as_ref()).await?;
        all.extend(page.items);
        match page.next {
            None => break,
            next => from = next,
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all.into_iter().partition(is_of_users))
}

/// Whether no user has a session, not even one that was deleted. Looks no further than the first.
pub(crate) async fn is_empty(backend: &DynBackend, cx: &Context) -> Result<bool> {
    let mut from = None;
    loop {
        let page = backend.tenants(cx, from.as_ref()).await?;
        for tenant in page.items.into_iter().filter(is_of_users) {
            if has_session(backend, &cx.clone().with_tenant(tenant)).await? {
                return Ok(false);
            }
        }
        match page.next {
            None => return Ok(true),
            next => from = next,
        }
    }
}

async fn has_session(backend: &DynBackend, cx: &Context) -> Result<bool> {
    let mut query = SessionQuery::new().include(Include::All).limit(1);
    loop {
        let page = backend.sessions(cx, &query).await?;
        if !page.items.is_empty() {
            return Ok(true);
        }
        match page.next {
            None => return Ok(false),
            next => query = query.cursor(next),
        }
    }
}
