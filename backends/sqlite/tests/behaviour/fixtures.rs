//! Every schema that was ever released opens for ever, with everything in it.
//!
//! A new schema adds a fixture and never changes an old one. To write the fixture of the present schema, if it is not
//! there yet: `CRAFTX_WRITE_FIXTURE=1 cargo test -p craftx-sqlite --test behaviour fixtures`.

use std::path::{Path, PathBuf};

use craftx_core::{
    Backend, Content, Context, ErrorKind, Grant, Include, Memory, Message, MessageQuery, Prepare, Record, Role, Scope,
    SearchQuery, SessionOrder, SessionQuery, Tenant, WriteOptions, json,
};
use craftx_sqlite::{Sqlite, SqliteConfig};
use serde_json::json;

use super::{at, close, cx, id, message, open, run};

fn fixture(schema: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/schema-{schema}.db"))
}

fn tenants() -> [Tenant; 2] {
    [Tenant::default(), Tenant::new("Ünï/corp").unwrap()]
}

/// What the fixtures of all schemas hold, as it was written. Never change it.
fn contents() -> Vec<(&'static str, Vec<Record>)> {
    let keys = |ms, set: &[(&str, Option<serde_json::Value>)]| Record::Session {
        stamp: at(ms),
        set: set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    };
    let acl = |ms, owner: &str, to: &str, actions: &[&str]| Record::Acl {
        stamp: at(ms),
        owner: Some(owner.into()),
        grants: vec![Grant { to: to.into(), actions: actions.iter().map(|action| (*action).into()).collect() }],
    };
    let rich = |ms, role: &str, content: Content| Message::new(at(ms), Role::new(role).unwrap(), content);
    vec![
        ("plain", (1..=30).map(|ms| message(ms, &format!("message {ms}"))).collect()),
        (
            "rich",
            vec![
                Record::Message(rich(1, "user", "NUL \0, quote \", line\nbreak, \u{10ffff}".into())),
                Record::Message(rich(2, "assistant", Content::Null).with_metadata(
                    "tool_calls",
                    json!([{"id": "c1", "function": {"name": "f", "arguments": "{\"x\": 1.0}"}}]),
                )),
                Record::Message(rich(3, "tool", json!([{"type": "text", "text": "42"}]).into()).with_parent(at(2))),
                Record::Message(
                    rich(4, "developer", Content::Absent)
                        .with_created_at("2026-01-02T03:04:05.5+02:00".parse().unwrap()),
                ),
                Record::Message(rich(5, "system", "".into()).with_metadata("z", u64::MAX).with_metadata("a", -0.0)),
                Record::Message(rich(6, "User", json!({"b": 1, "a": [null, true, 5e-324]}).into())),
                Record::Message(rich(7, "user", "x".repeat(20_000).into())),
            ],
        ),
        ("deleted from", vec![message(1, "gone"), message(2, "stays"), Record::Deleted { id: at(1), stamp: at(9) }]),
        (
            "cleared",
            vec![
                message(1, "gone"),
                keys(2, &[("gone", Some(json!(1)))]),
                acl(3, "ann", "bob", &["read"]),
                Record::Deleted { id: at(4), stamp: at(30) },
                Record::Cleared { through: at(10), stamp: at(11) },
                message(12, "after"),
                keys(12, &[("title", Some(json!("kept")))]),
            ],
        ),
        ("dead", vec![message(1, "gone"), Record::Cleared { through: at(1), stamp: at(2) }]),
        (
            "keys",
            vec![
                keys(
                    1,
                    &[("a", Some(json!({"y": 1, "x": 2}))), ("b", Some(json!("old"))), ("nul\0", Some(json!("\0")))],
                ),
                keys(2, &[("b", Some(json!(1.0))), ("c", None)]),
            ],
        ),
        (
            "owned",
            vec![acl(2, "ann", "editors", &["read", "write"]), acl(1, "bob", "ann", &[]), acl(3, "eve", "ann", &[])],
        ),
        ("conflict", vec![message(1, "one"), message(1, "other")]),
    ]
}

