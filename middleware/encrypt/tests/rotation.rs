//! Rotation, renewal and shredding, killed at any point and racing with each other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;

use craftx_core::{Backend, DynBackend, Record, SessionId, WriteOptions};
use craftx_encrypt::{EncryptConfig, Encrypted, KeyState, Keyring};
use futures_executor::block_on;

use common::*;

const SESSIONS: u64 = 5;

/// A keyring with a new primary key, and one without the old key.
fn rotated(old: &Keyring) -> (Arc<Keyring>, Arc<Keyring>) {
    let mut ring = Keyring::parse(&old.to_text().unwrap()).unwrap();
    ring.add("new").unwrap();
    let with_old = Keyring::parse(&ring.to_text().unwrap()).unwrap();
    let old = ring.keys().next().unwrap().id;
    ring.retire(&old).unwrap();
    ring.destroy(&old).unwrap();
    (Arc::new(with_old), Arc::new(ring))
}

fn name(session: u64) -> String {
    format!("session {session}")
}

fn filled(house: &House) {
    for session in 0..SESSIONS {
        let records = [said(1, format!("hello {session}")), set(2, "title", session)];
        write(&house.store, &name(session), &records).unwrap();
    }
}

fn all_there(store: &Encrypted) {
    for session in 0..SESSIONS {
        assert_eq!(texts(store, &name(session)), [format!("hello {session}")]);
        let found = block_on(store.session(&cx(), &id(&name(session)))).unwrap().unwrap();
        assert_eq!(found.metadata["title"], session);
    }
}

#[test]
fn a_rotation_needs_the_new_key_alone_and_touches_no_message() {
    let old = keyring("old");
    let house = House::new(Arc::clone(&old), uncached());
    filled(&house);
    let before: Vec<_> = (0..SESSIONS).map(|session| bytes(&*house.data, &name(session))).collect();
    let (both, new) = rotated(&old);
    let status = |ring: &Arc<Keyring>| block_on(house.with(Arc::clone(ring)).store.rotation_status(&cx())).unwrap();
    let uses = |ring| status(ring).keys.into_iter().map(|key| (key.id, key.state, key.data_keys)).collect::<Vec<_>>();
    assert_eq!(
        uses(&both),
        [("old".into(), Some(KeyState::Enabled), SESSIONS), ("new".into(), Some(KeyState::Primary), 0)]
    );
    assert!(!status(&both).is_complete());
    let done = block_on(house.with(Arc::clone(&both)).store.rotate(&cx())).unwrap();
    assert_eq!((done.sessions, done.rewrapped, done.failed), (SESSIONS, SESSIONS, 0));
    assert_eq!(uses(&both)[0].2, 0);
    assert!(status(&both).is_complete() && status(&new).is_complete());
    all_there(&house.with(Arc::clone(&new)).store);
    let after: Vec<_> = (0..SESSIONS).map(|session| bytes(&*house.data, &name(session))).collect();
    assert_eq!(after, before);
    let again = block_on(house.with(new).store.rotate(&cx())).unwrap();
    assert_eq!((again.rewrapped, again.removed), (0, 0), "there is an end");
}

#[test]
fn a_key_that_cannot_be_unwrapped_is_told_and_does_not_stop_the_others() {
    let old = keyring("old");
    let house = House::new(Arc::clone(&old), uncached());
    filled(&house);
    let stranger = house.with(keyring("stranger"));
    write(&stranger.store, "foreign", &[said(1, "x")]).unwrap();
    let (both, _) = rotated(&old);
    let done = block_on(house.with(Arc::clone(&both)).store.rotate(&cx())).unwrap();
    assert_eq!((done.rewrapped, done.failed, done.problems.len()), (SESSIONS, 1, 1));
    let status = block_on(house.with(both).store.rotation_status(&cx())).unwrap();
    let unknown = status.keys.iter().find(|key| key.id == "stranger").unwrap();
    assert_eq!((unknown.state, unknown.data_keys), (None, 1));
    assert!(!status.is_complete());
    assert_eq!(texts(&stranger.store, "foreign"), ["x"]);
}

/// What is done to the stores, and how many calls it makes of them.
type Deed = fn(&Encrypted) -> std::pin::Pin<Box<dyn Future<Output = bool> + '_>>;

fn rotate(store: &Encrypted) -> std::pin::Pin<Box<dyn Future<Output = bool> + '_>> {
    Box::pin(async { store.rotate(&cx()).await.is_ok() })
}

