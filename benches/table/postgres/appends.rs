//! Appending one message a call.

use std::sync::Arc;

use super::by_hand::ByHand;
use super::{run, runtime, runtime_of, server, skipped, store, where_it_is};
use crate::Outcome;
use crate::appends::{FEW, append as append_some};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;

pub(crate) fn append(settings: &Settings) -> Outcome<Row> {
    with(settings, "false", false)
}

pub(crate) fn append_apart(settings: &Settings) -> Outcome<Row> {
    with(settings, "false", true)
}

pub(crate) fn append_searchable(settings: &Settings) -> Outcome<Row> {
    with(settings, "true", false)
}

/// With `apart`, the connection of the baseline lives on threads of its own too.
fn with(settings: &Settings, search: &str, apart: bool) -> Outcome<Row> {
    let what = format!("PostgreSQL, one writer, one message a call, `search={search}`");
    let Some(server) = server() else { return Ok(skipped(what)) };
    let runtime = runtime()?;
    let storage = runtime.block_on(store(server, "append", &format!("search={search}")))?;
    let own = runtime_of(apart)?;
    let by_hand = Arc::new(ByHand::new(own.as_ref().unwrap_or(&runtime), server, "append_by_hand")?);
    let each = FEW;
    let ours = |round: usize| {
        let storage = storage.clone();
        timed(|| run(&runtime, async move { append_some(&storage, "a", round * each, each).await }))
    };
    let theirs = |round: usize| {
        let by_hand = Arc::clone(&by_hand);
        timed(|| {
            run(&runtime, async move {
                for n in round * each..(round + 1) * each {
                    by_hand.append("a", n).await?;
                }
                Ok(())
            })
        })
    };
    // The tables are empty, and the server plans anew until it knows a statement.
    (0..settings.scaled(20)).try_for_each(|round| ours(round).and(theirs(round)).map(drop))?;
    let pairs = Pairs::measure(settings.scaled(1_000), ours, theirs)?;
    runtime.block_on(storage.close())?;
    Ok(Row::Measured {
        what,
        craftx: format!("{} a message", time(pairs.a(each))),
        baseline: format!("a prepared `INSERT` by tokio-postgres{}: {}", where_it_is(apart), time(pairs.b(each))),
        value: Value::Times(pairs.median_a_over_b()),
        goal: Goal::AtMost(Value::Times(1.25)),
    })
}
