//! What an earlier release has written opens for ever, and is written in the same way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::sync::Arc;

use craftx_core::{Backend, Content, Message, Record, Role, SecretString, WriteOptions};
use craftx_encrypt::{EncryptConfig, Keyring};
use futures_executor::block_on;
use serde_json::{Value, json};

use common::*;

/// Version 1, and what a store would be filled with to make the file of the next one.
const VERSION_1: &str = "tests/golden/v1.json";

fn plain() -> Vec<Record> {
    let spoken =
        |ms, role: &str, content: Value| Message::new(at(ms), Role::new(role).unwrap(), Content::from(content));
    let reply = spoken(3, "assistant", json!([{"type": "text", "text": "hi"}, {"n": [1.5, -0.0, u64::MAX, null]}]));
    let reply = reply.with_parent(at(2)).with_created_at("2025-06-28T00:33:47.214584".parse().unwrap());
    vec![
        Record::Message(spoken(1, "system", json!(""))),
        Record::Message(
            spoken(2, "user", json!("hé \0\u{7f}\n\"/\\\u{2028}")).with_metadata("b", json!({"z": 1, "a": 2})),
        ),
        Record::Message(reply.with_metadata("model", "m-1")),
        Record::Message(Message::new(at(4), Role::new("developer").unwrap(), Content::Absent)),
        Record::Message(spoken(5, "tool", Value::Null)),
        set(6, "title", "a title"),
        set(7, "any", json!({"list": [true, null, 0.1]})),
    ]
}

fn lines(value: &Value) -> Vec<Record> {
    value.as_array().unwrap().iter().map(|line| Record::parse(line.as_str().unwrap()).unwrap()).collect()
}

fn text(records: &[Record]) -> Value {
    records.iter().map(|record| record.encode().into_string()).collect()
}

/// Everything that a file has to hold: a session before and after its key was renewed, padded and not, with roles in sight
/// and hidden, and keys that were wrapped by a retired key.
fn written() -> Value {
    let mut ring = Keyring::generate("first").unwrap();
    let mut sessions = serde_json::Map::new();
    let (data, keys) = (memory(), memory());
    let house = |ring: &Keyring, config: EncryptConfig| {
        let ring = Arc::new(Keyring::parse(&ring.to_text().unwrap()).unwrap());
        House::over(data.clone(), keys.clone(), ring, config.cache_ms(0))
    };
    write(&house(&ring, EncryptConfig::default()).store, "plain", &plain()).unwrap();
    write(&house(&ring, EncryptConfig::default().pad(true).seal_roles(true)).store, "hidden", &plain()).unwrap();
    ring.add("second").unwrap();
    ring.retire("first").unwrap();
    write(&house(&ring, EncryptConfig::default()).store, "renewed", &plain()).unwrap();
    block_on(house(&ring, EncryptConfig::default().pad(true)).store.reencrypt(&cx(), &id("renewed"))).unwrap();
    for name in ["plain", "hidden", "renewed"] {
        let sealed = text(&records(&*data, name));
        sessions.insert(name.to_owned(), json!({ "keys": text(&records(&*keys, name)), "sealed": sealed }));
    }
    let ring: Value = serde_json::from_str(ring.to_text().unwrap().expose()).unwrap();
    json!({ "keyring": ring, "plain": text(&plain()), "sessions": sessions })
}

#[test]
fn what_version_1_wrote_opens_and_is_written_again_in_the_same_way() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(VERSION_1);
    if !path.exists() && std::env::var_os("CRAFTX_UPDATE").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&written()).unwrap() + "\n").unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let ring = Arc::new(Keyring::parse(&SecretString::new(golden["keyring"].to_string())).unwrap());
    let plain = lines(&golden["plain"]);
    for (name, session) in golden["sessions"].as_object().unwrap() {
        let (sealed, keys) = (lines(&session["sealed"]), lines(&session["keys"]));
        let house = House::over(replaced(&sealed, name), replaced(&keys, name), Arc::clone(&ring), uncached());
        let mut opened = records(&house.store, name);
        opened.sort_by_key(Record::stamp);
        assert_eq!(opened, plain, "{name}");
        // The same records, under the same keys, give the same bytes.
        let config = match name.as_str() {
            "plain" => EncryptConfig::default(),
            "hidden" => EncryptConfig::default().pad(true).seal_roles(true),
            _ => EncryptConfig::default().pad(true),
        };
        let again = House::over(memory(), house.keys, Arc::clone(&ring), config);
        block_on(again.store.write(&cx(), &id(name), &plain, &WriteOptions::replay())).unwrap();
        let sorted = |mut records: Vec<Record>| {
            records.sort_by_key(Record::stamp);
            records
        };
        assert!(sorted(records(&*again.data, name)) == sorted(sealed), "{name}");
    }
    assert!(golden["sessions"]["renewed"]["keys"][0].as_str().unwrap().contains("\"generation\":2"));
}
