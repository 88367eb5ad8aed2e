//! What servers refuse, provoked: each error has the kind that says what to do, and none shows a secret or a message.

use std::error::Error as _;
use std::time::Instant;

use craftx_core::{Backend, Error, ErrorKind, MessageQuery, Outcome, Prepare, Retry};
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::support::{cluster, config, cx, eventually, fresh_schema, message, open, session, texts, within, write};

const PASSWORD: &str = "canary-password-7301";
const TEXT: &str = "canary-text-9482";

/// Shows nothing that it should not.
pub(crate) fn clean(error: &Error) {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        shown.push_str(&format!("{inner} {inner:?}"));
        source = inner.source();
    }
    assert!(!shown.contains("canary"), "{shown}");
}

/// The error has this kind, nothing was applied, and it shows nothing.
fn is(error: &Error, kind: ErrorKind, retry: Retry) {
    assert_eq!((error.kind(), error.outcome(), error.retry()), (kind, Outcome::NotApplied, retry), "{error:?}");
    clean(error);
}

/// A user of the shared servers who may create schemas, and the URL of the first server for that user.
fn user(servers: &Servers, name: &str) -> String {
    let make = format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE craftx TO {name}");
    servers.sql(0, &make).unwrap();
    servers.url_of(0).replace("craftx:pw@", &format!("{name}:{PASSWORD}@"))
}

fn prepare(url: &str, schema: &str, mode: Prepare, ms: u64) -> Error {
    let store = Postgres::new(config(url, schema)).unwrap();
    assert!(!format!("{store:?}").contains("canary"));
    let began = Instant::now();
    let error = block_on(store.prepare(&within(ms), mode)).unwrap_err();
    assert!(began.elapsed().as_millis() < u128::from(ms) + 2_000, "{error:?}");
    error
}

fn append(store: &Postgres, number: u64, ms: u64) -> Result<(), Error> {
    block_on(write(store, &within(ms), "a", &[message(number, TEXT)])).map(drop)
}

#[test]
fn who_may_not_connect_is_told_why() {
    if !postgres_is_there("connections that are refused") {
        return;
    }
    let (servers, schema) = (cluster(), fresh_schema());
    let url = user(servers, "refused");
    let wrong = url.replace(PASSWORD, "canary-wrong-password");
    let error = prepare(&wrong, &schema, Prepare::Migrate, 20_000);
    is(&error, ErrorKind::PermissionDenied, Retry::Never);
    let error = prepare(&url.replace("refused:", "canaryuser:"), &schema, Prepare::Open, 20_000);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    let error = prepare(&url.replace("/craftx", "/nowhere"), &schema, Prepare::Migrate, 20_000);
    is(&error, ErrorKind::ConfigInvalid, Retry::Never);
    // Nobody listens there, and nobody hears of the password.
    let nobody = format!("postgres://refused:{PASSWORD}@127.0.0.1:1/craftx");
    let error = prepare(&nobody, &schema, Prepare::Open, 1_000);
    is(&error, ErrorKind::Unavailable, Retry::Later);
}

#[test]
fn who_lacks_a_right_is_told_so() {
    if !postgres_is_there("rights") {
        return;
    }
    let (servers, schema) = (cluster(), fresh_schema());
    let url = user(servers, "poor");
    servers.sql(0, "REVOKE CREATE ON DATABASE craftx FROM poor").unwrap();
    let error = prepare(&url, &schema, Prepare::Migrate, 20_000);
    is(&error, ErrorKind::PermissionDenied, Retry::Never);
    // A store of somebody else's.
    let owner = open(config(&servers.url_of(0), &schema));
    append(&owner, 1, 20_000).unwrap();
    let error = prepare(&url, &schema, Prepare::Open, 20_000);
    is(&error, ErrorKind::PermissionDenied, Retry::Never);
    // Who may read may not write.
    let grant =
        format!("GRANT USAGE ON SCHEMA {schema} TO poor; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO poor");
    servers.sql(0, &grant).unwrap();
    let reader = Postgres::new(config(&url, &schema)).unwrap();
    block_on(reader.prepare(&cx(), Prepare::Open)).unwrap();
    assert_eq!(block_on(texts(&reader, &cx(), "a")).unwrap(), [TEXT]);
    is(&append(&reader, 2, 20_000).unwrap_err(), ErrorKind::PermissionDenied, Retry::Never);
    assert_eq!(block_on(texts(&owner, &cx(), "a")).unwrap(), [TEXT]);
}

