//! Nothing that was changed, moved or exchanged opens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use craftx_core::{
    Backend, Content, DynBackend, Error, ErrorKind, Message, Record, Role, Sealed, SessionId, Tenant, WriteOptions,
};
use data_encoding::BASE64URL_NOPAD;
use futures_executor::block_on;
use serde_json::{Value, json};

use common::*;

/// What a reader may say of what was changed. It never succeeds, and never says that there is nothing.
fn is_rejected(error: &Error) {
    let kinds = [ErrorKind::Tampered, ErrorKind::KeyUnavailable, ErrorKind::NotEncrypted, ErrorKind::SchemaTooNew];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
}

/// Reads one record out of a store with the keys of the house, in this tenant and session.
fn read(house: &House, tenant: &str, session: &str, record: Record) -> Result<(), Error> {
    let data: DynBackend = memory();
    let cx = cx().with_tenant(Tenant::new(tenant).unwrap());
    let session = SessionId::new(session).unwrap();
    block_on(data.write(&cx, &session, &[record], &WriteOptions::replay())).unwrap();
    let store = house.layer.over(data).unwrap();
    block_on(store.records(&cx, &session, None, None)).map(drop)
}

/// A house with two tenants that have two sessions each; all of them have the same messages, and both keys were renewed.
fn house() -> House {
    let house = House::new(keyring("a"), Default::default());
    for (tenant, session) in [("t", "s"), ("t", "r"), ("u", "s"), ("u", "r")] {
        let cx = cx().with_tenant(Tenant::new(tenant).unwrap());
        let write = |records: &[Record]| {
            block_on(house.store.write(&cx, &id(session), records, &WriteOptions::fresh())).unwrap();
        };
        let spoken = |ms, role| Record::Message(Message::new(at(ms), role, "canary").with_metadata("canary", "canary"));
        write(&[spoken(1, Role::User), spoken(2, Role::User), spoken(3, Role::Assistant)]);
        write(&[set(4, "a", "canary"), set(5, "b", "canary")]);
        block_on(house.store.reencrypt(&cx, &id(session))).unwrap();
        let options = WriteOptions::fresh();
        block_on(house.store.write(&cx, &id(session), &[spoken(6, Role::User)], &options)).unwrap();
    }
    house
}

fn sealed_records(house: &House, tenant: &str, session: &str) -> Vec<Record> {
    let cx = cx().with_tenant(Tenant::new(tenant).unwrap());
    block_on(house.data.records(&cx, &id(session), None, None)).unwrap().items
}

fn sealed(message: &Message) -> &Sealed {
    message.sealed.as_ref().unwrap()
}

/// The message with another ciphertext.
fn holding(message: &Message, generation: u32, digest: &str, envelope: &str) -> Record {
    Record::Message(message.clone().with_sealed(Sealed::new(generation, digest, envelope)))
}

#[test]
fn every_change_of_an_envelope_is_found() {
    let house = House::new(keyring("a"), Default::default());
    let mut random = Random(from_env("CRAFTX_TEST_SEED", 7));
    let mutations = from_env("CRAFTX_TEST_MUTATIONS", 20_000);
    let envelopes = (mutations / 100).clamp(10, 10_000);
    let mut tried = 0;
    for number in 0..envelopes {
        let text = "canary ".repeat(random.below(30) as usize);
        let session = format!("s{}", number % 50);
        write(&house.store, &session, &[said(number + 1, text)]).unwrap();
        let record = records(&*house.data, &session).pop().unwrap();
        let message = message(&record);
        let (digest, envelope) = (&sealed(message).digest, &sealed(message).envelope);
        let bytes = BASE64URL_NOPAD.decode(envelope.as_bytes()).unwrap();
        let opens = |record: Record| read(&house, "default", &session, record);
        opens(record.clone()).unwrap();
        while tried < mutations * (number + 1) / envelopes {
            tried += 1;
            let mut changed = bytes.clone();
            let place = random.below(changed.len() as u64) as usize;
            match random.below(10) {
                0 => changed.truncate(place),
                1 => changed.insert(place, random.below(256) as u8),
                2 => {
                    changed.remove(place);
                }
                3 => changed[place] ^= 1 + random.below(255) as u8,
                4 => {
                    let other = random.below(changed.len() as u64) as usize;
                    if changed[place] == changed[other] {
                        continue;
                    }
                    changed.swap(place, other);
                }
                5 => {
                    let end = (place + 1 + random.below(16) as usize).min(changed.len());
                    let before = changed.clone();
                    changed[place..end].fill(0);
                    if changed == before {
                        continue;
                    }
                }
                _ => changed[place] ^= 1 << random.below(8),
            }
            let changed = BASE64URL_NOPAD.encode(&changed);
            is_rejected(&opens(holding(message, 1, digest, &changed)).unwrap_err());
        }
        // And what stands beside it.
        is_rejected(&opens(holding(message, 2, digest, envelope)).unwrap_err());
        is_rejected(&opens(holding(message, 0, digest, envelope)).unwrap_err());
        let mut other = BASE64URL_NOPAD.decode(digest.as_bytes()).unwrap();
        other[random.below(16) as usize] ^= 1 << random.below(8);
        is_rejected(&opens(holding(message, 1, &BASE64URL_NOPAD.encode(&other), envelope)).unwrap_err());
        is_rejected(&opens(holding(message, 1, "", envelope)).unwrap_err());
        is_rejected(&opens(holding(message, 1, digest, "")).unwrap_err());
        is_rejected(&opens(holding(message, 1, digest, &format!("{envelope}="))).unwrap_err());
    }
    eprintln!("{tried} mutations of {envelopes} envelopes");
}

