//! Replicas that fall behind: whoever wrote something reads it, what was read stays read, and who holds the token of a write
//! sees it with another handle too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use craftx_core::{Backend, Context, ErrorKind, Freshness, MessageQuery, Token};
use craftx_integration_tests::faults::Dice;
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::size::{Trial, times};
use crate::support::{config, eventually, fresh_schema, message, open, session, within, write};

const THREADS: u64 = 4;
/// How many reads follow a write.
const READS: u64 = 5;

/// The number of the newest message of a session; 0 if there is none.
fn newest(store: &Postgres, cx: &Context, of: &str) -> u64 {
    match block_on(store.load(cx, &session(of), &MessageQuery::newest_first().limit(1))) {
        Ok(page) => page.items.first().map_or(0, |message| message.text().unwrap().parse().unwrap()),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => panic!("{error:?}"),
    }
}

/// Counts of one run.
#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    old: AtomicU64,
    behind: AtomicU64,
}

/// Writes to a session of its own, and reads it with the handle that wrote, with another one that has the token, and with
/// one that does not care.
fn write_and_read(handles: [&Postgres; 3], thread: u64, reads: u64, counts: &Counts) {
    let (of, [writer, other, careless]) = (format!("s{thread}"), handles);
    let cx = || within(60_000);
    // What the other handle has read in each session.
    let mut seen = [0; THREADS as usize];
    let mut read = 0;
    for number in 1.. {
        let written = block_on(write(writer, &cx(), &of, &[message(number, &number.to_string())])).unwrap();
        let token: Option<Token> = written.token;
        assert!(token.is_some(), "a store with replicas gives tokens");
        for _ in 0..READS {
            assert_eq!(newest(writer, &cx(), &of), number, "{of}: what was written is not read");
        }
        let found = newest(other, &cx().with_token(token), &of);
        assert_eq!(found, number, "{of}: the token does not help");
        // Whatever the handle may find of the others, it must not find less later.
        for (at, seen) in (0..).zip(&mut seen) {
            let found = newest(other, &cx(), &format!("s{at}"));
            assert!(found >= *seen, "s{at}: {found} after {seen}");
            *seen = found;
        }
        let found = newest(careless, &cx().with_freshness(Freshness::Eventual), &of);
        assert!(found <= number);
        counts.old.fetch_add(u64::from(found < number), Ordering::Relaxed);
        read += READS + 2 + THREADS;
        if read >= reads {
            counts.reads.fetch_add(read, Ordering::Relaxed);
            return;
        }
    }
}

/// Pauses and resumes the replay of both replicas in turns, for random spells.
fn lag(servers: &Servers, seed: u64, ends: &AtomicBool, counts: &Counts) {
    let mut dice = Dice::new(seed);
    for node in [1, 2].into_iter().cycle() {
        servers.pause_replay(node, true);
        let longest = if dice.once_in(5) { 5_000 } else { 500 };
        let (began, spell) = (Instant::now(), Duration::from_millis(dice.below(longest)));
        while began.elapsed() < spell && !ends.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        servers.pause_replay(node, false);
        counts.behind.fetch_add(1, Ordering::Relaxed);
        if ends.load(Ordering::Relaxed) {
            return;
        }
        // It catches up.
        thread::sleep(Duration::from_millis(dice.below(200)));
    }
}

/// How many transactions a server has done since it counts.
fn transactions(servers: &Servers, node: usize) -> u64 {
    let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'craftx'";
    servers.sql(node, sql).unwrap().parse().unwrap()
}

#[test]
fn reads_see_what_was_written_and_read_while_replicas_lag() {
    if !postgres_is_there("replicas that lag") {
        return;
    }
    let trial = Trial::new("reads from replicas that lag");
    let servers = Servers::start(&PostgresOptions { replicas: 2, ..PostgresOptions::default() });
    let schema = fresh_schema();
    let make = || open(config(&servers.url(), &schema));
    let (writer, other, careless) = (make(), make(), make());
    let handles = [&writer, &other, &careless];
    servers.wait_for_replicas();
    let before: u64 = [1, 2].map(|node| transactions(&servers, node)).iter().sum();
    let (ends, counts, reads) = (AtomicBool::new(false), Counts::default(), times(20_000, 1_000_000));
    thread::scope(|scope| {
        let lags = scope.spawn(|| lag(&servers, trial.seed, &ends, &counts));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let counts = &counts;
                scope.spawn(move || write_and_read(handles, thread, reads / THREADS, counts))
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ends.store(true, Ordering::Relaxed);
        lags.join().unwrap();
        results.into_iter().for_each(|result| result.unwrap());
    });
    // A session counts what it has done when it ends, at the latest.
    handles.iter().for_each(|handle| block_on(handle.close(&within(60_000))).unwrap());
    eventually("the sessions end", || [1, 2].iter().all(|node| servers.backends(*node).is_empty()));
    let from_replicas = [1, 2].map(|node| transactions(&servers, node)).iter().sum::<u64>() - before;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (reads, old) = (count(&counts.reads), count(&counts.old));
    trial.told(format_args!(
        "{reads} reads, {from_replicas} transactions on replicas, which were stopped {} times; {old} reads of those who do \
         not care were old",
        count(&counts.behind)
    ));
    assert!(old > 0, "the replicas were never behind");
    assert!(from_replicas * 5 > reads, "few reads went to replicas: {from_replicas} of {reads}");
}
