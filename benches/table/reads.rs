//! Reading: the end of a session, and the first page of a list.

use std::hint::black_box;

use craftx::{Record, SessionOrder, SessionQuery, Storage, WriteOptions};
use futures_executor::block_on;
use std::collections::BTreeMap;

use crate::raw::{Raw, RawThread};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

const LAST: usize = 50;

fn read_last(storage: &Storage, session: &str, times: usize) -> Outcome<()> {
    for _ in 0..times {
        black_box(block_on(storage.last(session, LAST))?);
    }
    Ok(())
}

pub(crate) fn last_50(settings: &Settings) -> Outcome<Row> {
    against(settings, "raw rusqlite, the same SQL, into strings, on the thread that asks", |raw| {
        Box::new(move |session| raw.last(session, LAST))
    })
}

pub(crate) fn last_50_thread(settings: &Settings) -> Outcome<Row> {
    against(settings, "raw rusqlite, the same SQL, into strings, on a thread of its own", |raw| {
        let thread = RawThread::new(raw);
        Box::new(move |session| thread.last(session, LAST))
    })
}

/// Reads the last messages of a session by hand.
type ByHand = Box<dyn Fn(&str) -> Outcome<Vec<crate::raw::Row>>>;

fn against(settings: &Settings, how: &str, by_hand: impl FnOnce(Raw) -> ByHand) -> Outcome<Row> {
    let folder = settings.folder()?;
    let count = settings.scaled(100_000);
    let session = messages::session(0);
    let url = messages::url("sqlite", folder.path(), "craftx.db");
    let storage = block_on(Storage::open(&url))?;
    block_on(messages::fill(&storage, &session, count))?;
    // The same file for both.
    let by_hand = by_hand(Raw::open(&folder.path().join("craftx.db"))?);
    let each = settings.scaled(200);
    let pairs = Pairs::measure(
        settings.rounds(61),
        |_| timed(|| read_last(&storage, session.as_str(), each)),
        |_| timed(|| (0..each).try_for_each(|_| by_hand(session.as_str()).map(|rows| drop(black_box(rows))))),
    )?;
    block_on(storage.close())?;
    Ok(Row::Measured {
        what: format!("SQLite, last {LAST} of {count} messages"),
        craftx: time(pairs.a(each)),
        baseline: format!("{how}: {}", time(pairs.b(each))),
        value: Value::Times(pairs.a_over_b()),
        goal: Goal::AtMost(Value::Times(1.3)),
    })
}

pub(crate) fn last_50_flat(settings: &Settings) -> Outcome<Row> {
    let folder = settings.folder()?;
    let (long, short) = (settings.scaled(100_000), settings.scaled(1_000));
    let storage = block_on(Storage::open(&messages::url("sqlite", folder.path(), "craftx.db")))?;
    block_on(messages::fill(&storage, &messages::session(0), long))?;
    block_on(messages::fill(&storage, &messages::session(1), short))?;
    let each = settings.scaled(200);
    let pairs = Pairs::measure(
        settings.rounds(41),
        |_| timed(|| read_last(&storage, messages::session(0).as_str(), each)),
        |_| timed(|| read_last(&storage, messages::session(1).as_str(), each)),
    )?;
    block_on(storage.close())?;
    Ok(Row::Measured {
        what: format!("SQLite, last {LAST} of {long} messages against those of {short}"),
        craftx: time(pairs.a(each)),
        baseline: format!("craftx, in the short session: {}", time(pairs.b(each))),
        value: Value::Times(pairs.a_over_b()),
        goal: Goal::AtMost(Value::Times(1.2)),
    })
}

pub(crate) fn first_page(settings: &Settings) -> Outcome<Row> {
    let folder = settings.folder()?;
    let (many, few) = (settings.scaled(100_000), settings.scaled(1_000));
    let large = sessions(folder.path(), "many.db", many)?;
    let small = sessions(folder.path(), "few.db", few)?;
    let query = SessionQuery::new().order(SessionOrder::RecentFirst).limit(LAST as u32);
    let each = settings.scaled(100);
    let read = |storage: &Storage| {
        timed(|| {
            for _ in 0..each {
                black_box(block_on(storage.sessions(&query))?);
            }
            Ok(())
        })
    };
    let pairs = Pairs::measure(settings.rounds(41), |_| read(&large), |_| read(&small))?;
    block_on(large.close())?;
    block_on(small.close())?;
    Ok(Row::Measured {
        what: format!("SQLite, first page of {LAST} of {many} sessions against {few}"),
        craftx: time(pairs.a(each)),
        baseline: format!("craftx, in the small store: {}", time(pairs.b(each))),
        value: Value::Times(pairs.a_over_b()),
        goal: Goal::AtMost(Value::Times(2.0)),
    })
}

/// A store with `count` sessions, each with a title and a message.
fn sessions(folder: &std::path::Path, name: &str, count: usize) -> Outcome<Storage> {
    let storage = block_on(Storage::open(&messages::url("sqlite", folder, name)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let writers = (0..64).map(|writer| {
        let storage = storage.clone();
        runtime.spawn(async move {
            for n in (writer..count).step_by(64) {
                let set = BTreeMap::from([("title".to_owned(), Some(messages::text(n).into()))]);
                let records = [messages::record(n), Record::Session { stamp: messages::stamp(count + n), set }];
                let cx = storage.context();
                storage.stack().backend().write(&cx, &messages::session(n), &records, &WriteOptions::replay()).await?;
            }
            Ok::<(), craftx::Error>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        runtime.block_on(writer)??;
    }
    Ok(storage)
}
