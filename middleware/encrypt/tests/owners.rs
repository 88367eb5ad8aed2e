//! Owners and grants are in clear, and nobody can forge them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;

use craftx_core::{
    Backend, Error, ErrorKind, Grant, Record, Scope, Session, SessionQuery, Support, Tenant, WriteOptions,
};
use craftx_encrypt::EncryptConfig;
use futures_executor::block_on;

use common::*;

fn acl(ms: u64, owner: &str, to: &str) -> Record {
    let grants = vec![Grant { to: to.to_owned(), actions: vec!["read".to_owned()] }];
    Record::Acl { stamp: at(ms), owner: Some(owner.to_owned()), grants }
}

fn session(store: &dyn Backend, name: &str) -> Result<Session, Error> {
    block_on(store.session(&cx(), &id(name))).map(Option::unwrap)
}

/// The same keys over other records.
fn holding(house: &House, records: &[Record]) -> House {
    let data = replaced(records, "s");
    House { store: house.layer.over(data.clone()).unwrap(), data, keys: house.keys.clone(), layer: house.layer.clone() }
}

#[test]
fn owner_and_grants_come_back_and_the_medium_can_compare_them() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    let records = [acl(1, "ann", "bob"), said(2, "hello")];
    write(&house.store, "s", &records).unwrap();
    assert_eq!(write(&house.store, "s", &records).unwrap().known, Some(2));
    let found = session(&house.store, "s").unwrap();
    assert_eq!((found.owner.as_deref(), found.grants.len(), found.grants[0].to.as_str()), (Some("ann"), 1, "bob"));
    assert_eq!(common::records(&house.store, "s"), records);
    let visible = |principal: &str| {
        let scope = Scope::Visible { principals: vec![principal.to_owned()], roles: Vec::new() };
        block_on(house.store.sessions(&cx(), &SessionQuery::new().scope(scope))).unwrap().items.len()
    };
    let mark = session(&*house.data, "s").unwrap().grants.pop().unwrap().to;
    assert!(mark.starts_with("craftx.mac "));
    assert_eq!((visible("ann"), visible("bob"), visible("eve"), visible(&mark)), (1, 1, 0, 0));
}

#[test]
fn the_first_owner_and_the_last_grants_are_vouched_for_even_if_two_records_say_them() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    for record in [acl(5, "ann", "bob"), acl(7, "eve", "mallory"), acl(9, "zoe", "carl")] {
        write(&house.store, "s", &[record]).unwrap();
    }
    let found = session(&house.store, "s").unwrap();
    assert_eq!((found.owner.as_deref(), found.grants[0].to.as_str()), (Some("ann"), "carl"));
}

#[test]
fn what_was_forged_or_moved_is_an_error() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    write(&house.store, "s", &[acl(5, "ann", "bob")]).unwrap();
    write(&house.store, "t", &[acl(5, "eve", "eve")]).unwrap();
    let genuine = common::records(&*house.data, "s").remove(0);
    let Record::Acl { owner, grants, .. } = &genuine else { panic!("{genuine:?}") };
    let with = |ms, owner: Option<&str>, grants: &[Grant]| Record::Acl {
        stamp: at(ms),
        owner: owner.map(str::to_owned),
        grants: grants.to_vec(),
    };
    let (bob, mark) = (&grants[0], &grants[1]);
    let eve = Grant { to: "eve".to_owned(), actions: vec!["admin".to_owned()] };
    let elsewhere = common::records(&*house.data, "t").remove(0);
    let before = acl(1, "eve", "eve");
    for records in [
        vec![with(5, Some("eve"), grants)],
        vec![with(5, None, grants)],
        vec![with(5, owner.as_deref(), &[eve.clone(), mark.clone()])],
        vec![with(5, owner.as_deref(), &[bob.clone(), eve.clone(), mark.clone()])],
        vec![with(5, owner.as_deref(), std::slice::from_ref(mark))],
        vec![with(5, owner.as_deref(), std::slice::from_ref(bob))],
        vec![with(5, owner.as_deref(), &[])],
        vec![with(5, None, std::slice::from_ref(&eve))],
        vec![with(6, owner.as_deref(), grants)],
        vec![elsewhere],
        vec![genuine.clone(), before],
        vec![genuine.clone(), with(1, Some("eve"), grants)],
        vec![genuine.clone(), with(9, Some("ann"), &[eve.clone(), mark.clone()])],
        vec![genuine.clone(), acl(9, "ann", "eve")],
    ] {
        let forged = holding(&house, &records);
        let error = block_on(forged.store.records(&cx(), &id("s"), None, None)).unwrap_err();
        assert_eq!((error.kind(), error.get("session")), (ErrorKind::Tampered, Some("`s`")), "{records:?}");
        // With the stamp alone it is still what was written, and only the record can tell.
        if records.len() > 1 || records[0].stamp() == at(5) {
            let error = session(&forged.store, "s").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tampered, "{records:?}");
            assert!(block_on(forged.store.sessions(&cx(), &SessionQuery::new())).is_err());
        }
    }
    assert!(session(&holding(&house, &[genuine]).store, "s").is_ok());
}

#[test]
fn a_list_shows_what_is_vouched_for_or_fails_whatever_the_medium_goes_by() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    write(&house.store, "s", &[acl(5, "ann", "bob")]).unwrap();
    let can = house.data.capabilities().scope(Support::No);
    let store = house.layer.over(Arc::new(Capable { inner: house.data.clone(), can })).unwrap();
    let seen_by = |principal: &str| {
        let scope = Scope::Visible { principals: vec![principal.to_owned()], roles: Vec::new() };
        block_on(store.sessions(&cx(), &SessionQuery::new().scope(scope))).map(|page| page.items.len())
    };
    assert_eq!((seen_by("ann").unwrap(), seen_by("bob").unwrap()), (1, 1));
    let error = seen_by("eve").unwrap_err();
    assert_eq!((error.kind(), error.get("session")), (ErrorKind::Tampered, Some("`s`")));
}

#[test]
fn marks_from_above_are_refused_and_so_is_the_tenant_of_the_keys() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    let error = write(&house.store, "s", &[acl(1, "ann", "craftx.mac x")]).unwrap_err();
    assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("grants")));
    let cx = cx().with_tenant(Tenant::new("craftx.encrypt").unwrap());
    let error = block_on(house.store.write(&cx, &id("default"), &[said(1, "x")], &WriteOptions::fresh())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(block_on(house.store.shred(&cx, &id("default"))).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_shredded_session_keeps_its_owner_and_so_does_a_renewed_one() {
    let house = House::new(keyring("a"), uncached());
    write(&house.store, "s", &[acl(1, "ann", "bob"), said(2, "hello")]).unwrap();
    block_on(house.store.reencrypt(&cx(), &id("s"))).unwrap();
    assert_eq!(session(&house.store, "s").unwrap().owner.as_deref(), Some("ann"));
    assert!(block_on(house.store.shred(&cx(), &id("s"))).unwrap().is_complete());
    let left = session(&house.store, "s").unwrap();
    assert_eq!((left.owner.as_deref(), left.messages), (Some("ann"), Some(0)));
    let mut ring = craftx_encrypt::Keyring::generate("b").unwrap();
    ring.add("c").unwrap();
    assert!(session(&house.with(Arc::new(ring)).store, "s").is_err(), "a wrong key vouches for nothing");
}
