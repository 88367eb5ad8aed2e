//! The calls.

use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, Error, ErrorKind, Hit,
    MessageQuery, Messages, Operation, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery,
    Status, Tenant, Verified, WriteOptions, Written, async_trait,
};

use crate::Failover;
use crate::dirty::{Place, Which};
use crate::read::{in_leg, of_leg};
use crate::tenant;

impl Failover {
    /// What every call begins with: the context with the tenant as the legs know it.
    fn enter(&self, cx: &Context, operation: Operation) -> Result<Context> {
        let enter = || {
            cx.check_deadline()?;
            self.0.check_open()?;
            Ok(cx.clone().with_tenant(tenant::inside(cx)?))
        };
        enter().map_err(|error: Error| error.during(operation.as_str()))
    }
}

fn place(cx: &Context, session: &SessionId) -> Place {
    Place { tenant: cx.tenant.clone(), session: session.clone() }
}

/// Whether a page says that there is nothing.
fn is_empty<T>(page: &Result<Page<T>>) -> bool {
    page.as_ref().is_ok_and(|page| page.items.is_empty() && page.next.is_none())
}

fn with_leg<T>((leg, mut page): (usize, Page<T>)) -> Page<T> {
    page.next = page.next.map(|next| of_leg(leg, &next));
    page
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Failover {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.0.prepare(cx, mode).await.map_err(|error| error.during("prepare"))
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let cx = self.enter(cx, Operation::Write)?;
        self.0.can_expect(options.expect).map_err(|error| error.during("write"))?;
        let bytes = self.0.fits(records).map_err(|error| error.during("write"))?;
        self.0.write(&cx, &place(&cx, session), records, bytes, options).await
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let cx = self.enter(cx, Operation::Load)?;
        let place = place(&cx, session);
        let load = |leg: DynBackend, cx: Context| async move { leg.load(&cx, session, query).await };
        // A session that has nothing but a title lacks its messages, if it has any.
        let from_the_start = query.ids.is_empty() && query.after.is_none() && query.before.is_none();
        let is_nothing = |page: &Result<Messages>| match page {
            Ok(page) => from_the_start && page.items.is_empty() && !page.more,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        let read = self.0.read(&cx, Operation::Load, Which::Session(&place), None, load, is_nothing);
        Ok(read.await?.1)
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let cx = self.enter(cx, Operation::Records)?;
        let place = place(&cx, session);
        let (leg, from) = in_leg(from, Operation::Records)?.unzip();
        let from = from.as_ref();
        let records = |leg: DynBackend, cx: Context| async move { leg.records(&cx, session, from, limit).await };
        let is_nothing = |changes: &Result<Changes>| {
            from.is_none() && changes.as_ref().is_ok_and(|changes| changes.items.is_empty() && changes.done)
        };
        let read = self.0.read(&cx, Operation::Records, Which::Session(&place), leg, records, is_nothing);
        let (leg, mut changes) = read.await?;
        changes.next = of_leg(leg, &changes.next);
        Ok(changes)
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let cx = self.enter(cx, Operation::Session)?;
        let place = place(&cx, session);
        let find = |leg: DynBackend, cx: Context| async move { leg.session(&cx, session).await };
        let is_nothing = |session: &Result<Option<Session>>| matches!(session, Ok(None));
        Ok(self.0.read(&cx, Operation::Session, Which::Session(&place), None, find, is_nothing).await?.1)
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let cx = self.enter(cx, Operation::Sessions)?;
        self.0.can_list(query).map_err(|error| error.during("sessions"))?;
        let (leg, cursor) = in_leg(query.cursor.as_ref(), Operation::Sessions)?.unzip();
        let query = &query.clone().cursor(cursor);
        let list = |leg: DynBackend, cx: Context| async move { leg.sessions(&cx, query).await };
        let read = self.0.read(&cx, Operation::Sessions, Which::Tenant(&cx.tenant), leg, list, is_empty);
        Ok(with_leg(read.await?))
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        let cx = self.enter(cx, Operation::Search)?;
        self.0.can_search(&query.scope).map_err(|error| error.during("search"))?;
        let (leg, cursor) = in_leg(query.cursor.as_ref(), Operation::Search)?.unzip();
        let query = &query.clone().cursor(cursor);
        let search = |leg: DynBackend, cx: Context| async move { leg.search(&cx, query).await };
        let read = self.0.read(&cx, Operation::Search, Which::Tenant(&cx.tenant), leg, search, is_empty);
        Ok(with_leg(read.await?))
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        cx.require_system().map_err(|error| error.during("tenants"))?;
        let cx = self.enter(cx, Operation::Tenants)?;
        let mut from = from.cloned();
        loop {
            let (leg, cursor) = in_leg(from.as_ref(), Operation::Tenants)?.unzip();
            let cursor = cursor.as_ref();
            let list = |leg: DynBackend, cx: Context| async move { leg.tenants(&cx, cursor).await };
            let page = self.0.read(&cx, Operation::Tenants, Which::All, leg, list, is_empty).await?;
            let mut page = with_leg(page);
            page.items = page.items.iter().filter_map(tenant::outside).collect();
            // A page with nobody but ourselves is none.
            if !page.items.is_empty() || page.next.is_none() {
                return Ok(page);
            }
            from = page.next;
        }
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        let cx = self.enter(cx, Operation::Compact)?;
        self.0.compact(&cx, what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        let cx = self.enter(cx, Operation::Status)?;
        self.0.status(&cx).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        cx.require_system().map_err(|error| error.during("verify"))?;
        let cx = self.enter(cx, Operation::Verify)?;
        self.0.verify(&cx).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.0.close(cx).await.map_err(|error| error.during("close"))
    }
}
