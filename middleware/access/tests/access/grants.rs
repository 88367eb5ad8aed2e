//! Granting, revoking, and how soon it counts.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use craftx_access::{Access, Action, Grantee};
use craftx_conformance::JumpingClock;
use craftx_core::{
    Clock, Context, DynBackend, ErrorKind, Layer, Memory, MessageQuery, Record, SessionQuery, Tenant, WriteOptions,
};
use futures_executor::block_on;

use crate::house::{House, as_one, at, grant, house, name, rules, system, text};

#[test]
fn a_principal_named_like_a_role_gains_nothing() {
    let house = house();
    house.say(&as_one("ann"), "s", 1).unwrap();
    grant(&house, "ann", "s", "role:editor", &[Action::Read]).unwrap();
    assert_eq!(house.read(&as_one("bob:editor"), "s").unwrap(), 1);
    assert_eq!(house.read(&as_one("editor"), "s").unwrap_err().kind(), ErrorKind::NotFound);
    let impostor = Context::new(Tenant::default()).with_caller(craftx_core::Caller::principal("role:editor", [""; 0]));
    for error in [
        house.read(&impostor, "s").unwrap_err(),
        block_on(house.store().sessions(&impostor, &SessionQuery::new())).unwrap_err(),
        house.say(&impostor, "t", 1).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    grant(&house, "ann", "s", "eve", &[Action::Read]).unwrap();
    assert_eq!(house.read(&as_one("x:eve"), "s").unwrap_err().kind(), ErrorKind::NotFound, "a role named like one");
}

#[test]
fn grants_give_what_they_say_and_no_more() {
    let house = house();
    house.say(&as_one("ann"), "s", 1).unwrap();
    grant(&house, "ann", "s", "bob", &[Action::Read, Action::Append, Action::Update]).unwrap();
    house.say(&as_one("bob"), "s", 2).unwrap();
    let deletion = Record::Deleted { id: at(1), stamp: at(3) };
    assert_eq!(house.write(&as_one("bob"), "s", &[deletion]).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(grant(&house, "bob", "s", "eve", &[Action::Read]).unwrap_err().kind(), ErrorKind::PermissionDenied);
    for wrong in [&[Action::Append][..], &[], &[Action::Read, Action::Admin]] {
        assert_eq!(grant(&house, "ann", "s", "eve", wrong).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    grant(&house, "root:operator", "s", "eve", &[Action::Read]).unwrap();
    assert_eq!(house.read(&as_one("eve"), "s").unwrap(), 2);
    assert_eq!(house.owner("s").as_deref(), Some("ann"), "granting keeps the owner");
    grant(&house, "ann", "s", "bob", &[Action::Read]).unwrap();
    assert_eq!(
        house.say(&as_one("bob"), "s", 4).unwrap_err().kind(),
        ErrorKind::PermissionDenied,
        "what is granted anew"
    );
}

#[test]
fn a_session_without_an_owner_can_be_given_one_once() {
    let house = house();
    house.say(&system(), "s", 1).unwrap();
    let give = |by: &str, to: &str| block_on(house.guard().give(&as_one(by), &name("s"), to));
    assert_eq!(give("ann", "ann").unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(grant(&house, "root:operator", "s", "ann", &[Action::Read]).unwrap_err().kind(), ErrorKind::Conflict);
    give("root:operator", "ann").unwrap();
    assert_eq!(house.read(&as_one("ann"), "s").unwrap(), 1);
    assert_eq!(give("root:operator", "bob").unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(house.owner("s").as_deref(), Some("ann"));
}

/// Two processes with a store in common: two layers over one medium.
fn two_processes() -> (House, House, JumpingClock) {
    let medium = Arc::new(Memory::new());
    let house = || {
        let medium: DynBackend = Arc::clone(&medium) as DynBackend;
        let access = Access::new(rules()).unwrap();
        House { stack: craftx_core::Stack::builder("memory", medium).layer(access).build().unwrap() }
    };
    (house(), house(), JumpingClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000)))
}

#[test]
fn a_revocation_reaches_other_processes_within_five_seconds() {
    let (here, there, clock) = two_processes();
    let at_noon = |who: &str| as_one(who).with_clock(Arc::new(clock.clone()));
    block_on(here.store().write(&at_noon("ann"), &name("s"), &[text(1)], &WriteOptions::fresh())).unwrap();
    let to = Grantee::principal("bob").unwrap();
    block_on(here.guard().grant(&at_noon("ann"), &name("s"), &to, [Action::Read])).unwrap();
    assert_eq!(there.read(&at_noon("bob"), "s").unwrap(), 1);
    assert_eq!(here.read(&at_noon("bob"), "s").unwrap(), 1);
    block_on(here.guard().revoke(&at_noon("ann"), &name("s"), &to)).unwrap();
    assert_eq!(
        here.read(&at_noon("bob"), "s").unwrap_err().kind(),
        ErrorKind::NotFound,
        "at once where it was revoked"
    );
    block_on(clock.sleep(Duration::from_millis(4_999)));
    assert_eq!(there.read(&at_noon("bob"), "s").unwrap(), 1, "remembered for a while elsewhere");
    block_on(clock.sleep(Duration::from_millis(1)));
    assert_eq!(there.read(&at_noon("bob"), "s").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_grant_counts_at_once_everywhere() {
    let (here, there, _) = two_processes();
    here.say(&as_one("ann"), "s", 1).unwrap();
    assert_eq!(there.read(&as_one("bob"), "s").unwrap_err().kind(), ErrorKind::NotFound);
    grant(&here, "ann", "s", "bob", &[Action::Read]).unwrap();
    assert_eq!(there.read(&as_one("bob"), "s").unwrap(), 1);
}

#[test]
fn nothing_is_remembered_of_one_store_for_another() {
    let access = Access::new(rules()).unwrap();
    let stores = [Memory::new(), Memory::new()].map(|medium| access.apply(Arc::new(medium)).unwrap());
    for (store, who) in stores.iter().zip(["ann", "bob"]) {
        block_on(store.write(&as_one(who), &name("s"), &[text(1)], &WriteOptions::fresh())).unwrap();
        block_on(store.load(&as_one(who), &name("s"), &MessageQuery::oldest_first())).unwrap();
    }
    let query = MessageQuery::oldest_first();
    let error = block_on(stores[1].load(&as_one("ann"), &name("s"), &query)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
