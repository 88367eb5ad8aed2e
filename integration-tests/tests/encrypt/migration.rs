//! Encrypting what is there already: a copy into an encrypted store, which can be interrupted and begun again.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Poll, Waker};

use craftx_conformance::Plug;
use craftx_core::{Backend, Cursor, ErrorKind, Include, MessageQuery, SessionQuery, Surrounded, WriteOptions};

use super::*;

type Records = BTreeMap<String, Vec<String>>;

/// Everything in a store.
fn all(store: &dyn Backend) -> Records {
    let mut found = Records::new();
    let query = SessionQuery::new().include(Include::All).limit(1_000);
    for session in block_on(store.sessions(&cx(), &query)).unwrap().items {
        let mut from: Option<Cursor> = None;
        let mut records = Vec::new();
        loop {
            let part = block_on(store.records(&cx(), &session.id, from.as_ref(), None)).unwrap();
            records.extend(part.items.iter().map(|record| record.encode().into_string()));
            if part.done {
                break;
            }
            from = Some(part.next);
        }
        records.sort_unstable();
        records.dedup();
        found.insert(session.id.to_string(), records);
    }
    found
}

fn plaintext(folder: &Path) -> DynBackend {
    let plain = json(folder, "plain");
    block_on(plain.prepare(&cx(), Prepare::Migrate)).unwrap();
    for session in 0..20 {
        let mut records: Vec<_> = (1..15).map(|ms| said(ms, "the canary sings")).collect();
        let later = |ms| Stamp::mint(ms, None, 0).unwrap();
        let set = [("title".to_owned(), Some("canary".into()))].into();
        records.push(Record::Session { stamp: later(20), set });
        records.push(Record::Deleted { id: records[3].stamp(), stamp: later(30) });
        if session % 3 == 0 {
            records.push(Record::Cleared { through: later(8), stamp: later(40) });
        }
        block_on(plain.write(&cx(), &id(&format!("s{session}")), &records, &WriteOptions::fresh())).unwrap();
    }
    plain
}

#[test]
fn a_plaintext_store_is_copied_however_often_that_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let plain = plaintext(folder.path());
    let before = all(&*plain);
    let target = folder.path().join("encrypted");
    std::fs::create_dir_all(&target).unwrap();
    let (data, keys) = (sqlite(&target, "data.db"), sqlite(&target, "keys.db"));
    let store = prepared(encrypted(Arc::clone(&data), Arc::clone(&keys)));
    let mut interrupted = 0;
    for calls in (0..80).step_by(7) {
        // The plug is pulled after so many polls, and the copy dropped.
        let plug = Arc::new(Plug::default());
        let source: DynBackend = Arc::new(Surrounded::new(Arc::clone(&plug), Arc::clone(&plain)));
        let mut copy = pin!(store.encrypt_existing(cx_ref(), &source));
        loop {
            if plug.calls() >= calls {
                plug.pull(true);
            }
            match copy.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => {
                    interrupted += u64::from(result.is_err_and(|error| error.kind() == ErrorKind::Unavailable));
                    break;
                }
                Poll::Pending => std::thread::yield_now(),
            }
        }
    }
    assert!(interrupted > 3, "{interrupted}");
    let done = block_on(store.encrypt_existing(&cx(), &plain)).unwrap();
    assert_eq!(done.sessions, 20);
    let again = block_on(store.encrypt_existing(&cx(), &plain)).unwrap();
    assert_eq!((again.applied, again.records), (0, done.records), "nothing is left to do");
    assert_eq!(all(&store), before);
    assert_eq!(all(&*plain), before, "the source is as it was");
    block_on(store.close(&cx())).unwrap();
    assert!(!holds(&bytes(&target), b"canary"));
}

fn cx_ref() -> &'static Context {
    static CX: std::sync::OnceLock<Context> = std::sync::OnceLock::new();
    CX.get_or_init(cx)
}

#[test]
fn a_store_is_not_encrypted_in_place_and_ciphertext_is_not_encrypted_again() {
    let folder = tempfile::tempdir().unwrap();
    let plain = plaintext(folder.path());
    let store = prepared(encrypted(Arc::clone(&plain), sqlite(folder.path(), "keys.db")));
    let error = block_on(store.encrypt_existing(&cx(), &plain)).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidInput, "encrypt existing"));
    let error = block_on(store.load(&cx(), &id("s1"), &MessageQuery::oldest_first())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted, "nor is plaintext read as if it had been");
    let other = sqlite(folder.path(), "other.db");
    let sealed = prepared(encrypted(Arc::clone(&other), sqlite(folder.path(), "other keys.db")));
    block_on(sealed.write(&cx(), &id("s"), &[said(1, "x")], &WriteOptions::fresh())).unwrap();
    let target = prepared(encrypted(sqlite(folder.path(), "target.db"), sqlite(folder.path(), "target keys.db")));
    let error = block_on(target.encrypt_existing(&cx(), &other)).unwrap_err();
    assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("sealed")));
}
