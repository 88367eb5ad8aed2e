//! Bulk copy: batches of records that are replayed, against `COPY`.

use std::sync::Arc;

use craftx::{Storage, WriteOptions};

use super::by_hand::ByHand;
use super::{run, runtime, server, skipped, store};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

/// The messages of a batch, and of a session.
const BATCH: usize = 500;
const SESSION: usize = 5_000;

pub(crate) fn import(settings: &Settings) -> Outcome<Row> {
    with(settings, "false")
}

pub(crate) fn import_searchable(settings: &Settings) -> Outcome<Row> {
    with(settings, "true")
}

/// Writes messages, a batch after the other, as copying a store does.
async fn write(storage: &Storage, begin: usize, end: usize) -> Outcome<()> {
    let (backend, options) = (storage.stack().backend(), WriteOptions::replay());
    for begin in (begin..end).step_by(BATCH) {
        let records: Vec<_> = (begin..end.min(begin + BATCH)).map(messages::record).collect();
        backend.write(&storage.context(), &messages::session(begin / SESSION), &records, &options).await?;
    }
    Ok(())
}

fn with(settings: &Settings, search: &str) -> Outcome<Row> {
    let rounds = settings.rounds(5);
    let each = settings.scaled(200_000) / rounds;
    let what = format!("PostgreSQL, bulk copy of {} messages in batches of {BATCH}, `search={search}`", each * rounds);
    let Some(server) = server() else { return Ok(skipped(what)) };
    let runtime = runtime()?;
    let storage = runtime.block_on(store(server, "import", &format!("search={search}")))?;
    let by_hand = Arc::new(ByHand::new(&runtime, server, "import_by_hand")?);
    let pairs = Pairs::measure(
        rounds,
        |round| {
            let storage = storage.clone();
            timed(|| run(&runtime, async move { write(&storage, round * each, (round + 1) * each).await }))
        },
        |round| {
            let by_hand = Arc::clone(&by_hand);
            let numbers = round * each..(round + 1) * each;
            let rows = numbers.map(|n| (messages::session(n / SESSION).to_string(), n));
            timed(|| run(&runtime, async move { by_hand.copy(rows).await }))
        },
    )?;
    runtime.block_on(storage.close())?;
    let (craftx, by_hand) = pairs.totals();
    Ok(Row::Measured {
        what,
        craftx: time(craftx),
        baseline: format!("`COPY` of the same messages, {each} a transaction: {}", time(by_hand)),
        value: Value::Times(pairs.total_a_over_b()),
        goal: Goal::AtMost(Value::Times(1.5)),
    })
}
