//! What an encrypted store does, and what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use craftx_core::{
    Backend, Capabilities, Context, ErrorKind, Expect, ManualClock, Memory, Message, Outcome, Prepare, Record, Role,
    Sealed, SearchQuery, SessionQuery, Slot, Stack, Tenant, WriteOptions,
};
use craftx_encrypt::{Encrypt, EncryptConfig, Encrypted, Keyring};
use futures_executor::block_on;
use serde_json::json;

use common::*;

#[test]
fn what_is_written_is_read_and_the_store_below_holds_nothing_of_it() {
    for config in [EncryptConfig::default(), EncryptConfig::default().pad(true).seal_roles(true)] {
        let hides_roles = config.seal_roles;
        let house = House::new(keyring("a"), config);
        let records = [said(1, "canary text"), set(2, "title", json!({"canary": ["canary"]}))];
        write(&house.store, "s", &records).unwrap();
        let session = block_on(house.store.session(&cx(), &id("s"))).unwrap().unwrap();
        assert_eq!(session.metadata["title"], json!({"canary": ["canary"]}));
        let listed = block_on(house.store.sessions(&cx(), &SessionQuery::new())).unwrap();
        assert_eq!(listed.items, [session]);
        assert_eq!(common::records(&house.store, "s"), records);
        let (below, keys) = (bytes(&*house.data, "s"), bytes(&*house.keys, "s"));
        assert!(!below.contains("canary") && !keys.contains("canary"), "{below}{keys}");
        assert_eq!(below.contains("\"role\":\"user\""), !hides_roles, "{below}");
        assert!(below.contains("title"), "names of keys stay in clear");
    }
}

#[test]
fn a_retry_is_known_and_another_content_is_a_conflict() {
    let house = House::new(keyring("a"), uncached());
    let records = [said(1, "hello"), set(2, "title", "t")];
    assert_eq!(write(&house.store, "s", &records).unwrap().applied, Some(2));
    let before = bytes(&*house.data, "s");
    let again = write(&house.store, "s", &records).unwrap();
    assert_eq!((again.applied, again.known), (Some(0), Some(2)));
    assert_eq!(bytes(&*house.data, "s"), before, "a retry yields the same bytes");
    let error = write(&house.store, "s", &[said(1, "something else")]).unwrap_err();
    assert_eq!((error.kind(), error.get("id")), (ErrorKind::Conflict, Some(at(1).to_string().as_str())));
}

#[test]
fn a_retry_is_known_after_the_keys_were_renewed() {
    let house = House::new(keyring("a"), uncached());
    let options = WriteOptions::fresh().expecting(Expect::New);
    let records = [said(1, "hello"), set(2, "title", "t")];
    let retry = || block_on(house.store.write(&cx(), &id("s"), &records, &options));
    retry().unwrap();
    let renewed = block_on(house.store.reencrypt(&cx(), &id("s"))).unwrap();
    assert_eq!((renewed.generation, renewed.records), (2, 2));
    assert_eq!(retry().unwrap().known, Some(2));
    let version = |store: &dyn Backend| block_on(store.session(&cx(), &id("s"))).unwrap().unwrap().version;
    assert_eq!(version(&house.store), at(2), "renewing writes nothing that others could see");
    let error = write_expecting_new(&house.store, &[said(3, "more")]);
    assert_eq!(error.kind(), ErrorKind::Conflict, "what is not known still has to meet its expectation");
}

