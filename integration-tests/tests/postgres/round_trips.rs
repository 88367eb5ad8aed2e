//! How often a call goes to the server and back, counted by a proxy in between.

use craftx_core::{Backend, MessageQuery, Record};
use craftx_integration_tests::servers::{PgBouncer, Proxy, pgbouncer_is_there, postgres_is_there};
use craftx_postgres::{Postgres, PostgresConfig};
use futures_executor::block_on;

use crate::support::{
    as_another_user, cluster, config, cx, fresh_schema, message, open, session, stamp, url_of_ports, write,
};

/// An open store of which nobody asks by the way what its server is.
fn quiet(mut config: PostgresConfig) -> Postgres {
    config.probe_ms = 3_600_000;
    let store = open(config.connections(1));
    let fifty: Vec<Record> = (0..50).map(|number| message(number, "hello")).collect();
    block_on(write(&store, &cx(), "a", &fifty)).unwrap();
    // Every statement has been prepared then.
    calls(&store, 100).iter().for_each(|(_, call)| call());
    store
}

/// How many round trips each kind of call is to take.
const EXPECTED: [(&str, u64); 5] = [
    ("an append", 1),
    ("an append to a new session", 1),
    ("the last 50", 1),
    ("a write that deletes", 2),
    ("a write that is known", 2),
];

/// A call of each kind, in the order of [`EXPECTED`].
fn calls(store: &Postgres, number: u64) -> Vec<(u64, Box<dyn Fn() + '_>)> {
    let append = move |to: String| {
        let written = block_on(write(store, &cx(), &to, &[message(number * 10, "one more")])).unwrap();
        assert_eq!(written.applied, Some(1));
    };
    let load = move || {
        let page = block_on(store.load(&cx(), &session("a"), &MessageQuery::newest_first().limit(50))).unwrap();
        assert_eq!(page.items.len(), 50);
    };
    let delete = move || {
        let deletion = Record::Deleted { id: stamp(number * 10), stamp: stamp(number * 10 + 1) };
        block_on(write(store, &cx(), "a", &[deletion])).unwrap();
    };
    let again = move || {
        let deletion = Record::Deleted { id: stamp(number * 10), stamp: stamp(number * 10 + 1) };
        assert_eq!(block_on(write(store, &cx(), "a", &[deletion])).unwrap().known, Some(1));
    };
    let calls: [Box<dyn Fn() + '_>; 5] = [
        Box::new(move || append("a".to_owned())),
        Box::new(move || append(format!("new{number}"))),
        Box::new(load),
        Box::new(delete),
        Box::new(again),
    ];
    EXPECTED.iter().map(|(_, turns)| *turns).zip(calls).collect()
}

fn take_as_many_as_promised(how: &str, proxy: &Proxy, store: &Postgres) {
    let connections = proxy.connections();
    for number in 200..205 {
        for ((name, _), (turns, call)) in EXPECTED.iter().zip(calls(store, number)) {
            let before = proxy.round_trips();
            call();
            assert_eq!(proxy.round_trips() - before, turns, "{name}, {how}");
        }
    }
    assert_eq!(proxy.connections(), connections, "{how}: there was a new connection");
}

#[test]
fn an_append_is_one_round_trip_and_so_is_a_page() {
    if !postgres_is_there("counting round trips") {
        return;
    }
    let proxy = Proxy::new(cluster().port(0));
    let url = url_of_ports(&[proxy.port()]);
    let store = quiet(config(&url, &fresh_schema()));
    take_as_many_as_promised("to a server", &proxy, &store);
    let store = quiet(config(&url, &fresh_schema()).search(false));
    take_as_many_as_promised("without an index for searching", &proxy, &store);
}

#[test]
fn row_level_security_takes_no_further_round_trips() {
    if !postgres_is_there("counting round trips with row-level security") {
        return;
    }
    let proxy = Proxy::new(cluster().port(0));
    let url = as_another_user(&url_of_ports(&[proxy.port()]));
    let store = quiet(config(&url, &fresh_schema()).row_security(true));
    take_as_many_as_promised("with row-level security", &proxy, &store);
}

#[test]
fn a_pooler_takes_no_further_round_trips() {
    let what = "counting round trips behind a pooler";
    if !postgres_is_there(what) || !pgbouncer_is_there(what) {
        return;
    }
    let pooler = PgBouncer::start(cluster().port(0));
    let proxy = Proxy::new(pooler.port());
    let store = quiet(config(&url_of_ports(&[proxy.port()]), &fresh_schema()));
    take_as_many_as_promised("behind a pooler", &proxy, &store);
}

/// With replicas a write also says how far the primary is, and a read from a replica how far that one is.
#[test]
fn replicas_take_no_further_round_trips() {
    if !postgres_is_there("counting round trips with replicas") {
        return;
    }
    let (primary, replica) = (Proxy::new(cluster().port(0)), Proxy::new(cluster().port(1)));
    let store = quiet(config(&url_of_ports(&[primary.port(), replica.port()]), &fresh_schema()));
    let append = |number| drop(block_on(write(&store, &cx(), "b", &[message(number, "hello")])).unwrap());
    append(1);
    for number in 2..10 {
        let before = primary.round_trips();
        append(number);
        assert_eq!(primary.round_trips() - before, 1, "an append");
        cluster().wait_for_replicas();
        let before = primary.round_trips() + replica.round_trips();
        let page = block_on(store.load(&cx(), &session("b"), &MessageQuery::newest_first().limit(50))).unwrap();
        assert_eq!(page.items.len() as u64, number);
        assert_eq!(primary.round_trips() + replica.round_trips() - before, 1, "a page");
    }
}
