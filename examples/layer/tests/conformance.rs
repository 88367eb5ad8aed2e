//! A store under the layer keeps every promise of a store, and the switch stops writes and nothing else.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use craftx_conformance::{Subject, conformance};
use craftx_core::{
    Context, DynBackend, ErrorKind, Layer, Memory, Message, MessageQuery, Outcome, Record, Registry, Retry, Role,
    SessionId, Stack, StackConfig, Stamp, Tenant, WriteOptions,
};
use craftx_example_layer::Freeze;
use futures_executor::block_on;

conformance!(memory_under_the_layer, || async { Ok(Subject::from(under(&Freeze::default()))) });

fn under(freeze: &Freeze) -> DynBackend {
    freeze.apply(Arc::new(Memory::new())).unwrap()
}

fn cx() -> Context {
    Context::system(Tenant::default())
}

fn say(store: &DynBackend, ms: u64) -> craftx_core::Result<craftx_core::Written> {
    let message = Message::new(Stamp::mint(ms, None, 0).unwrap(), Role::User, "hello");
    let records = [Record::Message(message)];
    block_on(store.write(&cx(), &SessionId::new("s").unwrap(), &records, &WriteOptions::fresh()))
}

#[test]
fn a_frozen_store_refuses_what_changes_it_and_can_be_read() {
    let freeze = Freeze::default();
    let (store, cx, session) = (under(&freeze), cx(), SessionId::new("s").unwrap());
    say(&store, 1).unwrap();
    freeze.set(true);
    let error = say(&store, 2).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome(), error.retry()),
        (ErrorKind::Unavailable, Outcome::NotApplied, Retry::Later)
    );
    assert_eq!(block_on(store.compact(&cx, &Default::default())).unwrap_err().operation(), "compact");
    block_on(async {
        assert_eq!(store.load(&cx, &session, &MessageQuery::oldest_first()).await.unwrap().items.len(), 1);
        store.records(&cx, &session, None, None).await.unwrap();
        store.session(&cx, &session).await.unwrap();
        store.sessions(&cx, &Default::default()).await.unwrap();
        store.search(&cx, &Default::default()).await.unwrap();
        store.tenants(&cx, None).await.unwrap();
        store.status(&cx).await.unwrap();
        store.verify(&cx).await.unwrap();
    });
    freeze.set(false);
    assert_eq!(say(&store, 2).unwrap().applied, Some(1));
}

#[test]
fn one_switch_is_for_all_stores_that_it_wraps() {
    let freeze = Freeze::default();
    let stores = [under(&freeze), under(&freeze)];
    freeze.set(true);
    assert!(stores.iter().all(|store| say(store, 1).is_err()));
    assert!(say(&under(&Freeze::default()), 1).is_ok(), "another value is another switch");
}

#[test]
fn it_takes_away_no_capability_and_stands_outside_of_validation() {
    let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(Freeze::default()).build().unwrap();
    assert!(stack.describe().starts_with("freeze\nvalidate\nmemory"), "{}", stack.describe());
    let bare = Stack::builder("memory", Arc::new(Memory::new())).build().unwrap();
    assert_eq!(stack.capabilities(), bare.capabilities());
}

#[test]
fn a_configuration_can_name_it() {
    let (freeze, mut registry) = (Freeze::default(), Registry::new());
    registry.register("memory", |_| Ok(Arc::new(Memory::new())));
    craftx_example_layer::register(&mut registry, &freeze);
    let stack = registry.build_stack(&StackConfig::new("memory").layer("freeze")).unwrap();
    freeze.set(true);
    assert!(say(stack.backend(), 1).is_err());
    let wrong = StackConfig::new("memory").layer("freeze").option("freeze", "colour", "red");
    assert_eq!(registry.build_stack(&wrong).unwrap_err().kind(), ErrorKind::ConfigInvalid);
}