/// The new key is there, and nothing was encrypted with it yet.
#[test]
fn a_retry_is_known_while_a_renewal_is_interrupted() {
    let faults = Arc::new(Faults::default());
    let house = House::over(faults.around(memory()), memory(), keyring("a"), uncached());
    let options = WriteOptions::fresh().expecting(Expect::New);
    let records = [said(1, "hello"), set(2, "title", "t")];
    let retry = || block_on(house.store.write(&cx(), &id("s"), &records, &options));
    retry().unwrap();
    faults.after(0, Fault::FailsBefore);
    block_on(house.store.reencrypt(&cx(), &id("s"))).unwrap_err();
    faults.never();
    assert_eq!(block_on(house.store.data_keys(&cx(), &id("s"))).unwrap().len(), 2);
    assert_eq!(retry().unwrap().known, Some(2));
    let mut other = records.clone();
    other[0] = said(1, "something else");
    let error = block_on(house.store.write(&cx(), &id("s"), &other, &options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(texts(&house.store, "s"), ["hello"]);
}

fn write_expecting_new(store: &dyn Backend, records: &[Record]) -> craftx_core::Error {
    block_on(store.write(&cx(), &id("s"), records, &WriteOptions::fresh().expecting(Expect::New))).unwrap_err()
}

#[test]
fn the_same_text_looks_different_elsewhere() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    write(&house.store, "s", &[said(1, "yes"), said(2, "yes"), set(3, "a", "yes"), set(4, "b", "yes")]).unwrap();
    let other = cx().with_tenant(Tenant::new("other").unwrap());
    block_on(house.store.write(&other, &id("s"), &[said(1, "yes")], &WriteOptions::fresh())).unwrap();
    let mut envelopes: Vec<String> = records(&*house.data, "s")
        .iter()
        .map(|record| match record {
            Record::Message(message) => message.sealed.as_ref().unwrap().envelope.clone(),
            Record::Session { set, .. } => set.values().flatten().next().unwrap().to_string(),
            _ => panic!("{record:?}"),
        })
        .collect();
    let abroad = block_on(house.data.records(&other, &id("s"), None, None)).unwrap();
    envelopes.push(message(&abroad.items[0]).sealed.as_ref().unwrap().envelope.clone());
    // The header with the id of the key is the same; what follows is not.
    let ends: std::collections::BTreeSet<_> =
        envelopes.iter().map(|text| text.bytes().rev().take(90).collect::<Vec<_>>()).collect();
    assert_eq!(ends.len(), 5);
}

#[test]
fn a_wrong_key_is_an_error_that_names_message_and_key_and_nothing_is_lost() {
    let house = House::new(keyring("a"), uncached());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    let before = bytes(&*house.data, "s");
    for (keyring, why) in [(keyring("a"), "not the one"), (keyring("b"), "lacks")] {
        let wrong = house.with(keyring);
        let error = load(&wrong.store, "s").unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::KeyUnavailable, "load"));
        assert!(error.message().contains(why), "{error}");
        assert_eq!(error.get("key"), Some("`a`"));
        assert_eq!(error.get("id"), Some(at(1).to_string().as_str()));
        assert_eq!(error.get("session"), Some("`s`"));
        let error = write(&wrong.store, "s", &[said(2, "more")]).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::KeyUnavailable, Outcome::NotApplied));
        assert!(block_on(wrong.store.records(&cx(), &id("s"), None, None)).is_err());
    }
    assert_eq!(bytes(&*house.data, "s"), before);
    assert_eq!(texts(&house.store, "s"), ["hello"]);
}

#[test]
fn a_lost_key_store_is_an_error_that_names_the_data_key() {
    let keyring = keyring("a");
    let house = House::new(Arc::clone(&keyring), uncached());
    write(&house.store, "s", &[said(1, "hello"), set(2, "title", "t")]).unwrap();
    let lost = House::over(house.data.clone(), memory(), keyring, uncached());
    let error = load(&lost.store, "s").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.get("data_key").is_some() && error.get("id").is_some(), "{error}");
    let error = block_on(lost.store.sessions(&cx(), &SessionQuery::new())).unwrap_err();
    assert_eq!((error.kind(), error.get("metadata_key")), (ErrorKind::KeyUnavailable, Some("`title`")));
}

#[test]
fn a_destroyed_key_is_an_error_and_a_retired_one_still_reads() {
    let mut ring = Keyring::generate("a").unwrap();
    let text = ring.to_text().unwrap();
    let house = House::new(Arc::new(Keyring::parse(&text).unwrap()), uncached());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    ring.add("b").unwrap();
    ring.retire("a").unwrap();
    let retired = house.with(Arc::new(Keyring::parse(&ring.to_text().unwrap()).unwrap()));
    assert_eq!(texts(&retired.store, "s"), ["hello"]);
    ring.destroy("a").unwrap();
    let destroyed = house.with(Arc::new(Keyring::parse(&ring.to_text().unwrap()).unwrap()));
    let error = load(&destroyed.store, "s").unwrap_err();
    assert_eq!((error.kind(), error.get("key")), (ErrorKind::KeyUnavailable, Some("`a`")));
    assert!(error.message().contains("destroyed"), "{error}");
}

#[test]
fn plaintext_where_ciphertext_must_be_is_an_error_that_names_it() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    write(&*house.data, "s", &[said(1, "canary"), set(2, "title", "canary")]).unwrap();
    let error = load(&house.store, "s").unwrap_err();
    assert_eq!((error.kind(), error.get("id")), (ErrorKind::NotEncrypted, Some(at(1).to_string().as_str())));
    let error = block_on(house.store.session(&cx(), &id("s"))).unwrap_err();
    assert_eq!((error.kind(), error.get("metadata_key")), (ErrorKind::NotEncrypted, Some("`title`")));
    let error = block_on(house.store.records(&cx(), &id("s"), None, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);
    assert!(!format!("{error:?}").contains("canary"));
    let verified = block_on(house.store.verify(&cx())).unwrap();
    assert_eq!(verified.problems.len(), 2, "{verified:?}");
}

