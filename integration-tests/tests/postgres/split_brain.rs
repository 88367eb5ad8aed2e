//! Two servers that take writes: the one that was replaced gets none, and where nobody can tell which one that is, neither
//! does.

use std::time::Duration;

use craftx_core::{Backend, Error, ErrorKind, Node, Outcome, Prepare, Token};
use craftx_integration_tests::servers::{Fault, Postgres as Servers, PostgresOptions, Proxy, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::support::{
    cluster, config, cx, eventually, fresh_schema, message, open, texts, url_of_ports, within, write,
};

/// How many handles are opened while two servers take writes. Which server answers first is chance.
const FRESH: u64 = 4;

fn write_one(store: &Postgres, number: u64) -> craftx_core::Result<Option<Token>> {
    let written = block_on(write(store, &within(20_000), "a", &[message(number, &format!("m{number}"))]))?;
    Ok(written.token)
}

/// Three servers, of which the second has replaced the first, the name of the schema, and a handle that lived through it. All
/// have the message that was written before, and nobody has told the third.
fn replaced() -> (Servers, String, Postgres) {
    let mut servers = Servers::start(&PostgresOptions { replicas: 2, ..PostgresOptions::default() });
    let schema = fresh_schema();
    let lived = open(config(&servers.url(), &schema));
    write_one(&lived, 1).unwrap();
    servers.wait_for_replicas();
    servers.kill9(0);
    servers.promote(1);
    (servers, schema, lived)
}

/// How many messages a server has, whoever wrote them there.
fn messages(servers: &Servers, node: usize, schema: &str) -> u64 {
    servers.sql(node, &format!("SELECT count(*) FROM {schema}.messages")).unwrap().parse().unwrap()
}

fn node_on(store: &Postgres, port: u16) -> Node {
    let status = block_on(store.status(&cx())).unwrap();
    status.nodes.into_iter().find(|node| node.name.ends_with(&format!(":{port}"))).unwrap()
}

#[test]
fn a_primary_that_was_replaced_and_comes_back_gets_no_write() {
    if !postgres_is_there("a primary that comes back") {
        return;
    }
    let (mut servers, schema, lived) = replaced();
    servers.follow(2, 1);
    let token = write_one(&lived, 2).unwrap();
    // By mistake. It knows nothing of its successor, and takes writes.
    servers.start_node(0);
    servers.sql(0, "CREATE TABLE mistake (a int)").unwrap();
    assert_eq!(messages(&servers, 0, &schema), 1);

    let said = || node_on(&lived, servers.port(0));
    eventually("the handle that lived through it says so", || said().role == "outdated");
    assert!(said().problem.is_some_and(|problem| problem.contains("stop it")), "{:?}", said());
    for number in 10..30 {
        write_one(&lived, number).unwrap();
    }

    // The old one answers at once, its successor takes a while, and no other one tells.
    let slow = Proxy::new(servers.port(1));
    let url = url_of_ports(&[servers.port(0), slow.port()]);
    for number in 0..FRESH {
        slow.set(if number % 2 == 0 { Fault::Delay(Duration::from_millis(100)) } else { Fault::None });
        let fresh = open(config(&url, &schema));
        assert_eq!(block_on(texts(&fresh, &cx(), "a")).unwrap().len() as u64, 22 + number, "it reads what is true");
        write_one(&fresh, 100 + number).unwrap();
        let old = node_on(&fresh, servers.port(0));
        assert!(old.role == "outdated" && old.problem.is_some(), "{old:?}");
        block_on(fresh.close(&cx())).unwrap();
        // Nor does it get a store.
        let (other, is_there) = (fresh_schema(), "SELECT count(*) FROM pg_namespace WHERE nspname");
        block_on(open(config(&url, &other)).close(&cx())).unwrap();
        let made = [0, 1].map(|node| servers.sql(node, &format!("{is_there} = '{other}'")).unwrap());
        assert_eq!(made, ["0", "1"], "a store was made on the old primary");
    }
    assert_eq!(messages(&servers, 0, &schema), 1, "the old primary has a new row");
    assert_eq!(messages(&servers, 1, &schema), 22 + FRESH);

    only_a_token_tells(&servers, &schema, token);

    // Made a replica of its successor, it is read from as any other.
    servers.rewind(0, 1);
    eventually("it is a replica", || node_on(&lived, servers.port(0)).role == "replica");
    write_one(&lived, 500).unwrap();
    servers.wait_for_replicas();
    assert_eq!(messages(&servers, 0, &schema), 23 + FRESH);
}

/// A handle that sees the old primary only, and knows nothing but a token that somebody gave it.
fn only_a_token_tells(servers: &Servers, schema: &str, token: Option<Token>) {
    let fresh = open(config(&servers.url_of(0), schema));
    let record = [message(400, "lost")];
    let refused = block_on(write(&fresh, &within(1_000).with_token(token), "a", &record)).unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied), "{refused:?}");
    assert!(refused.to_string().contains("was replaced"), "{refused}");
    assert_eq!(messages(servers, 0, schema), 1);
}

