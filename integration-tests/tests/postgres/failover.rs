//! The primary is killed under sixteen writers and a replica promoted, again and again: with synchronous replication nothing
//! that was acknowledged is lost, nothing is there twice, and all goes on with the same handle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use craftx_core::{Acknowledgement, Backend, Message, Record, Role, Stamp};
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::size::{Trial, times};
use crate::support::{config, cx, eventually, fresh_schema, open, texts, within, write};

const WRITERS: u64 = 16;
/// Some writers share one with another.
const SESSIONS: u64 = 12;
/// How soon after a promotion writes have to be acknowledged again.
const SOON: Duration = Duration::from_secs(5);

/// What writers were told.
#[derive(Default)]
struct Writers {
    stop: AtomicBool,
    tick: AtomicU64,
    /// What was acknowledged, of each session.
    acknowledged: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// When each writer was last told that a write is done.
    last: Mutex<BTreeMap<u64, Instant>>,
    failed: AtomicU64,
}

impl Writers {
    fn write(&self, store: &Postgres, writer: u64) {
        let session = format!("s{}", writer % SESSIONS);
        for number in 0.. {
            let tick = self.tick.fetch_add(1, Ordering::Relaxed);
            let text = format!("{writer}.{number}");
            let id = Stamp::mint(1_700_000_000_000 + tick, None, u128::from(writer)).unwrap();
            let record = [Record::Message(Message::new(id, Role::User, text.as_str()))];
            while let Err(error) = block_on(write(store, &within(30_000), &session, &record)) {
                eprintln!("{error:?}");
                self.failed.fetch_add(1, Ordering::Relaxed);
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
            }
            self.last.lock().unwrap().insert(writer, Instant::now());
            self.acknowledged.lock().unwrap().entry(session.clone()).or_default().insert(text);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Whether every writer was told of a write since then.
    fn all_go_on(&self, since: Instant) -> bool {
        let last = self.last.lock().unwrap();
        last.len() as u64 == WRITERS && last.values().all(|at| *at > since)
    }
}

/// Which of two replicas has more: with it, everything that any of them has confirmed.
fn ahead(servers: &Servers, replicas: [usize; 2]) -> [usize; 2] {
    let [one, other] = replicas;
    let has = |node| servers.sql(node, "SELECT pg_last_wal_receive_lsn() - '0/0'").unwrap().parse::<u64>().unwrap();
    if has(one) >= has(other) { [one, other] } else { [other, one] }
}

/// Kills the primary `rounds` times; how long it took at most until all writers went on after a promotion.
fn fail_over(servers: &mut Servers, writers: &Writers, rounds: u64, lagging: bool) -> Duration {
    let (mut primary, mut longest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let began = Instant::now();
        eventually("all write", || writers.all_go_on(began));
        thread::sleep(Duration::from_millis(200));
        let replicas = [(primary + 1) % 3, (primary + 2) % 3];
        if lagging {
            // For a moment nothing leaves the primary.
            let senders = servers.sql(primary, "SELECT pid FROM pg_stat_replication").unwrap();
            senders.lines().for_each(|pid| Servers::freeze_process(pid.parse().unwrap(), true));
            thread::sleep(Duration::from_millis(100));
        }
        servers.kill9(primary);
        let [next, other] = ahead(servers, replicas);
        let promoting = Instant::now();
        servers.promote(next);
        let promoted = Instant::now();
        servers.follow(other, next);
        eventually("all go on", || writers.all_go_on(promoting));
        longest = longest.max(promoted.elapsed());
        assert!(promoted.elapsed() < SOON, "round {round}: it took {:?} until all went on", promoted.elapsed());
        servers.rewind(primary, next);
        primary = next;
    }
    longest
}

/// What a server holds, as `psql` sees it: session, identity and text of each message.
fn rows(servers: &Servers, node: usize, schema: &str) -> Vec<String> {
    let sql = format!(
        "SELECT s.id || ' ' || convert_from(m.text, 'UTF8') FROM {schema}.messages m JOIN {schema}.sessions s USING (tid, sid)
         ORDER BY 1"
    );
    servers.sql(node, &sql).unwrap().lines().map(str::to_owned).collect()
}

/// How many acknowledged messages a cluster has lost. That nothing is there twice, or differs between the servers, is
/// checked on the way.
fn lost(servers: &Servers, schema: &str, store: &Postgres, writers: &Writers) -> usize {
    servers.wait_for_replicas();
    let all: Vec<Vec<String>> = (0..3).map(|node| rows(servers, node, schema)).collect();
    assert!(all[0] == all[1] && all[1] == all[2], "the servers differ");
    let mut read = Vec::new();
    for session in 0..SESSIONS {
        let found = block_on(texts(store, &cx(), &format!("s{session}"))).unwrap();
        read.extend(found.into_iter().map(|text| format!("s{session} {text}")));
    }
    read.sort();
    assert_eq!(read, all[0], "the store reads something else than `psql`");
    let once: BTreeSet<&String> = read.iter().collect();
    assert_eq!(once.len(), read.len(), "messages are there twice");
    let acknowledged = writers.acknowledged.lock().unwrap();
    let told =
        acknowledged.iter().flat_map(|(session, texts)| texts.iter().map(move |text| format!("{session} {text}")));
    told.filter(|message| !once.contains(message)).count()
}

/// Runs the writers over a cluster whose primary is killed, and counts what is lost.
fn run(name: &str, synchronous: &str, rounds: u64, expected: (Acknowledgement, bool)) -> usize {
    let trial = Trial::new(name);
    let mut servers = Servers::start(&PostgresOptions {
        replicas: 2,
        fsync: true,
        synchronous_standby_names: synchronous.to_owned(),
        ..PostgresOptions::default()
    });
    let schema = fresh_schema();
    let store = open(config(&servers.url(), &schema).connections(WRITERS as u32));
    let levels = || {
        let capabilities = store.capabilities();
        (capabilities.acknowledgement.unwrap(), capabilities.mirrored_later)
    };
    assert_eq!(levels(), expected);
    let writers = Writers::default();
    let longest = thread::scope(|scope| {
        (0..WRITERS).for_each(|writer| {
            drop(scope.spawn({
                let (writers, store) = (&writers, &store);
                move || writers.write(store, writer)
            }))
        });
        // Writers end too when a round fails.
        let longest = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fail_over(&mut servers, &writers, rounds, synchronous.is_empty())
        }));
        writers.stop.store(true, Ordering::Relaxed);
        longest.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert_eq!(levels(), expected);
    let lost = lost(&servers, &schema, &store, &writers);
    let acknowledged: usize = writers.acknowledged.lock().unwrap().values().map(BTreeSet::len).sum();
    assert!(acknowledged as u64 > rounds * WRITERS, "{acknowledged}");
    let failed = writers.failed.load(Ordering::Relaxed);
    trial.told(format_args!(
        "{rounds} failovers, {acknowledged} acknowledged, {lost} of them lost, {failed} calls failed, all writers went on \
         {} ms after a promotion at the latest",
        longest.as_millis()
    ));
    assert_eq!(failed, 0, "a call outlives a failover");
    lost
}

#[test]
fn a_failover_with_synchronous_replication_loses_nothing() {
    if !postgres_is_there("a failover with synchronous replication") {
        return;
    }
    let expected = (Acknowledgement::Standby, false);
    let lost = run("failover, synchronous", "ANY 1 (n0, n1, n2)", times(5, 200), expected);
    assert_eq!(lost, 0, "acknowledged messages are lost");
}

/// What is lost depends on how far the replicas were behind, so it is only told.
#[test]
fn what_a_failover_with_asynchronous_replication_loses_is_declared() {
    if !postgres_is_there("a failover with asynchronous replication") {
        return;
    }
    let lost = run("failover, asynchronous", "", times(1, 20), (Acknowledgement::Primary, true));
    eprintln!("asynchronous replication lost {lost} acknowledged messages");
}
