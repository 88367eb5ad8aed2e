//! Opening, closing, tenants, names, lists: the store as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use common::{block_on, cx, id, message, open, snapshot, texts, try_open, write};
use craftx_core::{
    Backend, Caller, ErrorKind, Location, ManualClock, Message, MessageQuery, Prepare, Record, Role, SearchQuery,
    SessionOrder, SessionQuery, Tenant, WriteOptions,
};
use craftx_json::{Json, JsonConfig};

#[test]
fn a_store_is_created_only_by_migrate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/chat_logs");
    for mode in [Prepare::Check, Prepare::Open] {
        let error = try_open(&path, mode).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, "prepare"));
        assert!(error.get("folder").unwrap().contains(path.to_str().unwrap()), "{error}");
        assert!(!dir.path().join("a").exists());
    }
    let store = open(&path);
    let status = block_on(store.status(&cx())).unwrap();
    assert_eq!((status.schema, status.scheme, &*status.name), (Some(1), "json", path.to_str().unwrap()));
    assert!(status.bytes.unwrap() > 0);
    assert_eq!(block_on(store.status(&cx().with_caller(Caller::Anonymous))).unwrap().bytes, None);
    for mode in [Prepare::Open, Prepare::Migrate] {
        let again = block_on(try_open(&path, mode).unwrap().status(&cx())).unwrap();
        assert_eq!(again.store, status.store, "the identity is written once");
    }
}

#[test]
fn many_that_create_a_store_at_once_create_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat_logs");
    let ids: BTreeSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| block_on(open(&path).status(&cx())).unwrap().store)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1);
}

#[test]
fn check_looks_and_leaves_the_store_closed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let before = snapshot(dir.path());
    let store = try_open(dir.path(), Prepare::Check).unwrap();
    assert_eq!(snapshot(dir.path()), before);
    assert_eq!(block_on(store.session(&cx(), &id("s"))).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_store_that_is_closed_stays_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for _ in 0..2 {
        block_on(store.close(&cx())).unwrap();
    }
    let written = block_on(store.write(&cx(), &id("s"), &[message(1, "a")], &WriteOptions::fresh()));
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(block_on(store.search(&cx(), &SearchQuery::new("a"))).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_store_of_a_newer_release_or_a_damaged_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let marker = dir.path().join("craftx.store");
    for (text, kind) in [
        (r#"{"v":2,"craftx":"folder of the future"}"#, ErrorKind::SchemaTooNew),
        ("", ErrorKind::Corrupted),
        (r#"{"v":1}"#, ErrorKind::Corrupted),
    ] {
        std::fs::write(&marker, text).unwrap();
        for mode in [Prepare::Check, Prepare::Open, Prepare::Migrate] {
            let error = try_open(dir.path(), mode).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.get("file").unwrap().contains("craftx.store"));
        }
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), text);
    }
}

#[test]
fn a_passed_deadline_ends_a_call_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let late = cx().with_timeout(Duration::ZERO);
    let written = block_on(store.write(&late, &id("s"), &[message(1, "a")], &WriteOptions::fresh()));
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(block_on(store.load(&late, &id("s"), &MessageQuery::default())).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(!dir.path().join("s.jsonl").exists());
}

#[test]
fn tenants_see_nothing_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let long = "Ü".repeat(127);
    let tenants = ["default", "acme", "Acme", "../acme", "con", long.as_str()];
    for tenant in tenants {
        let cx = cx().with_tenant(Tenant::new(tenant).unwrap());
        let record = [message(1, tenant)];
        block_on(store.write(&cx, &id("shared name"), &record, &WriteOptions::fresh())).unwrap();
    }
    let reopened = open(dir.path());
    for tenant in tenants {
        let cx = cx().with_tenant(Tenant::new(tenant).unwrap());
        let found = block_on(reopened.load(&cx, &id("shared name"), &MessageQuery::default())).unwrap().items;
        assert_eq!((found.len(), found[0].text()), (1, Some(tenant)));
        assert_eq!(block_on(reopened.sessions(&cx, &SessionQuery::new())).unwrap().items.len(), 1);
        assert_eq!(block_on(reopened.status(&cx)).unwrap().sessions, Some(1));
    }
    let found: BTreeSet<String> =
        block_on(reopened.tenants(&cx(), None)).unwrap().items.iter().map(|t| t.as_str().to_owned()).collect();
    assert_eq!(found, tenants.map(str::to_owned).into_iter().collect());
    assert!(snapshot(dir.path()).keys().all(|path| path.starts_with(dir.path())));
}

