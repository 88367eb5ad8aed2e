//! Who owns a session, and that nobody else can say so.

use std::sync::Arc;

use craftx_core::{ErrorKind, Expect, Grant, Record, WriteOptions};
use futures_executor::block_on;

use crate::house::{acl, as_one, at, bytes, house, name, system, text};

#[test]
fn whoever_starts_a_session_owns_it() {
    let house = house();
    let written = house.write(&as_one("ann"), "s", &[text(10), text(11)]).unwrap();
    assert_eq!((written.applied, written.known, written.dead), (Some(2), Some(0), Some(0)), "of what was written");
    assert_eq!(written.version, Some(at(11)), "the owner does not move the version");
    assert_eq!(house.owner("s").as_deref(), Some("ann"));
    let again = house.write(&as_one("ann"), "s", &[text(10), text(11)]).unwrap();
    assert_eq!((again.applied, again.known), (Some(0), Some(2)), "a retry is known");
    assert_eq!(house.read(&as_one("ann"), "s").unwrap(), 2);
}

#[test]
fn an_expectation_means_what_it_meant() {
    let (house, ann) = (house(), as_one("ann"));
    let write = |ms, expect| {
        block_on(house.store().write(&ann, &name("s"), &[text(ms)], &WriteOptions::fresh().expecting(expect)))
    };
    assert_eq!(write(5, Expect::Version(at(1))).unwrap_err().kind(), ErrorKind::Conflict, "there is no such version");
    write(10, Expect::New).unwrap();
    write(10, Expect::New).unwrap();
    assert_eq!(write(11, Expect::New).unwrap_err().kind(), ErrorKind::Conflict);
    write(11, Expect::Version(at(10))).unwrap();
}

#[test]
fn an_empty_batch_starts_nothing() {
    let house = house();
    let missing = house.write(&as_one("ann"), "s", &[]).unwrap_err();
    assert_eq!((missing.kind(), house.owner("s")), (ErrorKind::NotFound, None));
    house.say(&as_one("bob"), "s", 1).unwrap();
    assert_eq!(house.owner("s").as_deref(), Some("bob"));
    let foreign = house.write(&as_one("ann"), "s", &[]).unwrap_err();
    assert_eq!(bytes(&foreign), bytes(&missing), "it tells no name that is taken from one that is free");
    house.write(&as_one("bob"), "s", &[]).unwrap();
}

#[test]
fn nobody_brings_owners_from_outside() {
    let house = house();
    house.say(&as_one("ann"), "s", 100).unwrap();
    for (who, stamp) in [("ann", 1), ("ann", 200), ("bob", 1), ("eve:reader", 1), ("root:operator", 1)] {
        for session in ["s", "new"] {
            let error = house.write(&as_one(who), session, &[acl(stamp, who), text(300)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{who}");
            let replay = [acl(stamp, "eve")];
            let replayed =
                block_on(house.store().write(&as_one("eve"), &name(session), &replay, &WriteOptions::replay()));
            assert_eq!(replayed.unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
    }
    assert_eq!((house.owner("s").as_deref(), house.owner("new")), (Some("ann"), None));
    // A restore brings owners, and only who administers restores.
    let restore = [acl(1, "carl"), text(2)];
    block_on(house.store().write(&as_one("root:operator"), &name("old"), &restore, &WriteOptions::replay())).unwrap();
    assert_eq!(house.owner("old").as_deref(), Some("carl"));
}

#[test]
fn a_restore_brings_no_grant_that_lists_more_than_it_lets_read() {
    let house = house();
    let replay = |owner: &str, to: &str, actions: &[&str]| {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        let grants = vec![Grant { to: to.to_owned(), actions }];
        let record = Record::Acl { stamp: at(1), owner: Some(owner.to_owned()), grants };
        block_on(house.store().write(&as_one("root:operator"), &name("s"), &[record], &WriteOptions::replay()))
    };
    for (owner, actions) in [("ann", &["append"][..]), ("ann", &["reed"]), ("ann", &[]), ("role:x", &["read"])] {
        assert_eq!(replay(owner, "bob", actions).unwrap_err().kind(), ErrorKind::InvalidInput, "{owner} {actions:?}");
    }
    replay("ann", "bob", &["read", "append"]).unwrap();
}

#[test]
fn the_owner_survives_clearing_and_deleting() {
    let (house, ann) = (house(), as_one("ann"));
    house.say(&ann, "s", 1).unwrap();
    house.write(&ann, "s", &[Record::Cleared { through: at(1), stamp: at(2) }]).unwrap();
    assert_eq!(house.owner("s").as_deref(), Some("ann"));
    assert_eq!(house.say(&as_one("bob"), "s", 3).unwrap_err().kind(), ErrorKind::NotFound);
    block_on(house.store().compact(&ann, &craftx_core::Compact::new().session(name("s")))).unwrap();
    assert_eq!(house.say(&as_one("bob"), "s", 3).unwrap_err().kind(), ErrorKind::NotFound);
    house.say(&ann, "s", 3).unwrap();
    assert_eq!((house.read(&ann, "s").unwrap(), house.owner("s").as_deref()), (1, Some("ann")));
}

#[test]
fn what_is_left_of_a_session_without_an_owner_cannot_be_taken() {
    let house = house();
    house.write(&system(), "s", &[text(1), Record::Cleared { through: at(1), stamp: at(2) }]).unwrap();
    let error = house.say(&as_one("bob"), "s", 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    house.say(&as_one("root:operator"), "s", 3).unwrap();
    assert_eq!(house.owner("s"), None);
}

#[test]
fn two_who_start_a_session_at_once_do_not_both_own_it() {
    for _ in 0..50 {
        let house = Arc::new(house());
        let start = Arc::new(std::sync::Barrier::new(4));
        let tasks: Vec<_> = (0..4)
            .map(|n| {
                let (house, start) = (Arc::clone(&house), Arc::clone(&start));
                std::thread::spawn(move || {
                    let who = format!("p{n}");
                    start.wait();
                    // Lower stamps do not win.
                    (who.clone(), house.say(&as_one(&who), "s", 100 - n))
                })
            })
            .collect();
        let results: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
        let winners: Vec<_> = results.iter().filter(|(_, result)| result.is_ok()).map(|(who, _)| who.clone()).collect();
        assert_eq!(winners, [house.owner("s").unwrap()]);
        for (_, result) in results {
            assert!(result.is_ok() || result.unwrap_err().kind() == ErrorKind::NotFound);
        }
        assert_eq!(house.read(&as_one(&winners[0]), "s").unwrap(), 1);
    }
}

#[test]
fn a_batch_that_starts_a_session_leaves_room_for_its_owner() {
    let (house, ann) = (house(), as_one("ann"));
    let most = house.stack.capabilities().max_batch.unwrap();
    let batch: Vec<Record> = (1..=u64::from(most) + 1).map(text).collect();
    assert_eq!(house.write(&ann, "s", &batch).unwrap_err().kind(), ErrorKind::InvalidInput);
    house.write(&ann, "s", &batch[1..]).unwrap();
    assert_eq!(house.write(&ann, "s", &batch).unwrap_err().kind(), ErrorKind::InvalidInput, "what is told holds");
    assert_eq!(house.write(&system(), "s", &batch).unwrap_err().kind(), ErrorKind::InvalidInput);
}
