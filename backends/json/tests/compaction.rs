//! Compaction: what is dead is gone from the disk, everything else stays as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{at, block_on, cx, id, message, open, snapshot, texts, write};
use craftx_core::{Backend, Compact, ErrorKind, Include, Record, SessionQuery, Stamp, WriteOptions};
use serde_json::json;

fn holds(dir: &Path, needle: &str) -> bool {
    let needle = needle.as_bytes();
    snapshot(dir).values().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

fn key(ms: u64, value: Option<&str>) -> Record {
    Record::Session { stamp: at(ms), set: BTreeMap::from([("title".to_owned(), value.map(|value| json!(value)))]) }
}

fn all_records(store: &craftx_json::Json, session: &str) -> Vec<Record> {
    block_on(store.records(&cx(), &id(session), None, Some(1_000))).unwrap().items
}

#[test]
fn what_was_deleted_cleared_or_superseded_is_physically_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "s", &[message(1, "deleted canary"), message(2, "kept"), key(3, Some("old title"))]);
    write(&store, "s", &[key(4, Some("new title")), Record::Deleted { id: at(1), stamp: at(5) }]);
    write(&store, "t", &[message(1, "cleared canary")]);
    write(&store, "t", &[Record::Cleared { through: at(1), stamp: at(2) }, message(3, "after")]);
    assert!(
        holds(dir.path(), "deleted canary") && holds(dir.path(), "cleared canary") && holds(dir.path(), "old title")
    );
    let size = |dir: &Path| snapshot(dir).values().map(|bytes| bytes.len() as u64).sum::<u64>();
    let before = size(dir.path());
    let records: Vec<_> = ["s", "t"].map(|session| all_records(&store, session)).into();

    let compacted = block_on(store.compact(&cx(), &Compact::new())).unwrap();
    assert_eq!((compacted.bodies, compacted.tombstones), (3, 0));
    assert_eq!(compacted.bytes, before - size(dir.path()));
    for canary in ["deleted canary", "cleared canary", "old title"] {
        assert!(!holds(dir.path(), canary), "{canary}");
    }
    for store in [&store, &open(dir.path())] {
        assert_eq!(texts(store, "s"), ["kept"]);
        assert_eq!(texts(store, "t"), ["after"]);
        assert_eq!(["s", "t"].map(|session| all_records(store, session)).to_vec(), records);
        assert_eq!(block_on(store.session(&cx(), &id("s"))).unwrap().unwrap().metadata["title"], "new title");
    }
    let again = block_on(store.compact(&cx(), &Compact::new())).unwrap();
    assert_eq!((again.bytes, again.bodies), (0, 0), "there is nothing more to erase");
}

#[test]
fn the_dead_stay_dead_after_a_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "s", &[message(1, "gone"), message(2, "kept")]);
    write(&store, "s", &[Record::Deleted { id: at(1), stamp: at(3) }]);
    block_on(store.compact(&cx(), &Compact::new())).unwrap();
    let written = block_on(store.write(&cx(), &id("s"), &[message(1, "gone")], &WriteOptions::replay())).unwrap();
    assert_eq!(written.dead, Some(1));
    assert_eq!(texts(&store, "s"), ["kept"]);
}

#[test]
fn old_deletions_can_be_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "s", &[message(1, "a"), message(2, "b"), message(9, "c")]);
    for (ms, stamp) in [(1, 3), (2, 4)] {
        write(&store, "s", &[Record::Deleted { id: at(ms), stamp: at(stamp) }]);
    }
    let compacted = block_on(store.compact(&cx(), &Compact::new().purge_deleted_before(at(4)))).unwrap();
    assert_eq!((compacted.bodies, compacted.tombstones), (2, 1));
    assert_eq!(all_records(&open(dir.path()), "s").len(), 2);
    assert_eq!(block_on(store.session(&cx(), &id("s"))).unwrap().unwrap().version, at(9));
    let compacted = block_on(store.compact(&cx(), &Compact::new().purge_deleted_before(Stamp::MAX))).unwrap();
    assert_eq!((compacted.bodies, compacted.tombstones), (0, 1));
}

#[test]
fn one_session_can_be_compacted_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for session in ["s", "t"] {
        write(&store, session, &[message(1, format!("canary {session}")), Record::Deleted { id: at(1), stamp: at(2) }]);
        write(&store, session, &[message(3, format!("dead {session}"))]);
        write(&store, session, &[Record::Deleted { id: at(3), stamp: at(4) }]);
    }
    assert!(!holds(dir.path(), "canary"), "a dead body is never stored");
    block_on(store.compact(&cx(), &Compact::new().session(id("s")))).unwrap();
    assert!(!holds(dir.path(), "dead s") && holds(dir.path(), "dead t"));
    block_on(store.compact(&cx(), &Compact::new().session(id("never written")))).unwrap();
    let all = block_on(store.sessions(&cx(), &SessionQuery::new().include(Include::All))).unwrap();
    assert_eq!(all.items.len(), 2, "a session of deletions alone is still there for replication");
}

#[test]
fn lists_keep_their_order_and_cursors_expire() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "s", &[message(1, "a"), message(2, "b")]);
    let first = block_on(store.records(&cx(), &id("s"), None, Some(1))).unwrap();
    assert!(!first.done);
    write(&store, "s", &[message(3, "c")]);
    let next = block_on(store.records(&cx(), &id("s"), Some(&first.next), None)).unwrap();
    assert_eq!((next.items.len(), next.done), (2, true));
    let reopened = block_on(open(dir.path()).records(&cx(), &id("s"), Some(&first.next), None)).unwrap();
    assert_eq!(reopened.items, next.items, "a cursor outlives the process");
    let updated = block_on(store.session(&cx(), &id("s"))).unwrap().unwrap().updated;

    write(&store, "s", &[Record::Deleted { id: at(1), stamp: at(4) }]);
    let after_deletion = block_on(store.session(&cx(), &id("s"))).unwrap().unwrap().updated;
    assert!(after_deletion > updated);
    block_on(store.compact(&cx(), &Compact::new())).unwrap();
    assert_eq!(block_on(store.session(&cx(), &id("s"))).unwrap().unwrap().updated, after_deletion);
    let expired = block_on(store.records(&cx(), &id("s"), Some(&first.next), None)).unwrap_err();
    assert_eq!((expired.kind(), expired.operation()), (ErrorKind::Conflict, "records"));
}
