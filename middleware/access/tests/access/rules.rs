//! What rules allow and forbid, and what no rule allows.

use std::collections::BTreeMap;

use craftx_access::{Access, AccessConfig, Action, Rule, Rules};
use craftx_core::{
    Backend, Context, ErrorKind, Layer, Memory, Record, SearchQuery, SessionQuery, Tenant, WriteOptions,
};
use futures_executor::block_on;

use crate::house::{House, as_one, at, house, name, nobody, rules, system};

#[test]
fn without_rules_nobody_may_do_anything() {
    let house = House::new(Rules::new());
    assert_eq!(house.say(&as_one("ann:admin,operator"), "s", 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(house.say(&nobody(), "s", 1).unwrap_err().kind(), ErrorKind::Unauthenticated);
    house.say(&system(), "s", 1).unwrap();
    assert_eq!(house.read(&as_one("ann"), "s").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(house.owner("s"), None, "what the system writes belongs to nobody");
}

#[test]
fn what_is_not_written_yet_cannot_be_deleted() {
    let (house, ann) = (house(), as_one("ann"));
    house.say(&ann, "s", 10).unwrap();
    for record in [Record::Cleared { through: at(11), stamp: at(12) }, Record::Deleted { id: at(11), stamp: at(12) }] {
        let error = house.write(&ann, "s", &[record]).unwrap_err();
        assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("stamp")));
    }
    house.write(&ann, "s", &[Record::Cleared { through: at(10), stamp: at(12) }]).unwrap();
}

#[test]
fn reserved_keys_are_refused() {
    let (house, ann) = (house(), as_one("ann"));
    let set = BTreeMap::from([("craftx.owner".to_owned(), Some("ann".into()))]);
    let patch = Record::Session { stamp: at(1), set };
    let patch = [patch];
    assert_eq!(house.write(&ann, "s", &patch).unwrap_err().kind(), ErrorKind::InvalidInput);
    let replayed = block_on(house.store().write(&ann, &name("s"), &patch, &WriteOptions::replay()));
    assert_eq!(replayed.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn what_is_forbidden_stays_forbidden() {
    let rules = rules()
        .forbid(Rule::new().principals(["mallory"]))
        .forbid(Rule::new().roles(["intern"]).actions([Action::Delete, Action::Export]))
        .forbid(Rule::new().tenants(["default"]).roles(["blind"]).actions([Action::Search]));
    let house = House::new(rules);
    let mallory = as_one("mallory:operator");
    assert_eq!(house.say(&mallory, "s", 1).unwrap_err().kind(), ErrorKind::NotFound);
    let error = block_on(house.store().sessions(&mallory, &SessionQuery::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let intern = as_one("ann:intern,operator");
    house.say(&intern, "s", 1).unwrap();
    let clear = Record::Cleared { through: at(1), stamp: at(2) };
    assert_eq!(
        house.write(&intern, "s", &[clear]).unwrap_err().kind(),
        ErrorKind::PermissionDenied,
        "not even one's own"
    );
    let blind = as_one("ann:blind");
    let search = block_on(house.store().search(&blind, &SearchQuery::new("message")));
    assert_eq!(search.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let elsewhere = blind.with_tenant(Tenant::new("acme").unwrap());
    assert!(block_on(house.store().search(&elsewhere, &SearchQuery::new("message"))).unwrap().items.is_empty());
}

#[test]
fn a_role_counts_in_its_tenants_alone() {
    let house = House::new(Rules::new().allow(Rule::new().roles(["reader"]).tenants(["acme"]).actions([Action::Read])));
    let system_of = |tenant: &str| Context::system(Tenant::new(tenant).unwrap());
    for tenant in ["acme", "globex"] {
        house.say(&system_of(tenant), "s", 1).unwrap();
    }
    let reader = |tenant: &str| as_one("bob:reader").with_tenant(Tenant::new(tenant).unwrap());
    assert_eq!(house.read(&reader("acme"), "s").unwrap(), 1);
    assert_eq!(house.read(&reader("globex"), "s").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_store_that_cannot_evaluate_scopes_is_refused() {
    let refused = |without: fn(craftx_core::Capabilities) -> craftx_core::Capabilities, owners: bool| {
        let access = Access::new(rules()).unwrap().config(AccessConfig::default().owners(owners)).unwrap();
        access.capabilities(without(Memory::new().capabilities())).unwrap_err()
    };
    let error = refused(|all| all.scope(craftx_core::Support::No), false);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = refused(|all| all.compare_and_append(craftx_core::Support::No), true);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
