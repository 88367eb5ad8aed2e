//! Appending: alone, with others, to long sessions, and against rewriting a file.

use std::sync::Arc;

use craftx::{SessionId, Storage};
use futures_executor::block_on;

use crate::raw::{Raw, RawThread};
use crate::rewrite::{How, Rewrite};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

/// How many appends make a round where one waits for the disk alone: few, so that a disk that is busy for a while meets both
/// sides, and what it does to a few rounds moves no median.
pub(crate) const FEW: usize = 4;

/// An empty store of craftx, and another one that is written by hand.
fn sqlite_and_raw(folder: &std::path::Path) -> Outcome<(Storage, Raw)> {
    let open = |name| block_on(Storage::open(&messages::url("sqlite", folder, name)));
    block_on(open("raw.db")?.close())?;
    Ok((open("craftx.db")?, Raw::open(&folder.join("raw.db"))?))
}

pub(crate) fn one_writer(settings: &Settings) -> Outcome<Row> {
    one_against(settings, "raw rusqlite, one commit a message, on the thread that asks", |mut raw, sid| {
        Box::new(move |n| raw.append(sid, std::iter::once(n)))
    })
}

pub(crate) fn one_writer_thread(settings: &Settings) -> Outcome<Row> {
    one_against(settings, "raw rusqlite, one commit a message, on a thread of its own", |raw, sid| {
        let thread = RawThread::new(raw);
        Box::new(move |n| thread.append(sid, n))
    })
}

/// Appends a message by hand.
type ByHand = Box<dyn FnMut(usize) -> Outcome<()>>;

fn one_against(settings: &Settings, how: &str, by_hand: impl FnOnce(Raw, i64) -> ByHand) -> Outcome<Row> {
    let folder = settings.folder()?;
    let (storage, raw) = sqlite_and_raw(folder.path())?;
    let sid = raw.add_session("a")?;
    let mut by_hand = by_hand(raw, sid);
    let each = FEW;
    let pairs = Pairs::measure(
        settings.scaled(500),
        |round| timed(|| block_on(append(&storage, "a", round * each, each))),
        |round| timed(|| (round * each..(round + 1) * each).try_for_each(&mut by_hand)),
    )?;
    block_on(storage.close())?;
    Ok(Row::Measured {
        what: "SQLite, one writer, one message a call, durable".into(),
        craftx: format!("{} a message", time(pairs.a(each))),
        baseline: format!("{how}: {}", time(pairs.b(each))),
        value: Value::Times(1.0 / pairs.median_a_over_b()),
        goal: Goal::AtLeast(Value::Times(0.9)),
    })
}

pub(crate) async fn append(storage: &Storage, session: &str, begin: usize, count: usize) -> Outcome<()> {
    for n in begin..begin + count {
        storage.append(session, messages::new_message(n)).await?;
    }
    Ok(())
}

pub(crate) fn many_writers(settings: &Settings) -> Outcome<Row> {
    const WRITERS: usize = 64;
    let folder = settings.folder()?;
    let (storage, mut raw) = sqlite_and_raw(folder.path())?;
    let storage = Arc::new(storage);
    let sids = (0..WRITERS).map(|n| raw.add_session(messages::session(n).as_str())).collect::<Outcome<Vec<i64>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let each = settings.scaled(20);
    let pairs = Pairs::measure(
        settings.rounds(9),
        |round| {
            timed(|| {
                runtime.block_on(async {
                    let writers: Vec<_> = (0..WRITERS)
                        .map(|n| {
                            let storage = Arc::clone(&storage);
                            runtime.spawn(async move {
                                let session = messages::session(n);
                                for m in round * each..(round + 1) * each {
                                    storage.append(session.as_str(), messages::new_message(m)).await?;
                                }
                                Ok::<(), craftx::Error>(())
                            })
                        })
                        .collect();
                    for writer in writers {
                        writer.await??;
                    }
                    Ok(())
                })
            })
        },
        |round| {
            timed(|| {
                (round * each..(round + 1) * each)
                    .flat_map(|m| sids.iter().map(move |sid| (m, *sid)))
                    .try_for_each(|(m, sid)| raw.append(sid, std::iter::once(m)))
            })
        },
    )?;
    block_on(storage.close())?;
    Ok(Row::Measured {
        what: format!("SQLite, {WRITERS} concurrent writers, each message acknowledged durable"),
        craftx: format!("{} a message", time(pairs.a(each * WRITERS))),
        baseline: format!("raw rusqlite on one thread, one commit a message: {}", time(pairs.b(each * WRITERS))),
        value: Value::Times(1.0 / pairs.a_over_b()),
        goal: Goal::AtLeast(Value::Times(8.0)),
    })
}

