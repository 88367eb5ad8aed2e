//! Folders of CraftX.py open in place; their files are never touched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::{at, block_on, cx, id, message, open, snapshot, texts, try_open, try_texts, write};
use craftx_core::{
    Backend, Caller, Compact, ErrorKind, Include, Message, MessageQuery, Prepare, Record, Role, SessionQuery, Stamp,
    Tenant, WriteOptions,
};
use serde_json::Value;

/// What the program wrote, in a folder of its own. Two names differ by case alone, so these are no files of the
/// repository.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("Case", CASE_TWIN),
        ("case", include_str!("fixtures/craftx-py/lower.json")),
        ("with space", include_str!("fixtures/craftx-py/metadata.json")),
        ("セッション", CASE_TWIN),
    ] {
        std::fs::write(dir.path().join(format!("{name}.json")), text).unwrap();
    }
    dir
}

const CASE_TWIN: &str = r#"[
  {
    "timestamp": "2026-11-22T22:02:35.582809Z",
    "role": "user",
    "message": "upper",
    "metadata": {}
  }
]"#;

fn messages(store: &craftx_json::Json, session: &str) -> Vec<Message> {
    block_on(store.load(&cx(), &id(session), &MessageQuery::oldest_first().limit(1_000))).unwrap().items
}

fn names(store: &craftx_json::Json) -> Vec<String> {
    let page = block_on(store.sessions(&cx(), &SessionQuery::new())).unwrap();
    page.items.into_iter().map(|session| session.id.as_str().to_owned()).collect()
}

#[test]
fn a_folder_is_read_in_place_and_left_as_it_is() {
    let dir = folder();
    let before = snapshot(dir.path());
    let store = try_open(dir.path(), Prepare::Open).unwrap();
    assert_eq!(names(&store), ["Case", "case", "with space", "セッション"]);
    assert_eq!(texts(&store, "Case"), ["upper"]);
    assert_eq!(texts(&store, "case"), ["lower", "same", "same"]);
    let message = &messages(&store, "with space")[1];
    assert_eq!((message.role.as_str(), message.text()), ("assistant", Some("  blanks \n\n")));
    assert_eq!(message.created_at.as_ref().unwrap().to_string(), "2026-11-22T22:02:35.598759Z");
    assert_eq!(
        Value::Object(message.metadata.clone()).to_string(),
        r#"{"priority":"high","a":[1,null],"big":9007199254740993}"#
    );
    assert_eq!(block_on(store.records(&cx(), &id("case"), None, None)).unwrap().items.len(), 3);
    let info = block_on(store.session(&cx(), &id("case"))).unwrap().unwrap();
    assert_eq!((info.messages, info.owner), (Some(3), None));
    let acme = cx().with_tenant(Tenant::new("acme").unwrap());
    assert!(block_on(store.sessions(&acme, &SessionQuery::new())).unwrap().items.is_empty());
    assert!(block_on(store.session(&acme, &id("case"))).unwrap().is_none());
    assert_eq!(block_on(store.tenants(&cx(), None)).unwrap().items, [Tenant::default()]);
    let error = block_on(store.write(&cx(), &id("case"), &[common::message(1, "x")], &WriteOptions::fresh()));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::SchemaTooOld);
    assert_eq!(snapshot(dir.path()), before, "opening it to read writes nothing");
}

#[test]
fn new_records_go_beside_it_and_the_union_is_the_session() {
    let dir = folder();
    let before = snapshot(dir.path());
    let store = open(dir.path());
    let old = messages(&store, "case");
    let version = block_on(store.session(&cx(), &id("case"))).unwrap().unwrap().version;
    let next = Stamp::mint(0, Some(version), 1).unwrap();
    write(&store, "case", &[Record::Message(Message::new(next, Role::Assistant, "new"))]);
    write(&store, "case", &[Record::Deleted { id: old[1].id, stamp: Stamp::mint(0, Some(next), 1).unwrap() }]);
    write(&store, "case", &[message(1, "before them all")]);
    for store in [&store, &open(dir.path())] {
        assert_eq!(texts(store, "case"), ["before them all", "lower", "same", "new"]);
        assert_eq!(names(store), ["Case", "case", "with space", "セッション"]);
    }
    // Written again, an old message is known; with other content it is a conflict.
    let known = block_on(store.write(&cx(), &id("case"), &[Record::Message(old[0].clone())], &WriteOptions::fresh()));
    assert_eq!(known.unwrap().known, Some(1));
    let other = Record::Message(Message::new(old[0].id, Role::User, "other"));
    let conflict = block_on(store.write(&cx(), &id("case"), &[other], &WriteOptions::fresh())).unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    let after = snapshot(dir.path());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
    assert!(dir.path().join("case.jsonl").exists());
}

#[test]
fn records_are_read_by_parts_across_both_files() {
    let dir = folder();
    let store = open(dir.path());
    write(&store, "case", &[message(1, "x"), message(2, "y")]);
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let part = block_on(store.records(&cx(), &id("case"), from.as_ref(), Some(2))).unwrap();
        assert!(part.items.len() <= 2);
        found.extend(part.items);
        from = Some(part.next);
        if part.done {
            break;
        }
    }
    let whole = block_on(store.records(&cx(), &id("case"), None, None)).unwrap().items;
    assert_eq!((found.len(), &found), (5, &whole));
    // The program writes its file anew: what was read of it is no measure any more.
    std::fs::write(dir.path().join("case.json"), "[]").unwrap();
    let expired = block_on(store.records(&cx(), &id("case"), from.as_ref(), None)).unwrap_err();
    assert_eq!(expired.kind(), ErrorKind::Conflict);
    assert_eq!(texts(&store, "case"), ["x", "y"], "the change is noticed");
}

