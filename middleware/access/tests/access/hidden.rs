//! What one may not see is not there, and what one may see and not change is denied.

use std::sync::Arc;

use craftx_access::{Access, Action, Grantee, Rule, Rules};
use craftx_conformance::Plug;
use craftx_core::{
    Cursor, DynBackend, ErrorKind, Expect, Include, Layer, Memory, MessageQuery, Outcome, Record, Scope, SearchQuery,
    SessionQuery, Surrounded, WriteOptions,
};
use futures_executor::block_on;

use crate::house::{House, as_one, at, bytes, grant, house, listed, name, rules, text};

#[test]
fn what_one_may_not_see_is_byte_for_byte_not_there() {
    let (house, bob) =
        (House::new(Rules::new().allow(Rule::new().roles(["operator"]).actions(Action::ALL))), as_one("bob"));
    house.say(&as_one("ann:operator"), "of ann", 1).unwrap();
    let errors = |session: &str| {
        let (store, id) = (house.store(), name(session));
        let deleted = Record::Deleted { id: at(1), stamp: at(2) };
        let expecting = |expect| WriteOptions::fresh().expecting(expect);
        let batch = [text(3)];
        let erase = craftx_core::Compact::new().session(id.clone());
        let mut errors = vec![
            bytes(&house.read(&bob, session).unwrap_err()),
            bytes(&house.say(&bob, session, 2).unwrap_err()),
            bytes(&house.write(&bob, session, &[]).unwrap_err()),
            bytes(&house.write(&bob, session, &[deleted]).unwrap_err()),
            bytes(&block_on(store.write(&bob, &id, &batch, &expecting(Expect::New))).unwrap_err()),
            bytes(&block_on(store.write(&bob, &id, &batch, &expecting(Expect::Version(at(1))))).unwrap_err()),
            bytes(&block_on(store.write(&bob, &id, &batch, &expecting(Expect::Version(at(9))))).unwrap_err()),
            bytes(&block_on(store.records(&bob, &id, None, None)).unwrap_err()),
            bytes(&block_on(store.records(&bob, &id, Some(&Cursor::from_text("x")), None)).unwrap_err()),
            bytes(&block_on(store.compact(&bob, &erase)).unwrap_err()),
            bytes(&block_on(house.guard().grant(&bob, &id, &Grantee::everyone(), [Action::Read])).unwrap_err()),
            bytes(&block_on(house.guard().revoke(&bob, &id, &Grantee::everyone())).unwrap_err()),
        ];
        assert_eq!(block_on(store.session(&bob, &id)).unwrap(), None);
        let search = SearchQuery::new("message").session(id);
        assert_eq!(block_on(store.search(&bob, &search)).unwrap(), craftx_core::Page::default());
        errors.iter_mut().for_each(|error| *error = error.replace(session, "…"));
        errors
    };
    let (foreign, missing) = (errors("of ann"), errors("missing"));
    assert_eq!(foreign, missing);
    assert!(foreign[0].starts_with("load: there is no such session, session: `…`"), "{}", foreign[0]);
    let bare = block_on(house.below().load(&bob, &name("missing"), &MessageQuery::oldest_first())).unwrap_err();
    assert_eq!(bytes(&bare).replace("missing", "…"), foreign[0], "the same as without the layer");
}

#[test]
fn what_is_hidden_costs_as_many_calls_as_what_is_not_there() {
    let plug = Arc::new(Plug::default());
    let medium: DynBackend = Arc::new(Surrounded::new(Arc::clone(&plug), Arc::new(Memory::new())));
    let store = Access::new(rules()).unwrap().apply(medium).unwrap();
    let write = |who: &str, session: &str, ms| {
        block_on(store.write(&as_one(who), &name(session), &[text(ms)], &WriteOptions::fresh()))
    };
    write("ann", "s", 1).unwrap();
    let calls = |session: &str| {
        let before = plug.calls();
        block_on(store.load(&as_one("bob"), &name(session), &MessageQuery::oldest_first())).unwrap_err();
        block_on(store.session(&as_one("bob"), &name(session))).unwrap();
        plug.calls() - before
    };
    for _ in 0..3 {
        assert_eq!((calls("s"), calls("t")), (2, 2), "also when the layer remembers whose it is");
    }
}