#[test]
fn nothing_opens_in_another_tenant_or_session() {
    let house = house();
    let places = [("t", "s"), ("t", "r"), ("u", "s"), ("u", "r")];
    for (tenant, session) in places {
        for record in sealed_records(&house, tenant, session) {
            for (other_tenant, other_session) in places {
                let result = read(&house, other_tenant, other_session, record.clone());
                match (tenant, session) == (other_tenant, other_session) {
                    true => result.unwrap(),
                    false => is_rejected(&result.unwrap_err()),
                }
            }
            is_rejected(&read(&house, "t", "a session without keys", record).unwrap_err());
        }
    }
}

#[test]
fn nothing_opens_under_the_id_role_parent_or_time_of_another_message() {
    let house = house();
    let all = sealed_records(&house, "t", "s");
    let messages: Vec<_> = all.iter().filter(|record| matches!(record, Record::Message(_))).map(message).collect();
    let mut swaps = 0;
    for one in &messages {
        for other in &messages {
            if one.id == other.id {
                continue;
            }
            // The envelope alone, with the digest, and with what is in sight of the other message.
            let (mine, theirs) = (sealed(one), sealed(other));
            for record in [
                holding(one, mine.generation, &mine.digest, &theirs.envelope),
                holding(one, theirs.generation, &theirs.digest, &theirs.envelope),
                holding(one, theirs.generation, &mine.digest, &mine.envelope),
                holding(one, mine.generation, &theirs.digest, &mine.envelope),
            ] {
                if record != Record::Message((*one).clone()) {
                    is_rejected(&read(&house, "t", "s", record).unwrap_err());
                    swaps += 1;
                }
            }
        }
        let mut role = (*one).clone();
        role.role = if one.role == Role::User { Role::System } else { Role::User };
        let parent = (*one).clone().with_parent(at(9));
        let time = (*one).clone().with_created_at("2025-06-28T00:33:47Z".parse().unwrap());
        let mut moved = (*one).clone();
        moved.id = at(77);
        for changed in [role, parent, time, moved] {
            is_rejected(&read(&house, "t", "s", Record::Message(changed)).unwrap_err());
            swaps += 1;
        }
        let mut plain = (*one).clone();
        plain.sealed = None;
        plain.content = Content::from("canary");
        assert_eq!(read(&house, "t", "s", Record::Message(plain)).unwrap_err().kind(), ErrorKind::NotEncrypted);
    }
    assert!(swaps > 40, "{swaps}");
}

