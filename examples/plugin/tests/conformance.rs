//! The journal keeps every promise of a backend, and what only a journal can get wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::sync::Arc;

use craftx_conformance::{Subject, conformance};
use craftx_core::{
    Backend, Context, DynBackend, ErrorKind, Location, Message, MessageQuery, Prepare, Record, Registry, Role,
    SessionId, StackConfig, Stamp, Tenant, WriteOptions,
};
use craftx_example_plugin::Journal;
use futures_executor::block_on;
use serde_json::json;

conformance!(journal, || async {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store.journal");
    let open = {
        let path = path.clone();
        move || std::future::ready(Ok(Arc::new(Journal::new(&path)) as DynBackend))
    };
    Ok(Subject::from(open().await?).reopening(open).with_bytes(move || Ok(fs::read(&path)?)).holding(folder))
});

fn cx() -> Context {
    Context::system(Tenant::default())
}

fn say(ms: u64, text: &str) -> Record {
    Record::Message(Message::new(Stamp::mint(ms, None, 0).unwrap(), Role::User, text))
}

/// A journal with two messages, closed; gives its folder and path.
fn two_messages() -> (tempfile::TempDir, std::path::PathBuf, SessionId) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.journal");
    let session = SessionId::new("s").unwrap();
    let journal = Journal::new(&path);
    block_on(async {
        journal.prepare(&cx(), Prepare::Migrate).await.unwrap();
        for record in [say(1, "one"), say(2, "two")] {
            journal.write(&cx(), &session, &[record], &WriteOptions::fresh()).await.unwrap();
        }
        journal.close(&cx()).await.unwrap();
    });
    (folder, path, session)
}

#[test]
fn a_torn_last_line_is_cut_off_and_the_rest_is_there() {
    let (_folder, path, session) = two_messages();
    let whole = fs::read(&path).unwrap();
    let second = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in second..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let journal = Journal::new(&path);
        block_on(async {
            journal.prepare(&cx(), Prepare::Open).await.unwrap();
            let found = journal.load(&cx(), &session, &MessageQuery::oldest_first()).await.unwrap();
            assert_eq!(found.items.len(), 1);
            journal.write(&cx(), &session, &[say(3, "three")], &WriteOptions::fresh()).await.unwrap();
        });
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }
}

#[test]
fn a_changed_byte_is_corruption_that_names_the_line() {
    let (_folder, path, _) = two_messages();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("one", "eno")).unwrap();
    let error = block_on(Journal::new(&path).prepare(&cx(), Prepare::Open)).unwrap_err();
    assert_eq!((error.kind(), error.get("line")), (ErrorKind::Corrupted, Some("2")));
}

#[test]
fn a_second_handle_is_refused_while_the_first_is_open() {
    let (_folder, path, _) = two_messages();
    let (one, other) = (Journal::new(&path), Journal::new(&path));
    block_on(one.prepare(&cx(), Prepare::Open)).unwrap();
    assert_eq!(block_on(other.prepare(&cx(), Prepare::Open)).unwrap_err().kind(), ErrorKind::Locked);
    block_on(one.close(&cx())).unwrap();
    assert!(block_on(other.prepare(&cx(), Prepare::Open)).is_ok());
}

#[test]
fn a_missing_journal_is_created_only_if_the_caller_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.journal");
    for mode in [Prepare::Check, Prepare::Open] {
        assert_eq!(block_on(Journal::new(&path).prepare(&cx(), mode)).unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_url_and_a_table_of_a_configuration_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::new();
    craftx_example_plugin::register(&mut registry);
    let path = folder.path().join("a.journal").display().to_string();
    let by_url = registry.build(&Location::parse(&format!("journal:{path}")).unwrap()).unwrap();
    block_on(by_url.prepare(&cx(), Prepare::Migrate)).unwrap();
    block_on(by_url.close(&cx())).unwrap();
    let table = StackConfig::from_table(json!({ "backend": "journal", "journal": { "path": path } })).unwrap();
    let by_table = registry.build_stack(&table).unwrap();
    block_on(by_table.backend().prepare(&cx(), Prepare::Open)).unwrap();
    assert_eq!(block_on(by_table.backend().status(&cx())).unwrap().scheme, "journal");
}

#[test]
fn a_wrong_option_is_named() {
    let mut registry = Registry::new();
    craftx_example_plugin::register(&mut registry);
    let wrong = StackConfig::new("journal").option("journal", "paht", "a.journal");
    let error = registry.build_stack(&wrong).unwrap_err();
    assert_eq!(error.to_string(), "configure: there is no such key, key: `journal.paht`, nearest: `path`");
    let url = Location::parse("journal:a.journal?pth=b").unwrap();
    assert_eq!(registry.build(&url).unwrap_err().get("nearest"), Some("`path`"));
}