pub(crate) fn sqlite_long(settings: &Settings) -> Outcome<Row> {
    long(settings, "sqlite", "SQLite")
}

pub(crate) fn json_long(settings: &Settings) -> Outcome<Row> {
    long(settings, "json", "JSON")
}

/// Appends to a long session and to short ones, of which every round takes a new one.
fn long(settings: &Settings, scheme: &str, name: &str) -> Outcome<Row> {
    let folder = settings.folder()?;
    let storage = block_on(Storage::open(&messages::url(scheme, folder.path(), "store")))?;
    let (long, short) = (settings.scaled(100_000), settings.scaled(100).min(100));
    let session = SessionId::new("long")?;
    let each = FEW;
    block_on(messages::fill(&storage, &session, long))?;
    // The first append of a process looks at the session as a whole.
    block_on(append(&storage, "long", 0, 1))?;
    let pairs = Pairs::measure(
        settings.scaled(200),
        |round| timed(|| block_on(append(&storage, "long", round * each, each))),
        |round| {
            let session = messages::session(round);
            block_on(messages::fill(&storage, &session, short))?;
            block_on(append(&storage, session.as_str(), 0, 1))?;
            timed(|| block_on(append(&storage, session.as_str(), round * each, each)))
        },
    )?;
    block_on(storage.close())?;
    Ok(Row::Measured {
        what: format!("{name}, append to a session of {long} messages against one of {short}"),
        craftx: format!("{} to the long one", time(pairs.a(each))),
        baseline: format!("craftx, to the short one: {}", time(pairs.b(each))),
        value: Value::Times(pairs.median_a_over_b()),
        goal: Goal::AtMost(Value::Times(1.5)),
    })
}

pub(crate) fn json(settings: &Settings) -> Outcome<Row> {
    against_rewriting(settings, How::Synced, "with the same number of syncs, and lost if power goes in between")
}

pub(crate) fn json_safe(settings: &Settings) -> Outcome<Row> {
    against_rewriting(
        settings,
        How::Safe,
        "into a second file that replaces the first, with a sync of each and the folder",
    )
}

pub(crate) fn json_unsynced(settings: &Settings) -> Outcome<Row> {
    against_rewriting(settings, How::Unsynced, "without a sync")
}

fn against_rewriting(settings: &Settings, how: How, in_words: &str) -> Outcome<Row> {
    let folder = settings.folder()?;
    let durability = if how == How::Unsynced { "process-crash" } else { "power-loss" };
    let url = format!("{}?durability={durability}", messages::url("json", folder.path(), "store"));
    let storage = block_on(Storage::open(&url))?;
    let array = Rewrite::new(folder.path(), how)?;
    let (appends, rounds) = (settings.scaled(2_000), settings.scaled(200));
    let each = (appends / rounds).max(1);
    let pairs = Pairs::measure(
        rounds,
        |round| timed(|| block_on(append(&storage, "a", round * each, each))),
        |round| timed(|| (round * each..(round + 1) * each).try_for_each(|n| array.append(n))),
    )?;
    block_on(storage.close())?;
    let (craftx, rewriting) = pairs.totals();
    Ok(Row::Measured {
        what: format!("JSON, {appends} appends to one session, durability `{durability}`"),
        craftx: time(craftx),
        baseline: format!("read all, append, rewrite all, {in_words}: {}", time(rewriting)),
        value: Value::Times(1.0 / pairs.total_a_over_b()),
        goal: Goal::AtLeast(Value::Times(50.0)),
    })
}
