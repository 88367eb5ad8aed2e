//! Dropped futures: a call that is given up leaves nothing locked, leaked or half-written.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use craftx_core::ErrorKind::NotFound;
use craftx_core::{Compact, MAX_PAGE, MessageQuery, Record, SessionQuery, WriteOptions};

use crate::bench::{Bench, Place, joined};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::random::Random;
use crate::records::{key, text};

checks! { "cancellation":
    a_dropped_write_is_there_once_or_not_at_all [] => "writes dropped after any number of polls are there whole or not at all, and can be written again";
    a_write_dropped_at_any_time_is_there_once_or_not_at_all [] => "the same of writes dropped at a random time, beside writes that are not dropped";
    a_future_that_is_never_polled_does_nothing [] => "making a future and dropping it is no call";
    a_dropped_read_leaves_nothing_behind [] => "reads, lists and compactions that are dropped disturb no later call";
}

const BATCH: u64 = 3;

/// Polls the future at most `polls` times, then drops it. `None` if it was dropped.
async fn dropped_after<F: Future>(polls: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn batch(n: u64) -> Vec<Record> {
    (0..BATCH).map(|part| text(n * 10 + part + 1, format!("{n}"))).collect()
}

/// How many messages of the batch are there.
async fn there(place: &Place, n: u64) -> Verdict<u64> {
    let ids = batch(n).iter().map(Record::stamp).collect::<Vec<_>>();
    match place.try_load(&MessageQuery::oldest_first().ids(ids).limit(MAX_PAGE)).await {
        Err(error) if error.kind() == NotFound => Ok(0),
        page => Ok(page?.items.len() as u64),
    }
}

async fn whole_or_not_at_all(bench: &Bench, place: &Place, n: u64, acknowledged: bool) -> Verdict {
    let count = there(place, n).await?;
    ensure!(!acknowledged || count == BATCH, "batch {n} was acknowledged and {count} of {BATCH} messages are there");
    if bench.capabilities.atomic_batch.is_yes() {
        ensure!(count == 0 || count == BATCH, "{count} of {BATCH} messages of the dropped batch {n} are there");
    }
    Ok(())
}

async fn a_dropped_write_is_there_once_or_not_at_all(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let rounds = bench.rounds * 5;
    let options = WriteOptions::fresh();
    let mut acknowledged = Vec::new();
    for n in 0..rounds {
        let done = dropped_after(n % 7, place.try_write(&batch(n), &options)).await;
        acknowledged.push(done.transpose()?.is_some());
        if n % 3 == 0 {
            // Nothing is locked: the next calls go through at once.
            place.write(&[key(1_000_000 + n, "k", n.into())]).await?;
            place.session().await?;
        }
    }
    for (n, done) in (0..).zip(&acknowledged) {
        whole_or_not_at_all(&bench, &place, n, *done).await?;
    }
    for n in 0..rounds {
        place.write(&batch(n)).await?;
    }
    ensure_eq!(place.messages().await?.len() as u64, rounds * BATCH, "the messages when all was written again");
    ensure_eq!(place.set().await?.bodies().count() as u64, rounds * BATCH, "the messages that `records` gives");
    Ok(())
}

async fn a_write_dropped_at_any_time_is_there_once_or_not_at_all(bench: Bench) -> Verdict {
    const TASKS: u64 = 4;
    let place = bench.place("s")?;
    let rounds = bench.rounds * 2;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (place, mut random) = (place.clone(), Random::case(bench.seed, task));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for round in 0..rounds {
                    let n = round * TASKS + task;
                    let (records, options) = (batch(n), WriteOptions::fresh());
                    let write = place.try_write(&records, &options);
                    let done = if task == 0 {
                        Ok(write.await)
                    } else {
                        tokio::time::timeout(Duration::from_micros(random.below(1_500)), write).await
                    };
                    acknowledged.push((n, done.ok().transpose()?.is_some()));
                }
                Ok::<_, crate::check::Stop>(acknowledged)
            })
        })
        .collect();
    for task in tasks {
        for (n, done) in joined(task.await)?? {
            whole_or_not_at_all(&bench, &place, n, done).await?;
            place.write(&batch(n)).await?;
        }
    }
    ensure_eq!(place.messages().await?.len() as u64, TASKS * rounds * BATCH, "the messages when all was written again");
    Ok(())
}

async fn a_future_that_is_never_polled_does_nothing(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let records = batch(1);
    let options = WriteOptions::fresh();
    drop(place.store.write(&place.cx, &place.session, &records, &options));
    tokio::time::sleep(Duration::from_millis(20)).await;
    ensure!(place.session().await?.is_none(), "a write whose future was never polled happened");
    drop(place.store.close(&place.cx));
    place.write(&records).await?;
    ensure_eq!(there(&place, 1).await?, BATCH, "the messages");
    Ok(())
}

async fn a_dropped_read_leaves_nothing_behind(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    for n in 0..20 {
        place.write(&batch(n)).await?;
    }
    let (store, cx) = (bench.store(), &place.cx);
    for round in 0..bench.rounds * 2 {
        let polls = round % 5;
        dropped_after(polls, store.load(cx, &place.session, &MessageQuery::oldest_first())).await;
        dropped_after(polls, store.records(cx, &place.session, None, None)).await;
        dropped_after(polls, store.session(cx, &place.session)).await;
        dropped_after(polls, store.sessions(cx, &SessionQuery::new())).await;
        dropped_after(polls, store.tenants(cx, None)).await;
        dropped_after(polls, store.status(cx)).await;
        dropped_after(polls, store.verify(cx)).await;
        dropped_after(polls, store.compact(cx, &Compact::new())).await;
        place.write(&batch(100 + round)).await?;
    }
    let wanted = (20 + bench.rounds * 2) * BATCH;
    ensure_eq!(place.messages().await?.len() as u64, wanted, "the messages");
    ensure_eq!(bench.list_ids(cx, SessionQuery::new()).await?, ["s"], "the sessions");
    ensure_eq!(bench.tenants().await?, ["default"], "the tenants");
    Ok(())
}