#[test]
fn ciphertext_from_above_is_refused() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    write(&house.store, "s", &[said(1, "hello"), set(2, "title", "t")]).unwrap();
    for record in records(&*house.data, "s") {
        for options in [WriteOptions::fresh(), WriteOptions::replay()] {
            let error = block_on(house.store.write(&cx(), &id("t"), std::slice::from_ref(&record), &options));
            assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
    let forged = Message::new(at(9), Role::User, "").with_sealed(Sealed::new(9, "x", "x"));
    assert!(write(&house.store, "s", &[Record::Message(forged)]).is_err());
    assert!(write(&house.store, "s", &[set(9, "k", json!({"craftx.sealed": 1, "b": 2}))]).is_err());
    assert!(block_on(house.data.session(&cx(), &id("t"))).unwrap().is_none());
}

#[test]
fn deletions_need_no_key() {
    let house = House::new(keyring("a"), uncached());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    let faults = Arc::new(Faults::default());
    let away = House::over(house.data.clone(), faults.around(house.keys.clone()), keyring("b"), uncached());
    faults.after(0, Fault::FailsBefore);
    let clear = Record::Cleared { through: at(1), stamp: at(2) };
    write(&away.store, "s", &[Record::Deleted { id: at(1), stamp: at(2) }, clear]).unwrap();
    let remove = Record::Session { stamp: at(3), set: [("title".to_owned(), None)].into() };
    write(&away.store, "s", &[remove]).unwrap();
    assert_eq!(faults.calls_of(0), 0);
    write(&house.store, "t", &[Record::Deleted { id: at(1), stamp: at(2) }]).unwrap();
    assert!(records(&*house.keys, "t").is_empty(), "and make none");
}

#[test]
fn while_the_key_store_is_away_nothing_is_written_and_nothing_looks_empty() {
    let faults = Arc::new(Faults::default());
    let house = House::over(memory(), faults.around(memory()), keyring("a"), uncached());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    for fault in [Fault::FailsBefore, Fault::FailsAfter] {
        faults.after(0, fault);
        let error = write(&house.store, "s", &[said(2, "more")]).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
        assert_eq!((error.get("by"), error.retry()), (Some("key store"), craftx_core::Retry::Later));
        assert_eq!(load(&house.store, "s").unwrap_err().kind(), ErrorKind::Unavailable);
    }
    faults.never();
    assert_eq!(texts(&house.store, "s"), ["hello"]);
}

#[test]
fn a_key_is_durable_before_its_first_ciphertext() {
    let faults = Arc::new(Faults::default());
    for fault in FAULTS {
        for calls in 0..8 {
            let (data, keys) = (memory(), memory());
            let ring = keyring("a");
            let cut = House::over(
                faults.around(data.clone()),
                faults.around(keys.clone()),
                Arc::clone(&ring),
                EncryptConfig::default(),
            );
            faults.after(calls, fault);
            let records = [said(1, "hello")];
            let options = WriteOptions::fresh();
            let done = poll_and_drop(cut.store.write(&cx(), &id("s"), &records, &options));
            faults.never();
            let after = House::over(data, keys, ring, uncached());
            match load(&after.store, "s") {
                Ok(messages) => assert_eq!(messages, [message(&records[0]).clone()]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{calls} {fault:?}"),
            }
            if matches!(done, Some(Ok(_))) {
                assert_eq!(texts(&after.store, "s"), ["hello"]);
            }
            write(&after.store, "s", &records).unwrap();
            assert_eq!(texts(&after.store, "s"), ["hello"]);
            let uses = block_on(after.store.data_keys(&cx(), &id("s"))).unwrap();
            assert_eq!(uses.iter().map(|key| key.records).sum::<u64>(), 1, "an orphan protects nothing");
        }
    }
}

#[test]
fn unwrapped_keys_are_forgotten_in_time() {
    let clock = Arc::new(ManualClock::new(std::time::UNIX_EPOCH + Duration::from_secs(1_000)));
    let cx = cx().with_clock(clock.clone());
    let house = House::new(keyring("a"), EncryptConfig::default().cache_ms(5_000));
    block_on(house.store.write(&cx, &id("s"), &[said(1, "hello")], &WriteOptions::fresh())).unwrap();
    // Another process shreds the session's keys.
    let other = House::over(house.data.clone(), house.keys.clone(), keyring("a"), uncached());
    let kept = records(&*house.data, "s");
    block_on(other.store.shred(&cx, &id("s"))).unwrap();
    let restored = House { data: replaced(&kept, "s"), ..house };
    let reader = Encrypted::clone(&restored.store);
    let backup = Encrypt::new(keyring("a"), restored.keys.clone(), uncached()).unwrap().over(restored.data).unwrap();
    assert_eq!(load(&backup, "s").unwrap_err().kind(), ErrorKind::KeyUnavailable);
    clock.advance(Duration::from_secs(5));
    let error = block_on(reader.write(&cx, &id("s"), &[said(2, "new")], &WriteOptions::fresh()));
    assert!(error.is_ok(), "a new key is made");
    assert_eq!(block_on(restored.store.data_keys(&cx, &id("s"))).unwrap().len(), 1);
}

#[test]
fn what_cannot_be_done_with_ciphertext_is_unsupported() {
    let layer = Encrypt::new(keyring("a"), memory(), EncryptConfig::default()).unwrap();
    let stack = Stack::builder("memory", memory()).layer(layer.clone()).build().unwrap();
    let can = stack.capabilities();
    assert!(!can.search.is_yes() && !can.metadata_filter.is_yes() && !can.sealed.is_yes());
    assert!(stack.describe().contains("encrypt (removes sealed, metadata_filter, search)"), "{}", stack.describe());
    let error = block_on(stack.backend().search(&cx(), &SearchQuery::new("x"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = block_on(stack.backend().sessions(&cx(), &SessionQuery::new().metadata("a", 1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(stack.find::<Encrypted>().is_some() && stack.find::<Memory>().is_some());
    assert!(stack.below(Slot::Encrypt).unwrap().capabilities().search.is_yes());
    let twice = Stack::builder("memory", memory()).layer(layer.clone()).layer(layer).build().unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Unsupported, "what is sealed is not sealed again");
}

#[test]
fn a_key_store_that_is_mirrored_later_is_refused() {
    let keys = Arc::new(Capable { inner: memory(), can: memory().capabilities().mirrored_later(true) });
    let error = Encrypt::new(keyring("a"), keys, EncryptConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let keys = Arc::new(Capable { inner: memory(), can: Capabilities::default() });
    let error = Encrypt::new(keyring("a"), keys, EncryptConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn only_the_system_rotates_renews_and_shreds() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    let cx = Context::new(Tenant::default());
    let errors = [
        block_on(house.store.rotate(&cx)).unwrap_err(),
        block_on(house.store.rotation_status(&cx)).unwrap_err(),
        block_on(house.store.reencrypt(&cx, &id("s"))).unwrap_err(),
        block_on(house.store.data_keys(&cx, &id("s"))).unwrap_err(),
        block_on(house.store.shred(&cx, &id("s"))).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
}

#[test]
fn a_record_whose_ciphertext_is_too_large_is_refused() {
    let small = Stack::builder("memory", memory());
    let limits: craftx_core::Limits = serde_json::from_value(json!({ "max_record_bytes": 4_000 })).unwrap();
    let small = small.layer(craftx_core::Validate::new(limits)).build().unwrap().backend().clone();
    let house = House::over(small, memory(), keyring("a"), EncryptConfig::default());
    assert_eq!(house.store.capabilities().max_record_bytes, None);
    write(&house.store, "s", &[said(1, "a".repeat(2_000))]).unwrap();
    let error = write(&house.store, "s", &[said(2, "a".repeat(3_500))]).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidInput, Outcome::NotApplied));
    assert_eq!(load(&house.store, "s").unwrap().len(), 1);
}

#[test]
fn with_an_empty_key_store_nothing_is_written_to_what_is_there() {
    let ring = keyring("a");
    let house = House::new(ring.clone(), EncryptConfig::default());
    write(&house.store, "messages", &[said(1, "hello")]).unwrap();
    write(&house.store, "metadata", &[set(1, "title", "x")]).unwrap();
    let lost = House::over(house.data.clone(), memory(), ring, EncryptConfig::default());
    for session in ["messages", "metadata"] {
        let error = write(&lost.store, session, &[said(2, "more")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert_eq!(error.get("session"), Some(&*format!("`{session}`")));
        assert!(common::records(&*lost.keys, session).is_empty(), "no key was made");
        write(&house.store, session, &[said(2, "more")]).unwrap();
    }
    write(&lost.store, "new", &[said(1, "hello")]).unwrap();
}

#[test]
fn one_store_for_data_and_keys_is_refused_when_it_is_opened() {
    let one = memory();
    let house = House::over(one.clone(), one, keyring("a"), EncryptConfig::default());
    let error = block_on(house.store.prepare(&cx(), Prepare::Migrate)).unwrap_err();
    assert_eq!((error.kind(), error.get("key")), (ErrorKind::ConfigInvalid, Some("`keys`")));
    let house = House::new(keyring("a"), EncryptConfig::default());
    block_on(house.store.prepare(&cx(), Prepare::Migrate)).unwrap();
}