fn renew(store: &Encrypted) -> std::pin::Pin<Box<dyn Future<Output = bool> + '_>> {
    Box::pin(async {
        let mut done = true;
        for session in 0..SESSIONS {
            done &= store.reencrypt(&cx(), &id(&name(session))).await.is_ok();
        }
        done
    })
}

/// How many calls of the stores a deed makes.
fn calls_of(deed: Deed) -> u64 {
    let faults = Arc::new(Faults::default());
    let ring = keyring("old");
    let house = House::over(faults.around(memory()), faults.around(memory()), Arc::clone(&ring), uncached());
    filled(&house);
    let rotating = House::over(house.data, house.keys, rotated(&ring).0, uncached());
    faults.after(1_000, Fault::FailsBefore);
    assert!(block_on(deed(&rotating.store)));
    faults.calls_of(1_000) as u64
}

/// Kills a deed at random points until `points` have been hit, and looks whether everything still opens; then does it
/// again to its end.
fn killed(deed: Deed, points: u64, compares: bool) {
    let mut random = Random(from_env("CRAFTX_TEST_SEED", 1));
    let calls = calls_of(deed);
    let mut hit = 0;
    while hit < points {
        let old = keyring("old");
        let (data, keys) = (memory(), memory());
        filled(&House::over(data.clone(), keys.clone(), Arc::clone(&old), uncached()));
        let (both, new) = rotated(&old);
        // The same stores are killed again and again, until once it gets through.
        loop {
            let faults = Arc::new(Faults::default());
            let can = keys.capabilities();
            let can = if compares { can } else { can.compare_and_append(craftx_core::Support::No) };
            let weak: DynBackend = Arc::new(Capable { inner: keys.clone(), can });
            let house = House::over(faults.around(data.clone()), faults.around(weak), Arc::clone(&both), uncached());
            let fault = FAULTS[random.below(4) as usize];
            faults.after(random.below(calls + 1) as i64, fault);
            let done = poll_and_drop(deed(&house.store));
            hit += u64::from(faults.fired());
            all_there(&House::over(data.clone(), keys.clone(), Arc::clone(&both), uncached()).store);
            if done == Some(true) && !faults.fired() {
                break;
            }
        }
        block_on(House::over(data.clone(), keys.clone(), both, uncached()).store.rotate(&cx())).unwrap();
        all_there(&House::over(data, keys, new, uncached()).store);
    }
}

#[test]
fn a_rotation_that_is_killed_anywhere_loses_nothing_and_comes_to_an_end() {
    killed(rotate, from_env("CRAFTX_TEST_KILLS", 1_000), true);
}

#[test]
fn a_rotation_over_a_key_store_that_cannot_compare_loses_nothing_either() {
    killed(rotate, from_env("CRAFTX_TEST_KILLS", 1_000) / 4, false);
}

#[test]
fn a_renewal_that_is_killed_anywhere_loses_nothing_and_comes_to_an_end() {
    killed(renew, from_env("CRAFTX_TEST_KILLS", 1_000), true);
}

#[test]
fn a_renewal_ends_with_one_key_and_the_old_ones_gone() {
    let house = House::new(keyring("a"), EncryptConfig::default().cache_ms(0).seal_roles(true));
    write(&house.store, "s", &[said(1, "hello"), set(2, "title", "t")]).unwrap();
    let before = records(&house.store, "s");
    let renewed = block_on(house.store.reencrypt(&cx(), &id("s"))).unwrap();
    assert_eq!((renewed.generation, renewed.records, renewed.removed, renewed.kept), (2, 2, 1, 0));
    assert_eq!(records(&house.store, "s"), before);
    let keys = block_on(house.store.data_keys(&cx(), &id("s"))).unwrap();
    assert_eq!(keys.iter().map(|key| (key.generation, key.records)).collect::<Vec<_>>(), [(2, 2)]);
    write(&house.store, "s", &[said(3, "more")]).unwrap();
    let again = block_on(house.store.reencrypt(&cx(), &id("s"))).unwrap();
    assert_eq!((again.generation, again.records), (3, 3));
    assert_eq!(texts(&house.store, "s"), ["hello", "more"]);
}

#[test]
fn an_old_key_is_kept_while_somebody_may_still_write_with_it() {
    let ring = keyring("a");
    let house = House::new(Arc::clone(&ring), EncryptConfig::default());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    let other = House::over(house.data.clone(), house.keys.clone(), ring, EncryptConfig::default());
    let renewed = block_on(other.store.reencrypt(&cx(), &id("s"))).unwrap();
    assert_eq!((renewed.removed, renewed.kept), (0, 1));
    // This process has the old key in memory.
    write(&house.store, "s", &[said(2, "late")]).unwrap();
    assert_eq!(texts(&other.store, "s"), ["hello", "late"]);
    let finished = block_on(other.store.reencrypt(&cx(), &id("s"))).unwrap();
    assert_eq!((finished.generation, finished.records), (2, 1), "no third key is made");
}