#[test]
fn too_many_connections_are_told_as_such() {
    if !postgres_is_there("a server with few connections") {
        return;
    }
    let options = PostgresOptions { extra: vec![("max_connections".into(), "8".into())], ..PostgresOptions::default() };
    let servers = Servers::start(&options);
    let (url, schema) = (user(&servers, "crowd"), fresh_schema());
    // Three of them are kept for superusers; one is for whoever looks after the server.
    let first = open(config(&url, &schema).connections(4));
    append(&first, 1, 20_000).unwrap();
    std::thread::scope(|scope| {
        let sleep = || drop(servers.sql(0, "SET ROLE crowd; SELECT pg_sleep(4)"));
        for _ in 0..5 {
            scope.spawn(sleep);
        }
        let taken = "SELECT count(*) >= 6 FROM pg_stat_activity WHERE backend_type = 'client backend'";
        let full = || servers.sql(0, taken).map_or(true, |full| full == "t");
        eventually("the server is full", full);
        let error = prepare(&url, &schema, Prepare::Open, 1_000);
        is(&error, ErrorKind::RateLimited, Retry::Later);
    });
    // A limit of one user.
    block_on(first.close(&cx())).unwrap();
    servers.sql(0, "ALTER ROLE crowd CONNECTION LIMIT 0").unwrap();
    is(&prepare(&url, &schema, Prepare::Open, 500), ErrorKind::RateLimited, Retry::Later);
    servers.sql(0, "ALTER ROLE crowd CONNECTION LIMIT -1").unwrap();
    // It waits for a place as long as it may.
    append(&open(config(&url, &schema)), 2, 20_000).unwrap();
}

#[test]
fn who_may_only_read_is_waited_for_until_the_deadline() {
    if !postgres_is_there("sessions that may only read") {
        return;
    }
    let (servers, schema) = (cluster(), fresh_schema());
    let url = user(servers, "readonly");
    append(&open(config(&url, &schema)), 1, 20_000).unwrap();
    servers.sql(0, "ALTER ROLE readonly SET default_transaction_read_only = on").unwrap();
    let store = Postgres::new(config(&url, &schema)).unwrap();
    block_on(store.prepare(&cx(), Prepare::Open)).unwrap();
    for number in 2..4 {
        is(&append(&store, number, 700).unwrap_err(), ErrorKind::Unavailable, Retry::Later);
    }
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap().len(), 1);
    servers.sql(0, "ALTER ROLE readonly RESET default_transaction_read_only").unwrap();
    append(&store, 2, 20_000).unwrap();
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap().len(), 2);
}

#[test]
fn tables_that_are_dropped_under_a_store_are_missed() {
    if !postgres_is_there("tables that are dropped") {
        return;
    }
    let (servers, schema) = (cluster(), fresh_schema());
    let store = open(config(&servers.url_of(0), &schema));
    append(&store, 1, 20_000).unwrap();
    servers.sql(0, &format!("DROP SCHEMA {schema} CASCADE")).unwrap();
    for number in 2..4 {
        is(&append(&store, number, 2_000).unwrap_err(), ErrorKind::Unavailable, Retry::Later);
        let read = block_on(store.load(&within(2_000), &session("a"), &MessageQuery::newest_first())).unwrap_err();
        is(&read, ErrorKind::Unavailable, Retry::Later);
    }
}

#[test]
fn a_store_of_a_newer_release_is_not_opened() {
    if !postgres_is_there("a newer store") {
        return;
    }
    let (servers, schema) = (cluster(), fresh_schema());
    append(&open(config(&servers.url_of(0), &schema)), 1, 20_000).unwrap();
    servers.sql(0, &format!("UPDATE {schema}.store SET version = 99")).unwrap();
    for mode in [Prepare::Open, Prepare::Check, Prepare::Migrate] {
        is(&prepare(&servers.url_of(0), &schema, mode, 20_000), ErrorKind::SchemaTooNew, Retry::Never);
    }
    assert_eq!(servers.sql(0, &format!("SELECT version FROM {schema}.store")).unwrap(), "99");
}
