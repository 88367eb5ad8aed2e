//! What the threat model says of attackers that no other test plays, and of the limits that it admits.

use craftx_access::{Action, Grantee, Guard};
use craftx_core::{ErrorKind, MessageQuery, Slot, WriteOptions};

use super::*;
use crate::shredding::copy;

/// What is in a folder of the stack, as one who copied it would read it.
fn read(folder: &Path, provider: Arc<Keyring>, session: &str) -> craftx_core::Result<Vec<String>> {
    let stack = opened(folder, provider);
    let found = block_on(stack.backend().load(&cx(), &id(session), &MessageQuery::oldest_first()));
    block_on(stack.backend().close(&cx())).unwrap();
    let text = |message: &Message| message.text().unwrap().to_owned();
    found.map(|page| page.items.iter().map(text).collect())
}

fn write(stack: &Stack, who: &str, session: &str, record: Record) {
    block_on(stack.backend().write(&by(who), &id(session), &[record], &WriteOptions::fresh())).unwrap();
}

/// A folder in which `ann` has said something in the session `s`, closed.
fn lived_in() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let stack = opened(folder.path(), keyring());
    write(&stack, "ann", "s", said(1, "the canary sings"));
    write(&stack, "ann", "s", said(2, "the canary is silent"));
    block_on(stack.backend().close(&cx())).unwrap();
    folder
}

#[test]
fn who_has_all_stores_and_no_keyring_reads_nothing() {
    let folder = lived_in();
    for stranger in ["2026-11", "another"] {
        let error = read(folder.path(), Arc::new(Keyring::generate(stranger).unwrap()), "s").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    }
    assert!(!holds(&bytes(folder.path()), b"canary"));
}

#[test]
fn who_has_the_data_and_the_keyring_and_no_key_store_reads_nothing() {
    let folder = lived_in();
    for file in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    assert_eq!(read(folder.path(), keyring(), "s").unwrap_err().kind(), ErrorKind::KeyUnavailable);
}

#[test]
fn who_has_data_key_store_and_keyring_reads_everything() {
    let folder = lived_in();
    let stolen = tempfile::tempdir().unwrap();
    copy(folder.path(), stolen.path());
    assert_eq!(read(stolen.path(), keyring(), "s").unwrap(), ["the canary sings", "the canary is silent"]);
}

#[test]
fn who_writes_to_the_stores_forges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let stack = opened(folder.path(), keyring());
    let below = stack.below(Slot::Encrypt).unwrap();
    // A message of bob, and what says that it is his.
    let genuine = |session: &str| {
        write(&stack, "bob", session, said(1, "of bob"));
        let records = block_on(below.records(&cx(), &id(session), None, None)).unwrap().items;
        let message = records.iter().find_map(|record| match record {
            Record::Message(message) => Some(message.clone()),
            _ => None,
        });
        let acl = records.into_iter().find(|record| matches!(record, Record::Acl { .. }));
        (message.unwrap(), acl.unwrap())
    };
    let later = Stamp::mint(9, None, 0).unwrap();
    let restamped = |mut message: Message| {
        message.id = later;
        Record::Message(message)
    };
    let (message, acl) = genuine("elsewhere");
    let Record::Acl { owner, grants, .. } = acl else { unreachable!() };
    genuine("other owner");
    let (same, _) = genuine("other id");
    for (session, forged, kind) in [
        ("plain", said(1, "not encrypted"), ErrorKind::NotEncrypted),
        ("other session", Record::Message(message), ErrorKind::KeyUnavailable),
        ("other id", restamped(same), ErrorKind::Tampered),
        ("other owner", Record::Acl { stamp: later, owner, grants }, ErrorKind::Tampered),
    ] {
        block_on(below.write(&cx(), &id(session), &[forged], &WriteOptions::replay())).unwrap();
        let read = block_on(stack.backend().records(&cx(), &id(session), None, None));
        assert_eq!(read.unwrap_err().kind(), kind, "{session}");
    }
}

