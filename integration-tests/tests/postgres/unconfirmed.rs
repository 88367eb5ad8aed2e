//! A commit that no standby has confirmed, because somebody cancelled the wait for it, is not acknowledged.

use std::thread;
use std::time::{Duration, Instant};

use craftx_core::{Error, ErrorKind, Outcome, Record, Retry, Written};
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::support::{config, cx, eventually, fresh_schema, message, open, stamp, texts, within, write};

/// Sessions that have committed and wait for a standby.
const WAITING: &str = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

fn waits(servers: &Servers) -> bool {
    servers.sql(0, &format!("SELECT count(*) {WAITING}")).unwrap() != "0"
}

/// Cancels the wait, as an impatient administrator does: the commit stands, and nobody but this server has it.
fn cancel(servers: &Servers) {
    eventually("the write waits for a standby", || waits(servers));
    let cancelled = servers.sql(0, &format!("SELECT count(pg_cancel_backend(pid)) {WAITING}")).unwrap();
    assert_ne!(cancelled, "0");
}

/// A store whose writes wait for one of two standbys, which are both gone.
fn without_standbys() -> (Servers, String, Postgres) {
    let mut servers = Servers::start(&PostgresOptions {
        replicas: 2,
        synchronous_standby_names: "ANY 1 (n1, n2)".to_owned(),
        ..PostgresOptions::default()
    });
    let schema = fresh_schema();
    let store = open(config(&servers.url(), &schema));
    block_on(write(&store, &cx(), "a", &[message(1, "before")])).unwrap();
    servers.stop(1);
    servers.stop(2);
    (servers, schema, store)
}

fn stand_by(servers: &mut Servers) {
    servers.start_node(1);
    servers.start_node(2);
}

/// Writes while the wait is cancelled twice: the write must not return before there is a standby again.
fn is_acknowledged_late(servers: &mut Servers, store: &Postgres, records: &[Record]) -> Result<Written, Error> {
    thread::scope(|scope| {
        let write = scope.spawn(|| {
            let written = block_on(write(store, &within(120_000), "a", records));
            (written, Instant::now())
        });
        for _ in 0..2 {
            cancel(servers);
            // It tries again, and waits again.
            thread::sleep(Duration::from_millis(300));
            assert!(!write.is_finished(), "a write that only the primary has was acknowledged");
        }
        let began = Instant::now();
        stand_by(servers);
        let (written, at) = write.join().unwrap();
        assert!(at > began, "it was acknowledged before there was a standby");
        written
    })
}

#[test]
fn a_cancelled_wait_for_a_standby_acknowledges_nothing() {
    if !postgres_is_there("a cancelled wait for a standby") {
        return;
    }
    let (mut servers, schema, store) = without_standbys();
    is_acknowledged_late(&mut servers, &store, &[message(2, "once")]).unwrap();
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap(), ["before", "once"]);

    // A transaction of several statements.
    servers.stop(1);
    servers.stop(2);
    let deletion = Record::Deleted { id: stamp(2), stamp: stamp(3) };
    is_acknowledged_late(&mut servers, &store, &[deletion]).unwrap();
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap(), ["before"]);
    servers.wait_for_replicas();
    for node in 0..3 {
        assert_eq!(servers.sql(node, &format!("SELECT count(*) FROM {schema}.messages")).unwrap(), "1");
    }
}

#[test]
fn what_timed_out_for_want_of_a_standby_is_written_once() {
    if !postgres_is_there("a write without a standby") {
        return;
    }
    let (mut servers, schema, store) = without_standbys();
    let late = |records: &[Record], cancelled: bool| {
        thread::scope(|scope| {
            let write = scope.spawn(|| block_on(write(&store, &within(1_500), "a", records)).unwrap_err());
            if cancelled {
                cancel(&servers);
            }
            let error = write.join().unwrap();
            assert_eq!((error.outcome(), error.retry()), (Outcome::Unknown, Retry::Later), "{error:?}");
            assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error:?}");
        });
    };
    let [hung, cancelled] = [[message(2, "hung")], [message(3, "cancelled")]];
    late(&hung, false);
    late(&cancelled, true);
    // The primary has it already, and a new handle cannot know that nobody else has.
    late(&cancelled, false);
    let fresh = open(config(&servers.url(), &schema));
    let unconfirmed = block_on(write(&fresh, &within(1_500), "a", &cancelled)).unwrap_err();
    assert_eq!(unconfirmed.outcome(), Outcome::Unknown, "{unconfirmed:?}");

    stand_by(&mut servers);
    for (records, known) in [(&hung, None), (&cancelled, Some(1))] {
        let written = block_on(write(&store, &cx(), "a", records)).unwrap();
        assert!(known.is_none() || written.known == known, "{written:?}");
    }
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap(), ["before", "hung", "cancelled"]);
    let stamps = format!("SELECT count(*), count(DISTINCT stamp) FROM {schema}.messages");
    assert_eq!(servers.sql(0, &stamps).unwrap(), "3|3");
}