#[test]
fn a_foreign_id_can_be_noticed_only_by_whoever_may_start_sessions() {
    let house = house();
    house.say(&as_one("ann"), "s", 1).unwrap();
    let error = house.say(&as_one("bob"), "s", 2).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    assert_eq!(house.read(&as_one("ann"), "s").unwrap(), 1);
    assert_eq!(house.owner("s").as_deref(), Some("ann"));
}

#[test]
fn what_one_may_see_but_not_change_is_denied() {
    let house = house();
    house.say(&as_one("ann"), "s", 1).unwrap();
    let reader = as_one("bob:reader");
    assert_eq!(house.read(&reader, "s").unwrap(), 1);
    let error = house.say(&reader, "s", 2).unwrap_err();
    assert_eq!(error.to_string(), "write: the caller may not do this, action: append, session: `s`");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let error = block_on(house.store().records(&reader, &name("s"), None, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(house.say(&reader, "another", 2).unwrap().applied, Some(1), "its own sessions are its own");
}

#[test]
fn lists_and_searches_show_what_is_owned_or_granted_and_pages_are_full() {
    let house = house();
    for n in 0..30 {
        let who = ["ann", "bob", "carl"][n % 3];
        house.say(&as_one(who), &format!("s{n:02}"), 1).unwrap();
    }
    grant(&house, "bob", "s01", "ann", &[Action::Read]).unwrap();
    grant(&house, "carl", "s02", "role:team", &[Action::Read, Action::Append]).unwrap();
    grant(&house, "carl", "s05", "role:*", &[Action::Read]).unwrap();
    let own: Vec<String> = (0..30).step_by(3).map(|n| format!("s{n:02}")).collect();
    let with = |more: &[&str]| {
        let mut all: Vec<String> = own.iter().cloned().chain(more.iter().map(|&name| name.to_owned())).collect();
        all.sort();
        all
    };
    assert_eq!(listed(&house, &as_one("ann"), SessionQuery::new()), with(&["s01", "s05"]));
    assert_eq!(listed(&house, &as_one("ann:team"), SessionQuery::new()), with(&["s01", "s02", "s05"]));
    assert_eq!(listed(&house, &as_one("eve:reader"), SessionQuery::new()).len(), 30);
    assert_eq!(listed(&house, &as_one("eve"), SessionQuery::new().include(Include::All)), ["s05"]);

    let mut found = Vec::new();
    let mut query = SessionQuery::new().limit(4);
    loop {
        let page = block_on(house.store().sessions(&as_one("ann"), &query)).unwrap();
        assert!(page.items.len() == 4 || page.next.is_none(), "a page that is not the last is full");
        found.extend(page.items.into_iter().map(|session| session.id.as_str().to_owned()));
        let Some(next) = page.next else { break };
        let stolen = block_on(house.store().sessions(&as_one("bob"), &query.clone().cursor(Some(next.clone()))));
        assert_eq!(stolen.unwrap_err().kind(), ErrorKind::InvalidInput, "a cursor is bound to its scope");
        query = query.cursor(Some(next));
    }
    assert_eq!(found, with(&["s01", "s05"]));

    let hits = block_on(house.store().search(&as_one("eve"), &SearchQuery::new("message"))).unwrap();
    assert_eq!(hits.items.iter().map(|hit| hit.session.as_str()).collect::<Vec<_>>(), ["s05"]);
    let scope = Scope::Visible { principals: vec!["bob".to_owned()], roles: Vec::new() };
    let error = block_on(house.store().sessions(&as_one("ann"), &SessionQuery::new().scope(scope.clone())));
    assert_eq!(error.unwrap_err().get("field"), Some("scope"));
    assert_eq!(listed(&house, &as_one("eve:reader"), SessionQuery::new().scope(scope)).len(), 10);
}
