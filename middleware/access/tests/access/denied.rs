//! Every method of `Backend` refuses whoever may not call it, and calls nothing below.

use std::collections::BTreeMap;
use std::sync::Arc;

use craftx_access::{Access, Rules};
use craftx_conformance::Plug;
use craftx_core::{
    Compact, Context, DynBackend, Error, Layer, Memory, MessageQuery, Prepare, Record, SearchQuery, SessionQuery,
    Surrounded, WriteOptions,
};
use futures_executor::block_on;

use crate::house::{as_one, at, name, nobody, text};

type Call = fn(&DynBackend, &Context) -> Option<Error>;

/// What a call comes to for somebody without any rights: an error, `None` if it succeeded.
const CALLS: [(&str, Call); 12] = [
    ("prepare", |store, cx| block_on(store.prepare(cx, Prepare::Migrate)).err()),
    ("write", |store, cx| block_on(store.write(cx, &name("s"), &[text(2)], &WriteOptions::fresh())).err()),
    ("load", |store, cx| block_on(store.load(cx, &name("s"), &MessageQuery::oldest_first())).err()),
    ("records", |store, cx| block_on(store.records(cx, &name("s"), None, None)).err()),
    ("session", |store, cx| match block_on(store.session(cx, &name("s"))) {
        Ok(None) => Some(craftx_core::union::no_such_session(&name("s"))),
        Ok(Some(_)) => None,
        Err(error) => Some(error),
    }),
    ("sessions", |store, cx| match block_on(store.sessions(cx, &SessionQuery::new())) {
        // Somebody may list what they own, which is nothing.
        Ok(page) => page.items.is_empty().then(|| craftx_core::union::no_such_session(&name("s"))),
        Err(error) => Some(error),
    }),
    ("search", |store, cx| match block_on(store.search(cx, &SearchQuery::new("message"))) {
        Ok(page) => page.items.is_empty().then(|| craftx_core::union::no_such_session(&name("s"))),
        Err(error) => Some(error),
    }),
    ("tenants", |store, cx| block_on(store.tenants(cx, None)).err()),
    ("compact", |store, cx| block_on(store.compact(cx, &Compact::new())).err()),
    ("status", |store, cx| block_on(store.status(cx)).err()),
    ("verify", |store, cx| block_on(store.verify(cx)).err()),
    ("close", |store, cx| block_on(store.close(cx)).err()),
];

/// The names of the methods, from the source of the trait. `capabilities` asks nobody and tells nothing of what is stored.
fn methods() -> Vec<String> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/src/backend.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (_, body) = source.split_once("pub trait Backend").unwrap();
    let names = body.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
        rest.split('(').next().map(str::to_owned)
    });
    names.filter(|name| name != "capabilities").collect()
}

/// A guarded store with a session of somebody else, and how often it was written below.
fn guarded() -> (DynBackend, DynBackend, Arc<Plug>) {
    let plug = Arc::new(Plug::default());
    let medium: DynBackend = Arc::new(Surrounded::new(Arc::clone(&plug), Arc::new(Memory::new())));
    let acl = Record::Acl { stamp: at(1), owner: Some("ann".to_owned()), grants: Vec::new() };
    let cx = crate::house::system();
    block_on(medium.write(&cx, &name("s"), &[acl, text(1)], &WriteOptions::fresh())).unwrap();
    let store = Access::new(Rules::new()).unwrap().apply(Arc::clone(&medium)).unwrap();
    (store, medium, plug)
}

fn what_is_stored(medium: &DynBackend) -> Vec<Record> {
    block_on(medium.records(&crate::house::system(), &name("s"), None, None)).unwrap().items
}

#[test]
fn every_method_has_a_deny_test() {
    let tested: BTreeMap<&str, Call> = CALLS.into_iter().collect();
    let missing: Vec<_> = methods().into_iter().filter(|method| !tested.contains_key(method.as_str())).collect();
    assert!(missing.is_empty(), "`Backend` has methods that nobody tries to call without the right: {missing:?}");
    assert_eq!(methods().len(), CALLS.len());
}

#[test]
fn every_method_refuses_a_principal_without_rights_and_nobody() {
    for (method, call) in CALLS {
        for cx in [as_one("bob"), as_one("bob:admin,system,operator"), nobody()] {
            let (store, medium, _) = guarded();
            let before = what_is_stored(&medium);
            let error = call(&store, &cx).unwrap_or_else(|| panic!("{method} let {:?} pass", cx.caller));
            assert_eq!(error.outcome(), craftx_core::Outcome::NotApplied, "{method}");
            assert_eq!(what_is_stored(&medium), before, "{method} changed something");
            assert!(!format!("{error:?}").contains("ann"), "{method} tells who owns it");
        }
    }
}

#[test]
fn nobody_reaches_the_store_at_all() {
    for (method, call) in CALLS {
        let (store, _, plug) = guarded();
        let before = plug.calls();
        assert!(call(&store, &nobody()).is_some());
        assert_eq!(plug.calls(), before, "{method} asked the store before it asked who calls");
    }
}

#[test]
fn the_system_passes_everywhere() {
    for (method, call) in CALLS {
        let (store, ..) = guarded();
        assert!(call(&store, &crate::house::system()).is_none(), "{method}");
    }
}
