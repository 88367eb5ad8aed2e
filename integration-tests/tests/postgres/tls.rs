//! Connections that are encrypted, to a server that is the one which was asked for.

use std::net::{TcpListener, TcpStream};
use std::thread;

use craftx_core::{Backend, Error, ErrorKind, Prepare};
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use craftx_postgres::{Postgres, PostgresConfig, SslMode};
use futures_executor::block_on;

use crate::support::{config, cx, fresh_schema, message, texts, within, write};

fn refusal(config: PostgresConfig) -> Error {
    let store = Postgres::new(config).unwrap();
    block_on(store.prepare(&within(3_000), Prepare::Migrate)).unwrap_err()
}

fn config_at(url: &str) -> PostgresConfig {
    config(url, &fresh_schema()).sslmode(SslMode::VerifyFull)
}

fn encrypted(servers: &Servers) -> PostgresConfig {
    config_at(&servers.url())
}

/// A port of another address of this machine that leads to a port of the usual one.
fn forwarded(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let other = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in [(&client, &server), (&server, &client)].map(|(a, b)| (again(a), again(b))) {
                thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    other
}

fn again(stream: &TcpStream) -> TcpStream {
    stream.try_clone().unwrap()
}

#[test]
fn only_a_server_for_which_somebody_vouches_is_talked_to() {
    if !postgres_is_there("TLS") {
        return;
    }
    let servers = Servers::start(&PostgresOptions { tls: true, ..PostgresOptions::default() });
    let config = encrypted(&servers).sslrootcert(servers.ca());
    let store = crate::support::open(config.clone());
    block_on(write(&store, &cx(), "a", &[message(1, "hello")])).unwrap();
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap(), ["hello"]);
    let plain = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl
                 JOIN pg_stat_activity USING (pid) WHERE application_name = 'craftx'";
    let counts = servers.sql(0, plain).unwrap();
    assert!(counts.ends_with("|0") && !counts.starts_with('0'), "{counts}");

    let error = refusal(encrypted(&servers).sslrootcert(servers.other_ca()));
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("cannot be verified"), "{error}");
    // The certificate of the server names other hosts.
    let elsewhere = config_at(&format!("postgres://craftx:pw@127.0.0.2:{}/craftx", forwarded(servers.port(0))));
    let error = refusal(elsewhere.sslrootcert(servers.ca()));
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("cannot be verified"), "{error}");
    let error = refusal(encrypted(&servers).sslrootcert(servers.folder().join("none.crt")));
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:?}");
}

#[test]
fn a_server_without_encryption_is_refused() {
    if !postgres_is_there("a server without TLS") {
        return;
    }
    let plain = crate::support::cluster();
    let with_tls = Servers::start(&PostgresOptions { tls: true, ..PostgresOptions::default() });
    let config = config_at(&plain.url_of(0)).sslrootcert(with_tls.ca());
    let error = refusal(config);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("speaks no TLS"), "{error}");
}
