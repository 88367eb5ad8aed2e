//! Connections are cut at random, before the server has a request and after: what is written again and again, with the same
//! records, is there once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use craftx_core::{Message, Record, Retry, Role, Stamp};
use craftx_integration_tests::faults::Dice;
use craftx_integration_tests::servers::{Proxy, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::size::{Trial, times};
use crate::support::{cluster, config, cx, fresh_schema, open, texts, url_of_ports, within, write};

const THREADS: u64 = 8;
/// Every thread writes to its own session and to one that it shares with another thread.
const SESSIONS: u64 = 12;
/// How often a part of a request is cut off.
const PROBABILITY: f64 = 0.1;

/// What one thread wrote, by session.
type Wrote = BTreeMap<String, Vec<String>>;

fn append(store: &Postgres, seed: u64, thread: u64, count: u64, tick: &AtomicU64, failed: &AtomicU64) -> Wrote {
    let (mut wrote, mut dice) = (Wrote::new(), Dice::of(seed, thread));
    for number in 0..count {
        let session = if dice.once_in(4) { THREADS + thread / 2 } else { thread };
        let session = format!("s{}", session % SESSIONS);
        let tail = "äöü\0\n".repeat(usize::try_from(dice.below(40)).unwrap());
        let text = format!("{thread}.{number} {tail}");
        let id =
            Stamp::mint(1_700_000_000_000 + tick.fetch_add(1, Ordering::Relaxed), None, u128::from(thread)).unwrap();
        let record = [Record::Message(Message::new(id, Role::User, text.as_str()))];
        // Some give up early, so that the outcome is open when the next try begins.
        while let Err(error) = block_on(write(store, &within(20 + dice.below(400)), &session, &record)) {
            assert_ne!(error.retry(), Retry::Never, "{error:?}");
            failed.fetch_add(1, Ordering::Relaxed);
        }
        wrote.entry(session).or_default().push(text);
    }
    wrote
}

#[test]
fn what_is_tried_again_blindly_is_there_once() {
    if !postgres_is_there("writes through a bad network") {
        return;
    }
    let trial = Trial::new("exactly once");
    let (servers, schema) = (cluster(), fresh_schema());
    let proxy = Proxy::new(servers.port(0));
    let store = open(config(&url_of_ports(&[proxy.port()]), &schema).connections(THREADS as u32));
    proxy.random_faults(trial.seed, PROBABILITY);
    let (count, tick, failed) = (times(20_000, 1_000_000) / THREADS, AtomicU64::new(0), AtomicU64::new(0));
    let before = proxy.round_trips();
    let wrote: Vec<Wrote> = thread::scope(|scope| {
        let append = |thread| append(&store, trial.seed, thread, count, &tick, &failed);
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || append(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (turns, fired) = (proxy.round_trips() - before, proxy.fired());
    proxy.random_faults(trial.seed, 0.0);

    let mut expected = Wrote::new();
    for (session, texts) in wrote.into_iter().flatten() {
        expected.entry(session).or_default().extend(texts);
    }
    for (session, texts_of) in &mut expected {
        let mut found = block_on(texts(&store, &cx(), session)).unwrap();
        found.sort();
        texts_of.sort();
        if found != *texts_of {
            trial.fail(session, format_args!("{} messages are there, {} were written", found.len(), texts_of.len()));
        }
    }
    let rows = format!("SELECT count(*), count(DISTINCT (sid, stamp)), max(variant) FROM {schema}.messages");
    let all = count * THREADS;
    assert_eq!(servers.sql(0, &rows).unwrap(), format!("{all}|{all}|0"));
    let counted = format!("SELECT sum(messages), sum(seq) FROM {schema}.sessions");
    assert_eq!(servers.sql(0, &counted).unwrap(), format!("{all}|{all}"));
    let failed = failed.load(Ordering::Relaxed);
    trial.told(format_args!(
        "{all} appends, {fired} of {turns} requests cut off, {failed} calls failed and were repeated"
    ));
    assert!(fired * 20 >= turns, "only {fired} of {turns} requests were cut off");
    assert!(failed * 200 > count, "calls hardly ever fail: {failed}");
}