fn fill(store: &dyn Backend) {
    for tenant in tenants() {
        let cx = Context::system(tenant.clone());
        for (session, mut records) in contents() {
            records.push(message(50, tenant.as_str()));
            if session == "dead" {
                records.pop();
            }
            run(store.write(&cx, &id(session), &records, &WriteOptions::replay())).unwrap();
        }
    }
}

#[test]
fn a_store_of_schema_1_opens_with_everything_in_it() {
    a_store_opens_with_everything_in_it(1);
}

#[test]
fn a_store_of_schema_2_opens_with_everything_in_it() {
    a_store_opens_with_everything_in_it(2);
}

#[test]
fn a_store_of_schema_1_is_upgraded_only_where_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(fixture(1), &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    for mode in [Prepare::Check, Prepare::Open] {
        let store = Sqlite::new(SqliteConfig::new(&copy)).unwrap();
        assert_eq!(run(store.prepare(&cx(), mode)).unwrap_err().kind(), ErrorKind::SchemaTooOld);
    }
    assert!(std::fs::read(&copy).unwrap() == before);
}

fn a_store_opens_with_everything_in_it(schema: u32) {
    let path = fixture(schema);
    if !path.exists() && std::env::var_os("CRAFTX_WRITE_FIXTURE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let store = open(&path);
        fill(&store);
        close(store);
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let (ours, theirs) = (open(&copy), Memory::new());
    fill(&theirs);
    assert_eq!(run(ours.status(&cx())).unwrap().schema, Some(2));
    assert_eq!(run(ours.tenants(&cx(), None)).unwrap(), run(theirs.tenants(&cx(), None)).unwrap());
    for tenant in tenants() {
        let cx = Context::system(tenant);
        compare(&ours, &theirs, &cx);
        let found = run(ours.search(&cx, &SearchQuery::new("quote"))).unwrap();
        assert_eq!(found.items.iter().map(|hit| hit.message.id).collect::<Vec<_>>(), [at(1)]);
        assert!(run(ours.search(&cx, &SearchQuery::new("gone"))).unwrap().items.is_empty());
    }
    // It is not only read: what is written to it now joins what was there.
    let written = run(ours.write(&cx(), &id("plain"), &[message(1, "message 1")], &WriteOptions::fresh())).unwrap();
    assert_eq!((written.known, written.version), (Some(1), Some(at(50))));
    run(ours.write(&cx(), &id("plain"), &[message(60, "new")], &WriteOptions::fresh())).unwrap();
    assert_eq!(super::texts(&ours, "plain").len(), 32);
    close(ours);
}

fn compare(ours: &dyn Backend, theirs: &dyn Backend, cx: &Context) {
    for (session, _) in contents() {
        let session = id(session);
        assert_eq!(super::model::set(ours, cx, &session), super::model::set(theirs, cx, &session));
        let query = MessageQuery::oldest_first();
        let (found, expected) = (run(ours.load(cx, &session, &query)), run(theirs.load(cx, &session, &query)));
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(|error| error.to_string()));
    }
    let visible = Scope::Visible { principals: vec!["bob".into()], roles: vec!["editors".into()] };
    for query in [
        SessionQuery::new().include(Include::All),
        SessionQuery::new().order(SessionOrder::RecentFirst),
        SessionQuery::new().scope(visible),
        SessionQuery::new().metadata("a", json::parse(r#"{"x":2,"y":1}"#).unwrap()),
    ] {
        let (mut found, mut expected) =
            (run(ours.sessions(cx, &query)).unwrap(), run(theirs.sessions(cx, &query)).unwrap());
        assert!(!expected.items.is_empty());
        // When each store was written is its own affair.
        for session in found.items.iter_mut().chain(&mut expected.items) {
            session.updated = std::time::UNIX_EPOCH;
        }
        assert_eq!(found.items, expected.items);
    }
}
