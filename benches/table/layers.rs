//! What layers cost that do nothing.

use std::hint::black_box;
use std::sync::Arc;

use craftx::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, Hit, Memory, MessageQuery,
    Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status, Tenant, Verified,
    WriteOptions, Written, async_trait,
};
use futures_executor::block_on;

use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

/// A layer that hands every call on.
#[derive(Debug)]
struct Through(DynBackend);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Through {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.0.prepare(cx, mode).await
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        self.0.write(cx, session, records, options).await
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.0.load(cx, session, query).await
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        self.0.records(cx, session, from, limit).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        self.0.session(cx, session).await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.0.sessions(cx, query).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.0.search(cx, query).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.0.tenants(cx, from).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.0.compact(cx, what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        self.0.status(cx).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.0.verify(cx).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.0.close(cx).await
    }
}

pub(crate) fn five(settings: &Settings) -> Outcome<Row> {
    const LAYERS: usize = 5;
    let bare: DynBackend = Arc::new(Memory::new());
    let wrapped = (0..LAYERS).fold(Arc::clone(&bare), |inner, _| Arc::new(Through(inner)) as DynBackend);
    let (cx, session) = (Context::new(Tenant::default()), messages::session(0));
    let (options, query) = (WriteOptions::replay(), MessageQuery::newest_first().limit(1));
    block_on(bare.write(&cx, &session, &[messages::record(0)], &options))?;
    let each = settings.scaled(20_000);
    // A call that reads: what is subtracted is small, so the difference is exact.
    let read = |backend: &DynBackend| {
        timed(|| {
            block_on(async {
                for _ in 0..each {
                    black_box(backend.load(&cx, &session, &query).await?);
                }
                Ok(())
            })
        })
    };
    let pairs = Pairs::measure(settings.rounds(41), |_| read(&wrapped), |_| read(&bare))?;
    let (with, without) = (pairs.a(each), pairs.b(each));
    Ok(Row::Measured {
        what: format!("{LAYERS} layers that hand every call on, over memory, loading one message"),
        craftx: format!("{} a call", time(with)),
        baseline: format!("the same without layers: {}; measured is the difference", time(without)),
        value: Value::Micros(with.saturating_sub(without).as_secs_f64() * 1e6),
        goal: Goal::AtMost(Value::Micros(2.0)),
    })
}
