//! Random sequences of operations, compared with the memory backend after every step.

use std::sync::Arc;

use craftx_core::{
    Compact, Error, Expect, Include, Memory, MessageQuery, Outcome, Record, Result, Session, SessionQuery, Source,
    Stamp, WriteOptions, Written,
};

use crate::bench::{Bench, Place, lines};
use crate::check::{Stop, Verdict, checks, ensure, ensure_eq};
use crate::generate::{self, SPAN};
use crate::property::Property;
use crate::random::Random;
use crate::records::at;

checks! { "model":
    random_operations_agree_with_the_model [] => "any sequence of operations gives the same answers as the memory backend";
}

const SESSIONS: [&str; 3] = ["s", "S", "s/1"];

#[derive(Clone, Debug)]
enum Op {
    Write { session: usize, records: Vec<Record>, source: Source, expect: Wish },
    Load { session: usize, query: MessageQuery },
    List(SessionQuery),
    Records { session: usize, limit: u32 },
    Compact(Option<Stamp>),
}

/// What a write expects; the version is only known when it happens.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Anything,
    New,
    Current,
    Version(u64),
}

async fn random_operations_agree_with_the_model(bench: Bench) -> Verdict {
    let sequences = bench.sequences;
    let property = Property {
        make: |bench, random| (0..4 + random.below(20)).map(|_| op(bench, random)).collect(),
        holds: |bench, turn, ops, _| Box::pin(agree(bench, turn, ops)),
    };
    property.check(bench, sequences).await
}

fn op(bench: &Bench, random: &mut Random) -> Op {
    let session = random.below(SESSIONS.len() as u64) as usize;
    match random.below(100) {
        0..60 => write(bench, random, session),
        60..75 => Op::Load { session, query: query(random) },
        75..88 => Op::List(list(bench, random)),
        88..96 => Op::Records { session, limit: 1 + random.below(6) as u32 },
        _ => Op::Compact(random.percent(40).then(|| at(random.below(SPAN * 2)))),
    }
}

fn write(bench: &Bench, random: &mut Random, session: usize) -> Op {
    let can = &bench.capabilities;
    let source = if random.percent(40) { Source::Replay } else { Source::Fresh };
    // What a store makes of a conflict that it does not claim to detect, or does not claim to undo, is its own.
    let may_conflict = source == Source::Replay || (can.detects_conflict.is_yes() && can.atomic_batch.is_yes());
    let size = random.below(5);
    let records = (0..size)
        .map(|_| {
            let variant = u64::from(may_conflict && random.percent(20));
            generate::record(can, random, variant)
        })
        .collect();
    let expect = match random.below(10) {
        _ if !can.compare_and_append.is_yes() => Wish::Anything,
        0 => Wish::New,
        1 | 2 => Wish::Current,
        3 => Wish::Version(random.below(SPAN)),
        _ => Wish::Anything,
    };
    Op::Write { session, records, source, expect }
}

fn query(random: &mut Random) -> MessageQuery {
    let mut query = if random.percent(50) { MessageQuery::oldest_first() } else { MessageQuery::newest_first() };
    query.after = random.percent(30).then(|| at(random.below(SPAN + 2)));
    query.before = random.percent(30).then(|| at(random.below(SPAN + 2)));
    query.limit = random.percent(60).then(|| random.below(8) as u32);
    if random.percent(20) {
        query.ids = (0..1 + random.below(6)).map(|_| at(random.below(SPAN))).collect();
    }
    query
}

fn list(bench: &Bench, random: &mut Random) -> SessionQuery {
    let include = if random.percent(50) { Include::All } else { Include::Live };
    let mut query = SessionQuery::new().include(include);
    query.prefix = random
        .percent(40)
        .then(|| ["s", "S", "s/", ""].get(random.below(4) as usize).map(|p| (*p).to_owned()))
        .flatten();
    query.limit = random.percent(50).then(|| 1 + random.below(3) as u32);
    if bench.capabilities.metadata_filter.is_yes() && random.percent(20) {
        query = query.metadata("a", serde_json::json!({"at": random.below(SPAN)}));
    }
    query
}

/// Runs the operations on a tenant of its own and on the model.
async fn agree(bench: Arc<Bench>, turn: u64, ops: Vec<Op>) -> Verdict {
    let tenant = format!("model {turn}");
    let places = SESSIONS.map(|name| bench.place_of(&tenant, name));
    let places = places.into_iter().collect::<Verdict<Vec<_>>>()?;
    let model: Arc<Memory> = Arc::new(Memory::new());
    let models: Vec<_> = places.iter().map(|place| Place { store: model.clone(), ..place.clone() }).collect();
    for (number, op) in ops.iter().enumerate() {
        let step = step(op, &places, &models).await.map_err(|stop| match stop {
            Stop::Fail(why) => Stop::Fail(format!("step {number}: {why}")),
            skip => skip,
        });
        step?;
    }
    for (place, model) in places.iter().zip(&models) {
        ensure_eq!(place.lines().await?, model.lines().await?, "the records of {:?} at the end", place.session);
        sessions_agree(place.session().await?, model.session().await?)?;
    }
    Ok(())
}

