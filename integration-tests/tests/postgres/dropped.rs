//! Futures that are dropped at any time: nobody gets another one's answer, no transaction is left open, and the pool serves.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context as Task, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use craftx_core::{Backend, ErrorKind, MessageQuery, Record, Result};
use craftx_integration_tests::faults::Dice;
use craftx_integration_tests::servers::postgres_is_there;
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::size::{Trial, times};
use crate::support::{
    cluster, config, cx, eventually, fresh_schema, message, open, session, stamp, texts, within, write,
};

const THREADS: u64 = 8;
/// More than there are connections, so that some calls are dropped while they wait for one.
const CONNECTIONS: u32 = 4;

/// Polls a future now and then for a while, and drops it; what it answered, if it was quicker.
fn dropped_after<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, began) = (pin!(future), Instant::now());
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
            return Some(answer);
        }
        if began.elapsed() >= time {
            return None;
        }
        thread::sleep(Duration::from_micros(100).min(time));
    }
}

/// What became of the messages that a thread wrote: those whose write was answered, and those whose write was dropped.
#[derive(Default)]
struct Wrote {
    answered: Vec<String>,
    dropped: Vec<String>,
    read: u64,
}

struct Trials<'a> {
    store: &'a Postgres,
    seed: u64,
    /// What is wrong, if something is.
    crossed: Mutex<Vec<String>>,
}

impl Trials<'_> {
    /// Whether all that a read has found is of the session that it asked for.
    fn check(&self, of: &str, found: Result<craftx_core::Messages>) {
        let wrong = match found {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(format!("{error:?}")),
            Ok(page) => page.items.iter().map(|message| message.text().unwrap_or_default().to_owned()).find(|text| {
                let mut parts = text.split(' ');
                parts.next() != Some(of)
            }),
        };
        self.crossed.lock().unwrap().extend(wrong.map(|wrong| format!("{of}: {wrong}")));
    }

    fn run(&self, thread: u64, count: u64) -> Wrote {
        let mut dice = Dice::of(self.seed, thread);
        let (mut wrote, of) = (Wrote::default(), format!("s{thread}"));
        let cx = within(3_600_000);
        for number in 0..count {
            // Often before anything was sent, sometimes after the answer.
            let time = Duration::from_micros(match dice.below(4) {
                0 => 0,
                1 => dice.below(1_000),
                2 => dice.below(6_000),
                _ => dice.below(30_000),
            });
            if dice.once_in(2) {
                wrote.read += 1;
                let (id, query) = (session(&of), MessageQuery::newest_first().limit(20));
                if let Some(found) = dropped_after(time, self.store.load(&cx, &id, &query)) {
                    self.check(&of, found);
                }
                continue;
            }
            let text = format!("{of} {number}");
            let at = thread * 10_000_000 + number * 2;
            let mut records = vec![message(at, &text)];
            if dice.once_in(4) {
                // A transaction of several statements.
                records.push(Record::Deleted { id: stamp(at + 1), stamp: stamp(at + 2) });
            }
            match dropped_after(time, write(self.store, &cx, &of, &records)) {
                Some(written) => {
                    written.unwrap();
                    wrote.answered.push(text);
                }
                None => wrote.dropped.push(text),
            }
        }
        wrote
    }
}

#[test]
fn dropped_futures_leave_nothing_behind() {
    if !postgres_is_there("dropped futures") {
        return;
    }
    let trial = Trial::new("dropped futures");
    let (servers, schema) = (cluster(), fresh_schema());
    let store = open(config(&servers.url(), &schema).connections(CONNECTIONS));
    let trials = Trials { store: &store, seed: trial.seed, crossed: Mutex::default() };
    let each = times(10_000, 1_000_000) / THREADS;
    let wrote: Vec<Wrote> = thread::scope(|scope| {
        let trials = &trials;
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || trials.run(thread, each))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let crossed = trials.crossed.lock().unwrap();
    if let Some(wrong) = crossed.first() {
        trial.fail(format_args!("{} of the reads", crossed.len()), wrong);
    }

    // What was begun goes on to its end, and then nobody is in the middle of something.
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'craftx'
        AND (state LIKE 'idle in transaction%' OR state = 'active')";
    eventually("no transaction is open", || (0..3).all(|node| servers.sql(node, open).unwrap() == "0"));
    let (mut answered, mut dropped, mut applied) = (0, 0, 0);
    for (thread, wrote) in wrote.iter().enumerate() {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for text in block_on(texts(&store, &cx(), &format!("s{thread}"))).unwrap() {
            *counts.entry(text).or_default() += 1;
        }
        let count = |text: &String| counts.get(text).copied().unwrap_or(0);
        assert!(wrote.answered.iter().all(|text| count(text) == 1), "seed {}: a write is gone or doubled", trial.seed);
        assert!(wrote.dropped.iter().all(|text| count(text) <= 1), "seed {}: a write is doubled", trial.seed);
        answered += wrote.answered.len();
        dropped += wrote.dropped.len();
        applied += wrote.dropped.iter().filter(|text| count(text) == 1).count();
    }
    // Every connection serves, and none waits for ever.
    thread::scope(|scope| {
        for thread in 0..2 * u64::from(CONNECTIONS) {
            let store = &store;
            scope.spawn(move || block_on(write(store, &within(10_000), "after", &[message(thread, "x")])).unwrap());
        }
    });
    block_on(store.close(&cx())).unwrap();
    let reads: u64 = wrote.iter().map(|wrote| wrote.read).sum();
    trial.told(format_args!(
        "{reads} reads and {dropped} writes dropped, of which {applied} were applied; {answered} writes were answered first"
    ));
    assert!(applied > 0 && applied < dropped && answered > 0, "too much alike");
}