#[test]
fn what_a_compaction_cannot_erase_it_does_not_claim() {
    let dir = folder();
    let store = open(dir.path());
    let old = messages(&store, "case");
    let later = Stamp::mint(0, Some(old[2].id), 1).unwrap();
    write(&store, "case", &[Record::Deleted { id: old[0].id, stamp: later }]);
    write(&store, "other", &[message(1, "dead canary")]);
    write(&store, "other", &[Record::Deleted { id: at(1), stamp: at(2) }]);
    let error = block_on(store.compact(&cx(), &Compact::new().purge_deleted_before(Stamp::MAX))).unwrap_err();
    assert_eq!((error.kind(), error.get("messages")), (ErrorKind::Unsupported, Some("1")));
    assert!(error.get("file").unwrap().contains("case.json"));
    let other = std::fs::read_to_string(dir.path().join("other.jsonl")).unwrap();
    assert!(!other.contains("canary"), "all that can be erased is");
    assert_eq!(texts(&open(dir.path()), "case").len(), 2, "the deletion is not forgotten");
    // Whoever removes the file by hand has erased it.
    std::fs::remove_file(dir.path().join("case.json")).unwrap();
    block_on(store.compact(&cx(), &Compact::new())).unwrap();
}

#[test]
fn files_that_cannot_be_read_are_named_and_the_others_stay_usable() {
    for (text, why) in [
        (&b""[..], "empty"),
        (b"[{\"role\": \"user\", \"message\": \"canary", "too early"),
        (b"[{\"role\": \"user\", \"message\": \"canary \xff\"}]", "UTF-8"),
        (b"[{\"role\": \"user\", \"message\": NaN}]", "not JSON"),
        (b"[{\"role\": \"user\", \"message\": \"canary \\ud800\"}]", "not JSON"),
        (b"{\"canary\": 1}", "array"),
    ] {
        let dir = folder();
        std::fs::write(dir.path().join("bad.json"), text).unwrap();
        let store = open(dir.path());
        let error = try_texts(&store, "bad").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
        assert!(error.get("file").unwrap().contains("bad.json") && error.message().contains(why), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
        let refused = block_on(store.write(&cx(), &id("bad"), &[message(1, "x")], &WriteOptions::fresh()));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupted);
        assert_eq!(texts(&store, "Case"), ["upper"]);
        write(&store, "Case", &[message(1, "x")]);
        assert_eq!(block_on(store.sessions(&cx(), &SessionQuery::new())).unwrap_err().kind(), ErrorKind::Corrupted);
        // Whoever copies the store learns its name, and the error when it is read; with any other condition it is an error.
        let all = SessionQuery::new().include(Include::All);
        assert!(block_on(store.sessions(&cx(), &all)).is_ok_and(|page| page.items.len() > 1));
        for narrower in [all.clone().prefix(""), all.clone().metadata("k", 1)] {
            assert_eq!(block_on(store.sessions(&cx(), &narrower)).unwrap_err().kind(), ErrorKind::Corrupted);
        }
        let page = block_on(store.sessions(&cx(), &SessionQuery::new().prefix("w"))).unwrap();
        assert_eq!(page.items.len(), 1);
    }
}

#[test]
fn no_id_leaves_the_folder() {
    let dir = folder();
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let store = open(&inner);
    for session in ["../case", "../Case", "./../case", &format!("{}/case", dir.path().display())] {
        assert!(texts(&store, session).is_empty());
        write(&store, session, &[message(1, session)]);
        assert_eq!(texts(&store, session), [session]);
    }
    let outside: Vec<PathBuf> = snapshot(dir.path()).into_keys().filter(|path| !path.starts_with(&inner)).collect();
    assert_eq!(outside.len(), 4, "only what was there before");
}

#[test]
fn every_sample_of_every_generation_is_read_whole() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/legacy/craftxpy");
    if !samples.is_dir() {
        eprintln!("skipped: there are no samples of CraftX.py");
        return;
    }
    let mut sessions = 0;
    for generation in ["g0", "g1", "g2", "g3"] {
        let dir = samples.join(generation).join("chat_logs");
        let store = try_open(&dir, Prepare::Open).unwrap();
        for name in names(&store) {
            sessions += 1;
            let text = std::fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
            let Value::Array(originals) = serde_json::from_str(&text).unwrap() else { panic!("{name}") };
            let found = messages(&store, &name);
            assert_eq!(found.len(), originals.len(), "{generation} {name}");
            for (message, original) in found.iter().zip(&originals) {
                assert_eq!(message.role.as_str(), original["role"]);
                assert_eq!(message.content.clone().into_value().unwrap(), original["message"]);
                assert_eq!(message.created_at.as_ref().unwrap().to_string(), original["timestamp"]);
                let metadata = original.get("metadata").cloned().unwrap_or_else(|| serde_json::json!({}));
                assert_eq!(Value::Object(message.metadata.clone()).to_string(), metadata.to_string());
            }
        }
        let status = block_on(store.status(&cx().with_caller(Caller::Anonymous))).unwrap();
        assert_eq!((status.schema, status.bytes), (Some(0), None));
    }
    assert_eq!(sessions, 23);
}
