//! A cluster that the tests of this program share, and stores in it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use craftx_conformance::{Failure, Subject};
use craftx_core::{
    Backend, Context, DynBackend, Location, Message, MessageQuery, Prepare, Record, Result, Role, SessionId, Stamp,
    Tenant, WriteOptions, Written, random_bits,
};
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions};
use craftx_postgres::{Postgres, PostgresConfig};
use futures_executor::block_on;

/// A primary and two replicas, for tests that leave them as they are. Ended by whoever watches this process.
pub(crate) fn cluster() -> &'static Servers {
    static CLUSTER: OnceLock<Servers> = OnceLock::new();
    CLUSTER.get_or_init(|| Servers::start(&PostgresOptions { replicas: 2, fsync: true, ..PostgresOptions::default() }))
}

/// The name of a schema that no other test has.
pub(crate) fn fresh_schema() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("t{:08x}_{}", random_bits() as u32, NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The configuration of a store, with few connections: many stores share the servers.
pub(crate) fn config(url: &str, schema: &str) -> PostgresConfig {
    let location = Location::parse(url).unwrap();
    let config: PostgresConfig = location.config().unwrap();
    config.schema(schema).connections(4)
}

pub(crate) fn backend(config: PostgresConfig) -> Result<DynBackend> {
    Ok(std::sync::Arc::new(Postgres::new(config)?))
}

/// What a check of the kit gets: a store in a new schema.
pub(crate) fn subject(config: PostgresConfig) -> Result<Subject, Failure> {
    let subject = Subject::from(backend(config.clone())?);
    Ok(subject.reopening(move || {
        let opened = backend(config.clone());
        async move { Ok(opened?) }
    }))
}

/// The servers that the environment names, if it does.
pub(crate) fn elsewhere() -> Option<String> {
    std::env::var("CRAFTX_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

/// The same servers for a user who may create schemas and nothing else, as applications should be.
pub(crate) fn as_another_user(url: &str) -> String {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let make = "CREATE ROLE app LOGIN PASSWORD 'app'; GRANT CREATE ON DATABASE craftx TO app";
        cluster().sql(0, make).unwrap();
    });
    url.replacen("craftx:pw@", "app:app@", 1)
}

/// A call of the system that ends within a minute.
pub(crate) fn cx() -> Context {
    Context::system(Tenant::default()).with_timeout(Duration::from_secs(60))
}

pub(crate) fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

/// A message at a time of its own.
pub(crate) fn message(ms: u64, text: &str) -> Record {
    Record::Message(Message::new(stamp(ms), Role::User, text))
}

pub(crate) fn stamp(ms: u64) -> Stamp {
    Stamp::mint(1_700_000_000_000 + ms, None, 0).unwrap()
}

pub(crate) async fn write(store: &dyn Backend, cx: &Context, to: &str, records: &[Record]) -> Result<Written> {
    store.write(cx, &session(to), records, &WriteOptions::replay()).await
}

/// The texts of a session, all pages of it.
pub(crate) async fn texts(store: &dyn Backend, cx: &Context, of: &str) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut query = MessageQuery::oldest_first().limit(1_000);
    loop {
        let page = store.load(cx, &session(of), &query).await?;
        texts.extend(page.items.iter().map(|message| message.text().unwrap_or_default().to_owned()));
        match page.items.last() {
            Some(last) if page.more => query = query.after(last.id),
            _ => return Ok(texts),
        }
    }
}

/// An open store, in a schema that is made if need be.
pub(crate) fn open(config: PostgresConfig) -> Postgres {
    let store = Postgres::new(config).unwrap();
    block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap();
    store
}

/// The URL of servers on these ports.
pub(crate) fn url_of_ports(ports: &[u16]) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://craftx:pw@{}/craftx", hosts.join(","))
}

/// A call of the system that ends within so many milliseconds.
pub(crate) fn within(ms: u64) -> Context {
    Context::system(Tenant::default()).with_timeout(Duration::from_millis(ms))
}

/// Waits until something is so, for a minute at most.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
