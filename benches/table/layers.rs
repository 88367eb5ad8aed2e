//! What layers cost that do nothing.

use std::hint::black_box;
use std::sync::Arc;

use craftx::{
    Around, Context, DynBackend, Memory, MessageQuery, Operation, Result, Surrounded, Tenant, WriteOptions, async_trait,
};
use futures_executor::block_on;

use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

/// Hands every call on.
#[derive(Debug)]
struct Through;

#[async_trait]
impl Around for Through {
    async fn around<T, F, Fut>(&self, _: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        call(cx.clone()).await
    }
}

pub(crate) fn five(settings: &Settings) -> Outcome<Row> {
    const LAYERS: usize = 5;
    let bare: DynBackend = Arc::new(Memory::new());
    let wrapped = (0..LAYERS)
        .fold(Arc::clone(&bare), |inner, _| Arc::new(Surrounded::new(Arc::new(Through), inner)) as DynBackend);
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