fn values(record: &Record) -> (craftx_core::Stamp, &BTreeMap<String, Option<Value>>) {
    match record {
        Record::Session { stamp, set } => (*stamp, set),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_value_opens_under_another_key_or_in_another_change_and_none_as_a_message() {
    let house = house();
    let all = sealed_records(&house, "t", "s");
    let sets: Vec<_> = all.iter().filter(|record| matches!(record, Record::Session { .. })).map(values).collect();
    let (a, b) = (&sets[0], &sets[1]);
    let text = a.1["a"].as_ref().unwrap()["craftx.sealed"].as_str().unwrap().to_owned();
    let with = |stamp, key: &str, text: Value| Record::Session {
        stamp,
        set: BTreeMap::from([(key.to_owned(), Some(json!({ "craftx.sealed": text })))]),
    };
    read(&house, "t", "s", with(a.0, "a", json!(text))).unwrap();
    let parts: Vec<_> = text.splitn(4, '.').collect();
    let (generation, stamp, digest, envelope) = (parts[0], parts[1], parts[2], parts[3]);
    let (later, spoken) = (b.0, message(all.iter().find(|record| matches!(record, Record::Message(_))).unwrap()));
    let moved = format!("{generation}.{later}.{digest}.{envelope}");
    for record in [
        with(a.0, "b", json!(text)),
        with(b.0, "b", json!(text)),
        with(b.0, "a", json!(text)),
        with(b.0, "a", json!(moved)),
        with(a.0, "a", json!(format!("00000001.{stamp}.{digest}.{envelope}"))),
        with(a.0, "a", json!(format!("+0000002.{stamp}.{digest}.{envelope}"))),
        with(a.0, "a", json!(format!("2.{stamp}.{digest}.{envelope}"))),
        with(a.0, "a", json!(format!("{generation}.{stamp}.{}.{envelope}", sealed(spoken).digest))),
        with(a.0, "a", json!(format!("{generation}.{stamp}.{digest}.{}", sealed(spoken).envelope))),
        with(a.0, "a", json!(format!("{generation}.{stamp}.{}.{}", sealed(spoken).digest, sealed(spoken).envelope))),
        with(a.0, "a", json!(text.trim_end_matches(|last| last != '.'))),
        with(a.0, "a", json!(7)),
        with(a.0, "a", json!("")),
        holding(spoken, sealed(spoken).generation, digest, envelope),
        Record::Session { stamp: a.0, set: BTreeMap::from([("a".to_owned(), Some(json!("canary")))]) },
        Record::Session {
            stamp: a.0,
            set: BTreeMap::from([("a".to_owned(), Some(json!({ "craftx.sealed": text, "canary": 1 })))]),
        },
    ] {
        is_rejected(&read(&house, "t", "s", record).unwrap_err());
    }
}

#[test]
fn an_envelope_of_another_version_suite_or_key_does_not_open() {
    let house = house();
    let all = sealed_records(&house, "t", "s");
    for one in all.iter().filter(|record| matches!(record, Record::Message(_))).map(message) {
        let bytes = BASE64URL_NOPAD.decode(sealed(one).envelope.as_bytes()).unwrap();
        for (place, value) in [(0, b'c'), (1, b'x'), (2, 0), (2, 2), (2, 255), (3, 0), (3, 2)] {
            let mut changed = bytes.clone();
            changed[place] = value;
            let changed = BASE64URL_NOPAD.encode(&changed);
            let error = read(&house, "t", "s", holding(one, sealed(one).generation, &sealed(one).digest, &changed));
            let error = error.unwrap_err();
            is_rejected(&error);
            assert_eq!(error.kind() == ErrorKind::SchemaTooNew, place > 1, "{error}");
        }
        // The id of every other key that there is, and that of none.
        let keys = block_on(house.store.data_keys(&cx().with_tenant(Tenant::new("t").unwrap()), &id("s"))).unwrap();
        let ids = keys.iter().map(|key| key.id.parse().unwrap()).chain([at(1_000)]);
        for key in ids.filter(|key: &craftx_core::Stamp| key.as_bytes() != &bytes[4..20]) {
            let mut changed = bytes.clone();
            changed[4..20].copy_from_slice(key.as_bytes());
            let changed = BASE64URL_NOPAD.encode(&changed);
            for generation in [1, 2] {
                let record = holding(one, generation, &sealed(one).digest, &changed);
                is_rejected(&read(&house, "t", "s", record).unwrap_err());
            }
        }
    }
}

#[test]
fn a_key_that_was_changed_or_put_elsewhere_opens_nothing() {
    let ring = keyring("a");
    let house = House::new(Arc::clone(&ring), uncached());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    write(&house.store, "r", &[said(1, "hello")]).unwrap();
    let (mine, theirs) = (records(&*house.keys, "s").remove(0), records(&*house.keys, "r").remove(0));
    let body = |record: &Record| message(record).content.clone().into_value().unwrap();
    let with = |body: Value| {
        let mut changed = message(&mine).clone();
        changed.content = Content::from(body);
        House::over(house.data.clone(), replaced(&[Record::Message(changed)], "s"), Arc::clone(&ring), uncached())
    };
    assert_eq!(texts(&with(body(&mine)).store, "s"), ["hello"]);
    let change = |name: &str, value: Value| {
        let mut changed = body(&mine);
        changed[name] = value;
        changed
    };
    let wrapped = body(&mine)["wrapped"].as_str().unwrap().to_owned();
    let swapped = |(at, letter)| match (at, letter) {
        (40, 'A') => 'B',
        (40, _) => 'A',
        (_, letter) => letter,
    };
    let other: String = wrapped.chars().enumerate().map(swapped).collect();
    let mut kinds = Vec::new();
    for changed in [
        change("wrapped", body(&theirs)["wrapped"].clone()),
        change("wrapped", json!(other)),
        change("wrapped", json!("")),
        change("wrapped", json!("%")),
        change("generation", json!(2)),
        change("by", json!("b")),
        change("key", json!(at(5))),
        change("v", json!(2)),
        change("more", json!(1)),
        json!("canary"),
    ] {
        let error = load(&with(changed).store, "s").unwrap_err();
        kinds.push(error.kind());
        assert!(!format!("{error:?}").contains("canary"));
    }
    use ErrorKind::{Corrupted, KeyUnavailable, SchemaTooNew};
    let (gone, bad) = (KeyUnavailable, Corrupted);
    assert_eq!(kinds, [gone, gone, gone, bad, gone, gone, gone, SchemaTooNew, bad, bad]);
    // The whole key of another session.
    let moved = House::over(house.data.clone(), replaced(&[theirs], "s"), ring, uncached());
    assert_eq!(load(&moved.store, "s").unwrap_err().kind(), KeyUnavailable);
}