#[test]
fn a_renewed_ciphertext_takes_the_place_of_the_old_one_in_a_copy() {
    let house = House::new(keyring("a"), uncached());
    write(&house.store, "s", &[said(1, "hello"), set(2, "title", "t")]).unwrap();
    let old = records(&*house.data, "s");
    block_on(house.store.reencrypt(&cx(), &id("s"))).unwrap();
    let new = records(&*house.data, "s");
    for (first, second) in [(&old, &new), (&new, &old)] {
        let copy = replaced(first, "s");
        block_on(copy.write(&cx(), &id("s"), second, &WriteOptions::replay())).unwrap();
        let mut both = records(&*copy, "s");
        both.sort_by_key(Record::stamp);
        assert_eq!(both, new);
    }
}

/// A renewal is stopped at each of its calls; meanwhile somebody deletes, clears and changes a title; then it goes on.
#[test]
fn what_was_deleted_or_changed_during_a_renewal_stays_so() {
    let mut met = 0;
    for calls in 0..10 {
        let ring = keyring("a");
        let (data, keys) = (memory(), memory());
        let gate = Arc::new(Gate::closing_after(calls));
        let other = House::over(data.clone(), keys.clone(), Arc::clone(&ring), uncached());
        let renewing = House::over(gate.around(data), gate.around(keys), ring, uncached());
        let all: Vec<_> =
            (1..20).map(|ms| said(ms, "hello")).chain([set(5, "old", "t"), set(20, "title", "t")]).collect();
        write(&other.store, "s", &all).unwrap();
        let (context, session) = (cx(), id("s"));
        let mut renewal = Box::pin(renewing.store.reencrypt(&context, &session));
        let stopped = renewal.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending();
        write(&other.store, "s", &[Record::Deleted { id: at(13), stamp: at(21) }]).unwrap();
        write(&other.store, "s", &[Record::Cleared { through: at(10), stamp: at(22) }]).unwrap();
        write(&other.store, "s", &[set(23, "title", "new")]).unwrap();
        gate.open();
        if stopped {
            met += 1;
            block_on(renewal).unwrap();
        }
        assert_eq!(texts(&other.store, "s").len(), 8, "{calls}");
        let found = block_on(other.store.session(&context, &session)).unwrap().unwrap();
        assert_eq!(serde_json::Value::Object(found.metadata), serde_json::json!({ "title": "new" }), "{calls}");
    }
    assert!(met > 4, "{met}");
}

fn shred(store: &Encrypted, session: &SessionId) {
    let receipt = block_on(store.shred(&cx(), session)).unwrap();
    assert!(receipt.is_complete(), "{receipt:?}");
}

#[test]
fn after_shredding_no_copy_can_be_read_and_the_receipt_says_what_was_done() {
    let ring = keyring("a");
    let house = House::new(Arc::clone(&ring), uncached());
    write(&house.store, "s", &[said(1, "hello"), set(2, "title", "t")]).unwrap();
    write(&house.store, "t", &[said(1, "other")]).unwrap();
    let backup = records(&*house.data, "s");
    let receipt = block_on(house.store.shred(&cx(), &id("s"))).unwrap();
    assert!(receipt.is_complete() && receipt.data_keys == 1 && receipt.steps.len() == 4, "{receipt:?}");
    assert_eq!(receipt.session, "s");
    assert!(!bytes(&*house.keys, "s").contains("wrapped") && !bytes(&*house.data, "s").contains("sealed"));
    assert_eq!(block_on(house.store.session(&cx(), &id("s"))).unwrap(), None);
    let restored = House::over(replaced(&backup, "s"), house.keys.clone(), ring, uncached());
    let error = load(&restored.store, "s").unwrap_err();
    assert_eq!(error.kind(), craftx_core::ErrorKind::KeyUnavailable);
    assert!(error.message().contains("destroyed"), "{error}");
    assert_eq!(texts(&house.store, "t"), ["other"]);
    let again = block_on(house.store.shred(&cx(), &id("s"))).unwrap();
    assert!(again.is_complete() && again.data_keys == 0);
    write(&house.store, "s", &[said(9_999_999_999_999, "new")]).unwrap();
    assert_eq!(texts(&house.store, "s"), ["new"], "the name can be used again, with a new key");
}

