//! The end of a long session.

use std::hint::black_box;
use std::sync::Arc;

use super::by_hand::ByHand;
use super::{run, runtime, runtime_of, server, skipped, store, where_it_is};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

pub(crate) fn last_50(settings: &Settings) -> Outcome<Row> {
    with(settings, false)
}

pub(crate) fn last_50_apart(settings: &Settings) -> Outcome<Row> {
    with(settings, true)
}

/// With `apart`, the connection of the baseline lives on threads of its own too.
fn with(settings: &Settings, apart: bool) -> Outcome<Row> {
    let count = settings.scaled(100_000);
    let what = format!("PostgreSQL, last 50 of {count} messages");
    let Some(server) = server() else { return Ok(skipped(what)) };
    let runtime = runtime()?;
    let storage = runtime.block_on(store(server, "last", "search=false"))?;
    let own = runtime_of(apart)?;
    let by_hand = Arc::new(ByHand::new(own.as_ref().unwrap_or(&runtime), server, "last_by_hand")?);
    runtime.block_on(messages::fill(&storage, &messages::session(0), count))?;
    let name = messages::session(0).to_string();
    runtime.block_on(by_hand.copy((0..count).map(|n| (name.clone(), n))))?;
    // As some time later, when nothing is left to be done.
    server.sql(0, "VACUUM ANALYZE last.messages, last.sessions, last_by_hand")?;
    let each = settings.scaled(50);
    let pairs = Pairs::measure(
        settings.rounds(61),
        |_| {
            let (storage, name) = (storage.clone(), name.clone());
            timed(|| {
                run(&runtime, async move {
                    for _ in 0..each {
                        black_box(storage.last(&name, 50).await?);
                    }
                    Ok(())
                })
            })
        },
        |_| {
            let (by_hand, name) = (Arc::clone(&by_hand), name.clone());
            timed(|| {
                run(&runtime, async move {
                    for _ in 0..each {
                        black_box(by_hand.last_50(&name).await?);
                    }
                    Ok(())
                })
            })
        },
    )?;
    runtime.block_on(storage.close())?;
    Ok(Row::Measured {
        what,
        craftx: time(pairs.a(each)),
        baseline: format!(
            "a prepared `SELECT` by tokio-postgres, into strings{}: {}",
            where_it_is(apart),
            time(pairs.b(each))
        ),
        value: Value::Times(pairs.a_over_b()),
        goal: Goal::AtMost(Value::Times(1.25)),
    })
}
