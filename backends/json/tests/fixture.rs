//! What release 0.1 wrote must open for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::{block_on, copy, cx, id, message, snapshot, texts, try_open, write};
use craftx_core::{Backend, ErrorKind, Include, MessageQuery, Prepare, SessionQuery, Tenant};
use serde_json::{Value, json};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn check(store: &craftx_json::Json) {
    let status = block_on(store.status(&cx())).unwrap();
    assert_eq!((status.store.to_string().as_str(), status.schema), ("5a0c4c5e-3c1f-4a53-9d0c-2f6f7f1f5b11", Some(1)));
    let all = block_on(store.sessions(&cx(), &SessionQuery::new().include(Include::All))).unwrap().items;
    let names: Vec<&str> = all.iter().map(|session| session.id.as_str()).collect();
    let long = "長い名前".repeat(20);
    assert_eq!(names, ["Session 1", "cleared", "torn", long.as_str()]);
    let session = &all[0];
    assert_eq!((session.owner.as_deref(), session.messages), (Some("ann"), Some(3)));
    assert_eq!(Value::Object(session.metadata.clone()), json!({"title": "A title"}));
    let messages = block_on(store.load(&cx(), &id("Session 1"), &MessageQuery::oldest_first())).unwrap().items;
    assert_eq!(messages[0].text(), Some("hello \u{0} é 日本"));
    assert_eq!(messages[1].content.clone().into_value(), Some(json!([{"type": "text", "text": "parts"}, 1.5])));
    assert_eq!(messages[1].parent, Some(messages[0].id));
    assert_eq!(messages[2].content.clone().into_value(), Some(Value::Null));
    assert_eq!(messages[2].created_at.as_ref().unwrap().to_string(), "2025-06-28T00:33:47.214584");
    assert_eq!(texts(store, "torn"), ["whole"]);
    assert_eq!(texts(store, &long), ["found by its header"]);
    let tenants = block_on(store.tenants(&cx(), None)).unwrap().items;
    assert_eq!(tenants, [Tenant::new("Acme").unwrap(), Tenant::default()]);
    let acme = cx().with_tenant(Tenant::new("Acme").unwrap());
    assert_eq!(block_on(store.load(&acme, &id("s"), &MessageQuery::oldest_first())).unwrap().items.len(), 1);
}

#[test]
fn a_store_of_format_1_opens() {
    let before = snapshot(&fixture());
    check(&try_open(&fixture(), Prepare::Open).unwrap());
    assert_eq!(snapshot(&fixture()), before);
}

#[test]
fn a_store_of_format_1_can_be_written_and_compacted() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let store = try_open(dir.path(), Prepare::Migrate).unwrap();
    check(&store);
    write(&store, "torn", &[message(1_900_000_000_000, "next")]);
    block_on(store.compact(&cx(), &Default::default())).unwrap();
    assert_eq!(texts(&try_open(dir.path(), Prepare::Open).unwrap(), "torn"), ["whole", "next"]);
    assert_eq!(block_on(store.session(&cx(), &id("nobody"))).unwrap(), None);
    let none = block_on(store.load(&cx(), &id("nobody"), &MessageQuery::default())).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}
