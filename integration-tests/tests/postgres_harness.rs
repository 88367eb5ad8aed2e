//! That the servers of `craftx_integration_tests::servers` do what tests rely on: replicas follow, a primary that comes back
//! is a second primary until it is rewound, and a proxy does to connections what it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![cfg(unix)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use craftx_integration_tests::servers::{
    Fault, PgBouncer, Postgres, PostgresOptions, Proxy, pgbouncer_is_there, postgres_is_there,
};

fn count(postgres: &Postgres, node: usize) -> String {
    postgres.sql(node, "SELECT count(*) FROM t").unwrap()
}

/// The first eight digits of the name of a file of the log are its timeline.
fn timeline(postgres: &Postgres, node: usize) -> String {
    postgres.sql(node, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)").unwrap()
}

#[test]
fn a_cluster_fails_over_splits_and_heals() {
    if !postgres_is_there("a cluster that fails over") {
        return;
    }
    let mut postgres = Postgres::start(&PostgresOptions { replicas: 2, ..PostgresOptions::default() });
    assert_eq!(postgres.url().matches("127.0.0.1:").count(), 3);
    postgres.sql(0, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)").unwrap();
    postgres.wait_for_replicas();
    assert_eq!([count(&postgres, 1), count(&postgres, 2)], ["1", "1"]);
    let refused = postgres.sql(1, "INSERT INTO t VALUES (0)").unwrap_err();
    assert!(refused.contains("25006"), "{refused}");

    // A replica that lags, on demand.
    postgres.pause_replay(2, true);
    postgres.sql(0, "INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(count(&postgres, 2), "1");
    postgres.pause_replay(2, false);
    postgres.wait_for_replicas();
    assert_eq!(count(&postgres, 2), "2");

    // Failover.
    postgres.kill9(0);
    postgres.sql(0, "SELECT 1").unwrap_err();
    postgres.promote(1);
    postgres.follow(2, 1);
    postgres.sql(1, "INSERT INTO t VALUES (3)").unwrap();
    postgres.wait_for_replicas();
    assert_eq!(count(&postgres, 2), "3");

    // The old primary knows nothing of it.
    postgres.start_node(0);
    postgres.sql(0, "INSERT INTO t VALUES (100), (101)").unwrap();
    for node in [0, 1] {
        assert_eq!(postgres.sql(node, "SELECT pg_is_in_recovery()").unwrap(), "f");
    }
    assert_eq!([timeline(&postgres, 0), timeline(&postgres, 1)], ["00000001", "00000002"]);
    assert_eq!([count(&postgres, 0), count(&postgres, 1)], ["4", "3"]);

    postgres.rewind(0, 1);
    postgres.sql(1, "INSERT INTO t VALUES (4)").unwrap();
    postgres.wait_for_replicas();
    assert_eq!(postgres.sql(0, "SELECT pg_is_in_recovery()").unwrap(), "t");
    assert_eq!(postgres.sql(0, "SELECT string_agg(a::text, ',' ORDER BY a) FROM t").unwrap(), "1,2,3,4");
    let folder = postgres.folder().to_owned();
    drop(postgres);
    assert!(!folder.exists());
}

#[test]
fn a_commit_waits_for_its_replica_and_connections_may_be_encrypted() {
    if !postgres_is_there("a synchronous replica") {
        return;
    }
    let postgres = Postgres::start(&PostgresOptions {
        replicas: 1,
        synchronous_standby_names: "ANY 1 (n1)".to_owned(),
        tls: true,
        extra: vec![("work_mem".to_owned(), "5MB".to_owned())],
        ..PostgresOptions::default()
    });
    let session = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(postgres.sql(0, session).unwrap(), "t|TLSv1.3");
    assert!(postgres.ca().is_file() && postgres.other_ca().is_file());
    assert_eq!(postgres.sql(1, "SHOW work_mem").unwrap(), "5MB");
    assert_eq!(postgres.sql(0, "SELECT sync_state FROM pg_stat_replication").unwrap(), "quorum");

    postgres.sql(0, "CREATE TABLE t (a int)").unwrap();
    postgres.freeze(1, true);
    std::thread::scope(|scope| {
        let write = scope.spawn(|| postgres.sql(0, "INSERT INTO t VALUES (1)"));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let began = Instant::now();
        while postgres.sql(0, waits).unwrap() != "1" {
            assert!(!write.is_finished() && began.elapsed() < Duration::from_secs(30));
        }
        assert_eq!(postgres.backends(0).len(), 1);
        postgres.freeze(1, false);
        write.join().unwrap().unwrap();
    });
    // It can be dropped while it is frozen.
    postgres.freeze(0, true);
}

#[test]
fn a_transaction_pool_answers() {
    if !postgres_is_there("a transaction pool") || !pgbouncer_is_there("a transaction pool") {
        return;
    }
    let postgres = Postgres::start(&PostgresOptions::default());
    let proxy = Proxy::new(postgres.port(0));
    let pool = PgBouncer::start(proxy.port());
    let ask = |options: &str| {
        let mut psql = std::process::Command::new("psql");
        psql.args(["-X", "-At", "-c", "SELECT current_database()", "-d", &pool.url()]).env("PGOPTIONS", options);
        psql.output().unwrap()
    };
    assert_eq!(ask("").stdout, b"craftx\n", "{}", pool.log());
    assert!(proxy.round_trips() >= 1 && proxy.connections() >= 1);
    assert!(String::from_utf8_lossy(&ask("-c work_mem=5MB").stderr).contains("unsupported startup parameter"));
}

/// A server that answers what it hears, and tells what that was.
fn echo() -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears): (Sender<Vec<u8>>, _) = channel();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let heard = heard.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = client.read(&mut buffer) {
                    let _test_is_over = heard.send(buffer[..count].to_vec());
                    let _gone = client.write_all(&buffer[..count]);
                }
            });
        }
    });
    (port, hears)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    client
}

