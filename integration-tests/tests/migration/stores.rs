//! What is migrated, and what a store holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use craftx_core::{
    Context, DynBackend, Include, Location, Message, Prepare, Record, Registry, Role, SessionId, SessionQuery, Stamp,
    WriteOptions,
};
use craftx_integration_tests::faults::{Work, system};
use futures_executor::block_on;

/// Sessions that are written at once, each a batch, and the messages of each.
const SESSIONS: u64 = 40;
const MESSAGES: u64 = 12;
/// Batches of messages, deletions, clears and metadata, on four sessions of two tenants.
const BATCHES: u64 = 120;
/// The messages of a session that is read and written in several parts.
const LONG: u64 = 1_300;

/// Opens a store by the plain backends, without what is tested here.
pub(crate) fn open(url: &str) -> DynBackend {
    let mut registry = Registry::new();
    craftx_json::register(&mut registry);
    craftx_postgres::register(&mut registry);
    craftx_sqlite::register(&mut registry);
    let store = registry.build(&Location::parse(url).unwrap()).unwrap();
    block_on(store.prepare(&system("default"), Prepare::Migrate)).unwrap();
    store
}

/// Fills a new store, and closes it.
pub(crate) fn fill(url: &str, seed: u64) {
    let store = open(url);
    for number in 0..BATCHES {
        Work { seed }.batch(number).unwrap().write(&store).unwrap();
    }
    for number in 0..SESSIONS {
        let tenant = if number % 3 == 0 { "acme" } else { "default" };
        write(&store, &system(tenant), &format!("s{number}"), number * 10_000..number * 10_000 + MESSAGES);
    }
    for part in 0..LONG / 100 {
        write(&store, &system("default"), "long", part * 100..(part + 1) * 100);
    }
    block_on(store.close(&system("default"))).unwrap();
}

fn write(store: &DynBackend, cx: &Context, session: &str, numbers: std::ops::Range<u64>) {
    let record = |number: u64| {
        let id = Stamp::mint(1_700_000_000_000 + number, None, u128::from(number)).unwrap();
        Record::Message(Message::new(id, Role::User, format!("{session} {number} {}", "x".repeat(200))))
    };
    let records: Vec<Record> = numbers.map(record).collect();
    block_on(store.write(cx, &SessionId::new(session).unwrap(), &records, &WriteOptions::replay())).unwrap();
}

/// All records of all tenants, by tenant and session.
pub(crate) type Content = BTreeMap<(String, String), BTreeSet<String>>;

/// What a store holds, read as plainly as can be.
pub(crate) fn content(url: &str) -> Content {
    let store = open(url);
    let mut content = Content::new();
    for tenant in block_on(store.tenants(&system("default"), None)).unwrap().items {
        let cx = system(tenant.as_str());
        let query = SessionQuery::new().include(Include::All).limit(1_000);
        for session in block_on(store.sessions(&cx, &query)).unwrap().items {
            let records = content.entry((tenant.to_string(), session.id.to_string())).or_default();
            let mut from = None;
            loop {
                let part = block_on(store.records(&cx, &session.id, from.as_ref(), Some(1_000))).unwrap();
                records.extend(part.items.iter().map(|record| record.encode().into_string()));
                if part.done {
                    break;
                }
                from = Some(part.next);
            }
        }
    }
    block_on(store.close(&system("default"))).unwrap();
    content
}

/// The bytes of a file, or of all files of a folder.
pub(crate) fn bytes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    if path.is_file() {
        return BTreeMap::from([(String::new(), std::fs::read(path).unwrap())]);
    }
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        all.extend(bytes(&entry.path()).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
    }
    all
}