#[test]
fn a_shredding_that_could_not_clear_the_data_says_so_and_the_data_is_unreadable() {
    let faults = Arc::new(Faults::default());
    let house = House::over(faults.around(memory()), memory(), keyring("a"), uncached());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    faults.after(0, Fault::FailsBefore);
    let receipt = block_on(house.store.shred(&cx(), &id("s"))).unwrap();
    let failed: Vec<_> = receipt.steps.iter().map(|step| step.failed.is_some()).collect();
    assert_eq!((failed, receipt.is_complete()), (vec![false, false, true, true], false));
    faults.never();
    assert_eq!(load(&house.store, "s").unwrap_err().kind(), craftx_core::ErrorKind::KeyUnavailable);
    shred(&house.store, &id("s"));
}

/// Runs a deed up to its `calls`-th call of the key store, then shreds, then lets the deed go on.
fn raced(deed: Deed, compares: bool) {
    let mut met = 0;
    for calls in 0..calls_of(deed) as i64 {
        let old = keyring("old");
        let (data, keys) = (memory(), memory());
        filled(&House::over(data.clone(), keys.clone(), Arc::clone(&old), uncached()));
        let backup: Vec<_> = (0..SESSIONS).map(|session| records(&*data, &name(session))).collect();
        let (both, _) = rotated(&old);
        let gate = Arc::new(Gate::closing_after(calls));
        let can = keys.capabilities();
        let can = if compares { can } else { can.compare_and_append(craftx_core::Support::No) };
        let gated: DynBackend = Arc::new(Capable { inner: gate.around(keys.clone()), can });
        let rotating = House::over(gate.around(data.clone()), gated, Arc::clone(&both), uncached());
        let shredder = House::over(data.clone(), keys.clone(), Arc::clone(&both), uncached());
        let mut deed = deed(&rotating.store);
        let waker = std::task::Waker::noop();
        let first = deed.as_mut().poll(&mut std::task::Context::from_waker(waker));
        for session in 0..SESSIONS {
            shred(&shredder.store, &id(&name(session)));
        }
        gate.open();
        if first.is_pending() {
            met += 1;
            block_on(deed);
        }
        for session in 0..SESSIONS {
            let session = name(session);
            assert_eq!(block_on(shredder.store.session(&cx(), &id(&session))).unwrap(), None, "{calls}");
            assert!(block_on(shredder.store.data_keys(&cx(), &id(&session))).unwrap().is_empty(), "{calls}");
        }
        for (session, records) in (0..).zip(&backup) {
            let restored = House::over(replaced(records, &name(session)), keys.clone(), both.clone(), uncached());
            assert!(load(&restored.store, &name(session)).is_err(), "{calls}");
        }
        // What raced is swept away by the next rotation, and nothing of it is left.
        block_on(shredder.store.rotate(&cx())).unwrap();
        for session in 0..SESSIONS {
            assert!(!bytes(&*keys, &name(session)).contains("wrapped"), "{calls}");
        }
    }
    assert!(met > 10, "{met}");
}

#[test]
fn a_rotation_that_races_with_a_shredding_revives_nothing() {
    raced(rotate, true);
    raced(rotate, false);
}

#[test]
fn a_renewal_that_races_with_a_shredding_revives_nothing() {
    raced(renew, true);
    raced(renew, false);
}

/// Two keyrings with a key of the same name each: what the other one wrapped does not open here.
#[test]
fn a_wrap_goes_only_if_the_one_that_stays_opens() {
    let old = keyring("old");
    let house = House::new(Arc::clone(&old), uncached());
    write(&house.store, "s", &[said(1, "hello")]).unwrap();
    let Record::Message(genuine) = common::records(&*house.keys, "s").remove(0) else { unreachable!() };
    let (other, _) = rotated(&old);
    block_on(house.with(other).store.rotate(&cx())).unwrap();
    let foreign = common::records(&*house.keys, "s").into_iter().find_map(|record| match record {
        Record::Message(message) => Some(message),
        _ => None,
    });
    let keys = memory();
    let both = [Record::Message(genuine), Record::Message(foreign.unwrap())];
    block_on(keys.write(&cx(), &id("s"), &both, &WriteOptions::replay())).unwrap();
    let (ring, _) = rotated(&old);
    let house = House::over(house.data.clone(), keys, ring, uncached());
    let rotated = block_on(house.store.rotate(&cx())).unwrap();
    assert_eq!((rotated.rewrapped, rotated.removed, rotated.failed), (1, 0, 1));
    assert_eq!(texts(&house.store, "s"), ["hello"]);
}