#[test]
fn every_id_is_a_session_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let long = "x".repeat(254);
    let ids: Vec<String> =
        ["a", "A", "é", "e\u{301}", "É", "a ", " a", "a.", ".", "..", "../a", "a/b", "a\\b", "nul", "NUL", "con.txt"]
            .map(str::to_owned)
            .into_iter()
            .chain(
                ["%41", "~", "craftx.store", "tenants", ".locks", "a.jsonl", "😀", "a:b", "*", "ﬀ"].map(str::to_owned),
            )
            .chain(["a", "b", "A"].map(|last| format!("{long}{last}")))
            .collect();
    for name in &ids {
        write(&store, name, &[message(1, name.clone())]);
    }
    for store in [&store, &open(dir.path())] {
        for name in &ids {
            assert_eq!(texts(store, name), [name.as_str()]);
        }
        let mut sorted = ids.clone();
        sorted.sort();
        let listed: Vec<String> = block_on(store.sessions(&cx(), &SessionQuery::new().limit(1_000)))
            .unwrap()
            .items
            .into_iter()
            .map(|session| session.id.as_str().to_owned())
            .collect();
        assert_eq!(listed, sorted);
    }
    // Nothing may depend on the case of a file name.
    let mut folded: Vec<String> =
        snapshot(dir.path()).keys().map(|path| path.to_str().unwrap().to_lowercase()).collect();
    folded.sort();
    folded.dedup();
    assert_eq!(folded.len(), ids.len() + 1);
}

#[test]
fn lists_are_paged_in_both_orders() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let clock = ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let cx = cx().with_clock(Arc::new(clock.clone()));
    let names = ["d", "a", "c", "e", "b"];
    for name in names {
        block_on(store.write(&cx, &id(name), &[message(1, "x")], &WriteOptions::fresh())).unwrap();
        // The last two at the same time.
        if name != "e" {
            clock.advance(Duration::from_millis(1));
        }
    }
    let all = |order| {
        let mut found = Vec::new();
        let mut query = SessionQuery::new().order(order).limit(2);
        loop {
            let page = block_on(store.sessions(&cx, &query)).unwrap();
            found.extend(page.items.into_iter().map(|session| session.id.as_str().to_owned()));
            match page.next {
                Some(next) => query = query.cursor(Some(next)),
                None => return found,
            }
        }
    };
    assert_eq!(all(SessionOrder::ById), ["a", "b", "c", "d", "e"]);
    assert_eq!(all(SessionOrder::RecentFirst), ["b", "e", "c", "a", "d"]);
    let updated = block_on(store.session(&cx, &id("d"))).unwrap().unwrap().updated;
    assert_eq!(updated, UNIX_EPOCH + Duration::from_secs(1_700_000_000), "the clock is that of the call");
}

#[test]
fn a_folder_that_cannot_be_written_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    write(&open(dir.path()), "s", &[message(1, "a")]);
    std::fs::remove_dir_all(dir.path().join(".locks")).unwrap();
    let before = snapshot(dir.path());
    let store = try_open(dir.path(), Prepare::Open).unwrap();
    assert_eq!(texts(&store, "s"), ["a"]);
    assert_eq!(block_on(store.sessions(&cx(), &SessionQuery::new())).unwrap().items.len(), 1);
    assert_eq!(block_on(store.records(&cx(), &id("s"), None, None)).unwrap().items.len(), 1);
    block_on(store.status(&cx())).unwrap();
    assert_eq!(snapshot(dir.path()), before);
    assert!(!dir.path().join(".locks").exists(), "reading takes no lock");
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let deep = (0..200).fold(serde_json::json!(1), |value, _| serde_json::json!([value]));
    let record = Record::Message(Message::new(common::at(1), Role::User, deep));
    let error = block_on(store.write(&cx(), &id("s"), &[record], &WriteOptions::fresh())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let large = message(1, "x".repeat(64 << 20));
    let error = block_on(store.write(&cx(), &id("s"), &[large], &WriteOptions::fresh())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!dir.path().join("s.jsonl").exists());
}

#[test]
fn a_configuration_that_is_wrong_names_its_key() {
    let config = |url: &str| Location::parse(url).unwrap().config::<JsonConfig>();
    let error = config("json:a?durabilty=power-loss").unwrap_err();
    assert!(error.kind() == ErrorKind::ConfigInvalid && error.to_string().contains("durabilty"), "{error}");
    assert!(config("json:").unwrap_err().to_string().contains("path"));
    assert_eq!(Json::new(&JsonConfig::new("")).unwrap_err().kind(), ErrorKind::ConfigInvalid);
    assert_eq!(
        config("json:a?cache_entries=10&lock_wait_ms=5").unwrap(),
        JsonConfig::new("a").cache_entries(10).lock_wait_ms(5)
    );
}

#[test]
fn a_write_whose_future_is_dropped_happens_once_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for ms in 0..60 {
        let records = [message(ms * 2, "a"), message(ms * 2 + 1, "b")];
        let (cx, session, options) = (cx(), id("s"), WriteOptions::fresh());
        let mut write = store.write(&cx, &session, &records, &options);
        let waker = std::task::Waker::noop();
        let _ = write.as_mut().poll(&mut std::task::Context::from_waker(waker));
        if ms % 3 == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        drop(write);
    }
    // The lock is free, and every batch is there whole or not at all.
    write(&store, "s", &[message(1_000, "last")]);
    block_on(store.close(&cx())).unwrap();
    let found = texts(&open(dir.path()), "s");
    assert_eq!(found.len() % 2, 1);
    assert!(found.chunks(2).all(|pair| pair == ["a", "b"] || pair == ["last"]));
}