/// This is a limit: nothing says how many messages there have to be.
#[test]
fn who_writes_to_the_stores_can_take_messages_away() {
    let folder = lived_in();
    let stack = opened(folder.path(), keyring());
    let below = stack.below(Slot::Encrypt).unwrap();
    let deleted = Record::Deleted { id: Stamp::mint(1, None, 0).unwrap(), stamp: Stamp::mint(9, None, 0).unwrap() };
    block_on(below.write(&cx(), &id("s"), &[deleted], &WriteOptions::fresh())).unwrap();
    block_on(stack.backend().close(&cx())).unwrap();
    assert_eq!(read(folder.path(), keyring(), "s").unwrap(), ["the canary is silent"]);
}

/// This is a limit: a store that is whole and older looks like any other.
#[test]
fn a_store_that_is_rolled_back_as_a_whole_is_not_noticed() {
    let folder = lived_in();
    let old = tempfile::tempdir().unwrap();
    copy(folder.path(), old.path());
    let stack = opened(folder.path(), keyring());
    write(&stack, "ann", "s", said(3, "and sings again"));
    let guard = stack.find::<Guard>().unwrap();
    block_on(guard.grant(&by("ann"), &id("s"), &Grantee::principal("bob").unwrap(), [Action::Read])).unwrap();
    block_on(stack.backend().close(&cx())).unwrap();
    assert_eq!(read(folder.path(), keyring(), "s").unwrap().len(), 3);
    assert_eq!(read(old.path(), keyring(), "s").unwrap().len(), 2);
}

/// This is a limit: shredding reaches the key store, and not its old backups.
#[test]
fn an_old_backup_of_the_key_store_opens_an_old_backup_of_the_data() {
    let folder = lived_in();
    let old = tempfile::tempdir().unwrap();
    copy(folder.path(), old.path());
    let stack = opened(folder.path(), keyring());
    let receipt = block_on(stack.find::<Encrypted>().unwrap().shred(&cx(), &id("s"))).unwrap();
    block_on(stack.backend().close(&cx())).unwrap();
    assert!(receipt.is_complete() && receipt.remains[0].contains("copies of the key store"), "{receipt:?}");
    assert!(read(folder.path(), keyring(), "s").unwrap().is_empty(), "its owner is still known");
    assert_eq!(read(old.path(), keyring(), "s").unwrap().len(), 2);
    // Without the old key store the old data is of no use.
    for name in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = std::fs::remove_file(old.path().join(name));
    }
    std::fs::copy(folder.path().join("keys.db"), old.path().join("keys.db")).unwrap();
    assert_eq!(read(old.path(), keyring(), "s").unwrap_err().kind(), ErrorKind::KeyUnavailable);
}

#[test]
fn what_stays_in_clear_is_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let stack = opened(folder.path(), keyring());
    let clear = ["session-in-clear", "owner-in-clear", "grantee-in-clear", "role-in-clear", "key-in-clear"];
    let [session, owner, grantee, role, key] = clear;
    let message = Message::new(Stamp::mint(1, None, 0).unwrap(), Role::new(role).unwrap(), "text-in-secret");
    write(&stack, owner, session, Record::Message(message.with_metadata("name-in-secret", "value-in-secret")));
    let set = [(key.to_owned(), Some("title-in-secret".into()))].into();
    write(&stack, owner, session, Record::Session { stamp: Stamp::mint(2, None, 0).unwrap(), set });
    let guard = stack.find::<Guard>().unwrap();
    block_on(guard.grant(&by(owner), &id(session), &Grantee::principal(grantee).unwrap(), [Action::Read])).unwrap();
    block_on(stack.backend().close(&cx())).unwrap();
    let files = bytes(folder.path());
    for clear in clear {
        assert!(holds(&files, clear.as_bytes()), "{clear}");
    }
    assert!(!holds(&files, b"in-secret"));
}
