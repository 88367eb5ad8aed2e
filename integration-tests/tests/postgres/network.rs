//! A network between the store and the primary that delays, loses, cuts and refuses: every call ends by its deadline, a
//! dead connection costs one call at most, and when the network is well again so is the store.

use std::thread;
use std::time::{Duration, Instant};

use craftx_core::{Backend, Error, ErrorKind, MessageQuery, Result};
use craftx_integration_tests::servers::{Fault, Proxy, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::support::{
    cluster, config, cx, eventually, fresh_schema, message, open, session, texts, url_of_ports, within, write,
};

/// What calls are given.
const DEADLINE: Duration = Duration::from_millis(1_000);
/// How late a call may end on a machine that is busy.
const SLACK: Duration = Duration::from_millis(1_000);
/// How many connections the store may have to a server.
const CONNECTIONS: usize = 4;

/// A store behind a proxy, with all its connections made.
pub(crate) fn behind(proxy: &Proxy) -> Postgres {
    let store = open(config(&url_of_ports(&[proxy.port()]), &fresh_schema()).connections(CONNECTIONS as u32));
    block_on(write(&store, &cx(), "a", &[message(0, "m0")])).unwrap();
    store
}

/// One call after the other, of both kinds, in several threads, each with a message of its own: what failed. Every call has
/// to end by its deadline.
pub(crate) fn calls(store: &Postgres, from: u64, each: u64) -> Vec<Error> {
    let timed = |call: &mut dyn FnMut() -> Result<()>| {
        let began = Instant::now();
        let done = call();
        assert!(began.elapsed() < DEADLINE + SLACK, "a call took {:?}: {done:?}", began.elapsed());
        done.err()
    };
    let one = |thread: u64| {
        let mut failed = Vec::new();
        for number in 0..each {
            let number = from + thread * each + number;
            let record = [message(number, &format!("m{number}"))];
            let cx = || within(DEADLINE.as_millis() as u64);
            let id = format!("t{thread}");
            failed.extend(timed(&mut || block_on(write(store, &cx(), &id, &record)).map(drop)));
            failed.extend(timed(&mut || {
                block_on(store.load(&cx(), &session("a"), &MessageQuery::newest_first().limit(5))).map(drop)
            }));
        }
        failed
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS as u64).map(|thread| scope.spawn(move || one(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// All calls work again, as soon as the store has noticed that they do.
pub(crate) fn is_well(store: &Postgres) {
    eventually("a write works again", || block_on(write(store, &within(1_000), "b", &[message(1, "m1")])).is_ok());
    let failed = calls(store, 1_000, 5);
    assert!(failed.is_empty(), "{failed:?}");
}

fn are_told_as_such(failed: &[Error]) {
    for error in failed {
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error:?}");
    }
}

#[test]
fn a_slow_network_is_only_slow() {
    if !postgres_is_there("a slow network") {
        return;
    }
    let proxy = Proxy::new(cluster().port(0));
    let store = behind(&proxy);
    proxy.set(Fault::Delay(Duration::from_millis(50)));
    assert!(calls(&store, 1, 3).is_empty());
    // Slower than calls can wait for.
    proxy.set(Fault::Delay(Duration::from_millis(700)));
    let failed = calls(&store, 100, 1);
    assert_eq!(failed.len(), 2 * CONNECTIONS, "{failed:?}");
    are_told_as_such(&failed);
    proxy.set(Fault::None);
    is_well(&store);
}

#[test]
fn a_black_hole_costs_calls_their_deadline_and_nothing_else() {
    if !postgres_is_there("a black hole") {
        return;
    }
    let proxy = Proxy::new(cluster().port(0));
    let store = behind(&proxy);
    proxy.set(Fault::BlackHole);
    are_told_as_such(&calls(&store, 1, 2));
    proxy.set(Fault::None);
    is_well(&store);
    // Connections on which somebody spoke meanwhile are dead, and each of them costs one call at most.
    proxy.set(Fault::BlackHole);
    let spoke = calls(&store, 100, 1);
    proxy.set(Fault::None);
    let failed = calls(&store, 200, 20);
    assert!(failed.len() <= 2 * CONNECTIONS, "{} calls failed after {}: {failed:?}", failed.len(), spoke.len());
    is_well(&store);
}

#[test]
fn a_connection_that_is_cut_costs_no_call() {
    if !postgres_is_there("connections that are cut") {
        return;
    }
    let proxy = Proxy::new(cluster().port(0));
    let store = behind(&proxy);
    let faults = [Fault::CutAfterRequest, Fault::CutBeforeRequest, Fault::CutBeforeAnswer, Fault::HalfClose];
    for (number, fault) in (1..).zip(faults.into_iter().cycle().take(20)) {
        let fired = proxy.fired();
        proxy.set(fault);
        let failed = calls(&store, number * 1_000, 2);
        assert!(failed.is_empty(), "{fault:?}: {failed:?}");
        assert_eq!(proxy.fired(), fired + 1);
    }
    let mut found: Vec<String> = Vec::new();
    for thread in 0..CONNECTIONS {
        found.extend(block_on(texts(&store, &cx(), &format!("t{thread}"))).unwrap());
    }
    assert_eq!(found.len(), 20 * 2 * CONNECTIONS, "each is there once");
}

#[test]
fn who_refuses_connections_is_waited_for_until_the_deadline() {
    if !postgres_is_there("a server that refuses connections") {
        return;
    }
    let proxy = Proxy::new(cluster().port(0));
    let store = behind(&proxy);
    proxy.set(Fault::Refuse);
    let failed = calls(&store, 1, 1);
    assert_eq!(failed.len(), 2 * CONNECTIONS);
    assert!(failed.iter().all(|error| error.kind() == ErrorKind::Unavailable), "{failed:?}");
    // A call that waits for it does not fail.
    thread::scope(|scope| {
        let waits = scope.spawn(|| block_on(write(&store, &within(20_000), "c", &[message(1, "waits")])));
        thread::sleep(Duration::from_millis(300));
        assert!(!waits.is_finished());
        proxy.set(Fault::None);
        waits.join().unwrap().unwrap();
    });
    is_well(&store);
}
