//! A store under the layer keeps every promise of a store, and the counts are right.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use craftx_conformance::{Subject, conformance};
use craftx_core::{
    Context, DynBackend, ErrorKind, Layer, Memory, Message, MessageQuery, Prepare, Record, Registry, Role, SessionId,
    Stack, StackConfig, Stamp, Tenant, WriteOptions,
};
use craftx_example_layer::CountCalls;
use futures_executor::block_on;

conformance!(memory_under_the_layer, || async { Ok(Subject::from(counted(&CountCalls::default()))) });

fn counted(layer: &CountCalls) -> DynBackend {
    layer.apply(Arc::new(Memory::new())).unwrap()
}

fn cx() -> Context {
    Context::system(Tenant::default())
}

#[test]
fn every_method_is_counted_once_and_errors_are_told_apart() {
    let layer = CountCalls::default();
    let (store, cx, session) = (counted(&layer), cx(), SessionId::new("s").unwrap());
    let hello = Record::Message(Message::new(Stamp::mint(1, None, 0).unwrap(), Role::User, "hello"));
    block_on(async {
        store.prepare(&cx, Prepare::Migrate).await.unwrap();
        assert!(store.load(&cx, &session, &MessageQuery::oldest_first()).await.is_err());
        store.write(&cx, &session, &[hello], &WriteOptions::fresh()).await.unwrap();
        store.load(&cx, &session, &MessageQuery::oldest_first()).await.unwrap();
        store.records(&cx, &session, None, None).await.unwrap();
        store.session(&cx, &session).await.unwrap();
        store.sessions(&cx, &Default::default()).await.unwrap();
        store.search(&cx, &Default::default()).await.unwrap();
        store.tenants(&cx, None).await.unwrap();
        store.compact(&cx, &Default::default()).await.unwrap();
        store.status(&cx).await.unwrap();
        store.verify(&cx).await.unwrap();
        store.close(&cx).await.unwrap();
    });
    let once = [
        "prepare", "write", "records", "session", "sessions", "search", "tenants", "compact", "status", "verify",
        "close",
    ];
    for method in once {
        assert_eq!((layer.of(method).calls, layer.of(method).failed), (1, 0), "{method}");
    }
    assert_eq!((layer.of("load").calls, layer.of("load").failed), (2, 1));
}

#[test]
fn the_same_layer_value_counts_for_all_stores_that_it_wraps() {
    let layer = CountCalls::default();
    for store in [counted(&layer), counted(&layer)] {
        let late = cx().with_timeout(Duration::ZERO);
        assert_eq!(block_on(store.status(&late)).unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!((layer.of("status").calls, layer.of("status").failed), (2, 2));
}

#[test]
fn it_takes_away_no_capability_and_stands_outside_of_validation() {
    let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(CountCalls::default()).build().unwrap();
    assert!(stack.describe().starts_with("count-calls\nvalidate\nmemory"), "{}", stack.describe());
    let bare = Stack::builder("memory", Arc::new(Memory::new())).build().unwrap();
    assert_eq!(stack.capabilities(), bare.capabilities());
}

#[test]
fn a_configuration_can_name_it() {
    let (layer, mut registry) = (CountCalls::default(), Registry::new());
    registry.register("memory", |_| Ok(Arc::new(Memory::new())));
    craftx_example_layer::register(&mut registry, &layer);
    let stack = registry.build_stack(&StackConfig::new("memory").layer("count-calls")).unwrap();
    block_on(stack.backend().status(&cx())).unwrap();
    assert_eq!(layer.of("status").calls, 1);
}