/// What comes back: the bytes; nothing at the end; an error if nothing comes.
fn ask(mut client: &TcpStream, question: &str) -> Result<String, ErrorKind> {
    client.write_all(question.as_bytes()).map_err(|error| error.kind())?;
    let mut buffer = [0; 1024];
    let count = client.read(&mut buffer).map_err(|error| error.kind())?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

/// Whether the connection was ended, in one of the ways in which a client may see that.
fn ended(answer: &Result<String, ErrorKind>) -> bool {
    match answer {
        Ok(text) => text.is_empty(),
        Err(kind) => matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted),
    }
}

#[test]
fn a_proxy_carries_bytes_and_counts_turns() {
    let (port, _hears) = echo();
    let proxy = Proxy::new(port);
    let client = connect(&proxy);
    for turns in 1..4 {
        assert_eq!(ask(&client, "a").unwrap(), "a");
        assert_eq!((proxy.round_trips(), proxy.connections(), proxy.fired()), (turns, 1, 0));
    }
    proxy.set(Fault::Delay(Duration::from_millis(30)));
    let began = Instant::now();
    assert_eq!(ask(&client, "b").unwrap(), "b");
    assert!(began.elapsed() >= Duration::from_millis(60), "there and back");
    drop(proxy);
    assert!(ended(&ask(&client, "c")));
}

#[test]
fn what_is_asked_together_is_one_turn() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::new(listener.local_addr().unwrap().port());
    let mut client = connect(&proxy);
    client.write_all(b"a").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut [0]).unwrap();
    client.write_all(b"b").unwrap();
    server.read_exact(&mut [0]).unwrap();
    server.write_all(b"answer").unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
    assert_eq!(proxy.round_trips(), 1);
}

#[test]
fn a_proxy_refuses_and_comes_back() {
    let (port, _hears) = echo();
    let proxy = Proxy::new(port);
    let before = connect(&proxy);
    assert_eq!(ask(&before, "a").unwrap(), "a");
    proxy.set(Fault::Refuse);
    assert!(ended(&ask(&before, "b")));
    assert!(ended(&ask(&connect(&proxy), "c")));
    proxy.set(Fault::None);
    assert_eq!(ask(&connect(&proxy), "d").unwrap(), "d");
}

#[test]
fn a_black_hole_answers_nothing() {
    let (port, hears) = echo();
    let proxy = Proxy::new(port);
    let [speaks, waits] = [connect(&proxy), connect(&proxy)];
    for client in [&speaks, &waits] {
        assert_eq!(ask(client, "a").unwrap(), "a");
    }
    proxy.set(Fault::BlackHole);
    let new = connect(&proxy);
    for client in [&speaks, &new] {
        assert_eq!(ask(client, "b").unwrap_err(), ErrorKind::WouldBlock);
    }
    proxy.set(Fault::None);
    assert_eq!(ask(&speaks, "c").unwrap_err(), ErrorKind::WouldBlock, "it has lost something");
    assert_eq!(ask(&waits, "d").unwrap(), "d");
    let heard: Vec<Vec<u8>> = hears.try_iter().collect();
    assert_eq!(heard, [b"a", b"a", b"d"]);
}

#[test]
fn a_half_closed_connection_still_asks() {
    let (port, hears) = echo();
    let proxy = Proxy::new(port);
    let client = connect(&proxy);
    assert_eq!(ask(&client, "a").unwrap(), "a");
    proxy.set(Fault::HalfClose);
    assert_eq!(ask(&client, "b").unwrap(), "");
    (&client).write_all(b"c").unwrap();
    for said in ["a", "b", "c"] {
        assert_eq!(hears.recv_timeout(Duration::from_secs(30)).unwrap(), said.as_bytes());
    }
    assert_eq!(proxy.fired(), 1);
    assert_eq!(ask(&connect(&proxy), "d").unwrap(), "d", "once");
}

#[test]
fn a_request_is_cut_off_before_or_after_the_server_has_it() {
    let (port, hears) = echo();
    let proxy = Proxy::new(port);
    let faults = [Fault::CutAfterRequest, Fault::CutBeforeAnswer, Fault::CutBeforeRequest];
    for (fired, fault) in (1..).zip(faults) {
        let client = connect(&proxy);
        assert_eq!(ask(&client, "a").unwrap(), "a");
        assert_eq!(hears.recv_timeout(Duration::from_secs(30)).unwrap(), b"a");
        proxy.set(fault);
        let answer = ask(&client, "b");
        assert!(ended(&answer), "{fault:?}: {answer:?}");
        let heard = hears.recv_timeout(Duration::from_millis(300)).is_ok();
        assert_eq!(heard, fault != Fault::CutBeforeRequest, "{fault:?}");
        assert_eq!(proxy.fired(), fired);
    }
    assert_eq!(ask(&connect(&proxy), "c").unwrap(), "c", "once");
}

#[test]
fn some_requests_are_cut_off_at_random() {
    let (port, hears) = echo();
    let proxy = Proxy::new(port);
    proxy.random_faults(7, 0.3);
    let answered = (0..100).filter(|_| !ended(&ask(&connect(&proxy), "a"))).count();
    proxy.random_faults(7, 0.0);
    let (cut, heard) = (100 - answered, hears.try_iter().count());
    assert_eq!(proxy.fired(), u64::try_from(cut).unwrap());
    assert!((10..60).contains(&cut) && answered < heard && heard < 100, "{answered} answered of {heard} heard");
}
