//! The big list of naughty strings, as messages and as names, where the shared test data is at hand. It is no part of
//! the kit, which has a list of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;

use craftx_core::{
    Backend, Context, Memory, Message, MessageQuery, Record, Role, SessionId, SessionQuery, Stamp, Tenant, WriteOptions,
};
use futures_executor::block_on;
use serde_json::Value;

/// The strings, or `None` if the data is not there.
fn naughty_strings() -> Option<Vec<String>> {
    let shared = std::env::var_os("CRAFTX_SHARED_DATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let file = shared.unwrap_or_else(beside).join("conversations/naughty_strings.jsonl");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: the naughty strings are not there (CRAFTX_SHARED_DATA names the folder of the data)");
        return None;
    };
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let strings: Vec<_> = lines
        .flat_map(|line| line["messages"].as_array().unwrap().clone())
        .filter_map(|message| message["content"].as_str().map(str::to_owned))
        .collect();
    assert!(strings.len() > 400, "{} strings", strings.len());
    Some(strings)
}

#[test]
fn naughty_strings_come_back_byte_for_byte() {
    let Some(strings) = naughty_strings() else { return };
    let (store, cx) = (Memory::new(), Context::new(Tenant::default()));
    let session = SessionId::new("naughty").unwrap();
    block_on(async {
        for (n, text) in (1..).zip(&strings) {
            let message = Message::new(Stamp::mint(n, None, 0).unwrap(), Role::User, text.as_str())
                .with_metadata(text.as_str(), text.as_str());
            store.write(&cx, &session, &[Record::Message(message)], &WriteOptions::fresh()).await.unwrap();
        }
        let found = store.load(&cx, &session, &MessageQuery::oldest_first().limit(1_000)).await.unwrap().items;
        let found: Vec<_> = found.iter().map(|message| message.text().unwrap()).collect();
        assert_eq!(found, strings);
    });
}

#[test]
fn naughty_names_of_sessions_stay_apart_or_are_refused() {
    let Some(strings) = naughty_strings() else { return };
    let (store, cx) = (Memory::new(), Context::new(Tenant::default()));
    let mut names: Vec<SessionId> = strings.iter().filter_map(|text| SessionId::new(text).ok()).collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 300, "{} names", names.len());
    block_on(async {
        for name in &names {
            let message = Message::new(Stamp::mint(1, None, 0).unwrap(), Role::User, name.as_str());
            store.write(&cx, name, &[Record::Message(message)], &WriteOptions::fresh()).await.unwrap();
        }
        let found = store.sessions(&cx, &SessionQuery::new().limit(1_000)).await.unwrap().items;
        assert!(found.iter().map(|session| &session.id).eq(names.iter()));
    });
}