#[test]
fn a_forged_token_harms_no_call_but_its_own() {
    if !postgres_is_there("a forged token") {
        return;
    }
    let store = open(config(&cluster().url(), &fresh_schema()));
    let token = write_one(&store, 1).unwrap().unwrap().0;
    // Its three parts: which cluster, which timeline, and how far.
    let parts: Vec<&str> = token.splitn(4, '-').collect();
    let forged = |timeline: &str, position: &str| Some(Token(format!("pg-{}-{timeline}-{position}", parts[1])));
    let later = within(1_000).with_token(forged("ffffffff", parts[3]));
    let refused = block_on(write(&store, &later, "a", &[message(2, "m2")])).unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied), "{refused:?}");
    // The primary has everything, whatever a token says.
    let farther = within(5_000).with_token(forged(parts[2], "ffffffffffffffff"));
    assert_eq!(block_on(texts(&store, &farther, "a")).unwrap(), ["m1"]);
    write_one(&store, 3).unwrap();
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap(), ["m1", "m3"]);
    assert!(block_on(store.status(&cx())).unwrap().nodes.iter().all(|node| node.role != "outdated"));
}

#[test]
fn two_primaries_of_one_timeline_get_no_writes() {
    if !postgres_is_there("two primaries of one timeline") {
        return;
    }
    let (mut servers, schema, lived) = replaced();
    servers.promote(2);

    let refused = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("two servers take writes on the same timeline"), "{error}");
    };
    // The first write may come before the second promotion was noticed, which takes one look.
    eventually("it is noticed", || block_on(lived.status(&within(500))).is_err());
    let error = block_on(write(&lived, &within(1_000), "a", &[message(2, "x")])).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    refused(error);
    let slow = Proxy::new(servers.port(1));
    let url = url_of_ports(&[servers.port(0), slow.port(), servers.port(2)]);
    for number in 0..FRESH {
        slow.set(if number % 2 == 0 { Fault::Delay(Duration::from_millis(100)) } else { Fault::None });
        let fresh = Postgres::new(config(&url, &schema)).unwrap();
        refused(block_on(fresh.prepare(&within(3_000), Prepare::Open)).unwrap_err());
    }
    assert_eq!([messages(&servers, 1, &schema), messages(&servers, 2, &schema)], [1, 1]);

    // Somebody has decided.
    servers.stop(2);
    write_one(&lived, 3).unwrap();
    assert_eq!(messages(&servers, 1, &schema), 2);
}

/// It replays what the old primary writes, and so is as far in the log as anybody asks for, in another history.
#[test]
fn a_replica_of_the_primary_that_was_replaced_is_not_read_from() {
    if !postgres_is_there("a replica of a primary that was replaced") {
        return;
    }
    let (mut servers, _, lived) = replaced();
    write_one(&lived, 2).unwrap();
    // Nobody has told the other replica.
    servers.start_node(0);
    servers.sql(0, "SELECT pg_logical_emit_message(false, 'x', repeat('x', 20000000))").unwrap();
    eventually("it follows the old one", || {
        servers.sql(2, "SELECT sender_port FROM pg_stat_wal_receiver").unwrap() == servers.port(0).to_string()
    });
    servers.wait_for_replicas();
    for number in 3..40 {
        write_one(&lived, number).unwrap();
        let found = block_on(texts(&lived, &cx(), "a")).unwrap();
        assert_eq!(found.len() as u64, number, "what was written is not read");
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = node_on(&lived, servers.port(2));
    assert!(told.role == "replica" && told.problem.is_some(), "{told:?}");
    servers.rewind(2, 1);
    eventually("it is as any other", || node_on(&lived, servers.port(2)).problem.is_none());
}