async fn step(op: &Op, places: &[Place], models: &[Place]) -> Verdict {
    let both = |session: &usize| match (places.get(*session), models.get(*session)) {
        (Some(place), Some(model)) => Ok((place, model)),
        _ => Err(Stop::Fail("a sequence names a session that there is not".to_owned())),
    };
    match op {
        Op::Write { session, records, source, expect } => {
            let (place, model) = both(session)?;
            let mut options = WriteOptions::fresh();
            options.source = *source;
            options.expect = match expect {
                Wish::Anything => Expect::Anything,
                Wish::New => Expect::New,
                Wish::Version(n) => Expect::Version(at(*n)),
                Wish::Current => model.set().await?.version().map_or(Expect::New, Expect::Version),
            };
            let (found, wanted) = (place.try_write(records, &options).await, model.try_write(records, &options).await);
            writes_agree(found, wanted)?;
            sessions_agree(place.session().await?, model.session().await?)
        }
        Op::Load { session, query } => {
            let (place, model) = both(session)?;
            let (found, wanted) = (place.try_load(query).await, model.try_load(query).await);
            let lines = |items: Vec<craftx_core::Message>| {
                items.into_iter().map(|item| Record::Message(item).encode().into_string()).collect::<Vec<_>>()
            };
            let shown = |page: craftx_core::Messages| (lines(page.items), page.more);
            results_agree(found.map(shown), wanted.map(shown), "load")
        }
        Op::List(query) => {
            let (place, model) = both(&0)?;
            let mut query = query.clone();
            loop {
                let mut other = query.clone();
                let found = place.store.sessions(&place.cx, &query).await?;
                other.cursor = None;
                other.limit = None;
                let wanted = model.store.sessions(&model.cx, &other).await?;
                // Cursors are each store's own: go on in the model after what was seen before.
                let before = query.cursor.as_ref().map_or(0, |_| 1);
                if before == 0 {
                    let size = craftx_core::page_size(query.limit);
                    ensure_eq!(found.items.len(), wanted.items.len().min(size), "the number of sessions in a page");
                    ensure_eq!(found.next.is_some(), wanted.items.len() > size, "whether there is a next page");
                }
                for session in found.items {
                    let wanted = wanted.items.iter().find(|wanted| wanted.id == session.id);
                    sessions_agree(Some(session), wanted.cloned())?;
                }
                match found.next {
                    None => return Ok(()),
                    next => query.cursor = next,
                }
            }
        }
        Op::Records { session, limit } => {
            let (place, model) = both(session)?;
            let found = crate::bench::fold(&place.changes(None, Some(*limit)).await?.0);
            ensure_eq!(lines(&found), model.lines().await?, "the records of {:?}", place.session);
            Ok(())
        }
        Op::Compact(purge) => {
            let (place, model) = both(&0)?;
            let mut what = Compact::new();
            what.purge_deleted_before = *purge;
            place.store.compact(&place.cx, &what).await?;
            model.store.compact(&model.cx, &what).await?;
            Ok(())
        }
    }
}

fn writes_agree(found: Result<Written>, wanted: Result<Written>) -> Verdict {
    if let (Ok(found), Ok(wanted)) = (&found, &wanted) {
        for (what, found, wanted) in [
            ("applied", found.applied, wanted.applied),
            ("known", found.known, wanted.known),
            ("dead", found.dead, wanted.dead),
        ] {
            ensure!(found.is_none() || found == wanted, "{what} is {found:?}, wanted {wanted:?}");
        }
        ensure_eq!((found.version, found.cleared), (wanted.version, wanted.cleared), "version and clear of a write");
    }
    if let Err(error) = &found {
        ensure_eq!(error.outcome(), Outcome::NotApplied, "the outcome of {error:?}");
    }
    results_agree(found.map(|_| ()), wanted.map(|_| ()), "write")
}

fn results_agree<T: PartialEq + std::fmt::Debug>(found: Result<T>, wanted: Result<T>, what: &str) -> Verdict {
    let shown = |result: Result<T>| result.map_err(|error: Error| error.kind());
    ensure_eq!(shown(found), shown(wanted), "the answer of {what}");
    Ok(())
}

fn sessions_agree(found: Option<Session>, wanted: Option<Session>) -> Verdict {
    let shown = |session: Option<Session>, counts: bool| {
        session.map(|mut session| {
            session.updated = std::time::UNIX_EPOCH;
            session.messages = session.messages.filter(|_| counts);
            let metadata = serde_json::Value::Object(session.metadata.clone()).to_string();
            (session, metadata)
        })
    };
    let counts = found.as_ref().is_some_and(|session| session.messages.is_some());
    ensure_eq!(shown(found, counts), shown(wanted, counts), "what is known of a session");
    Ok(())
}
