//! The layer by its name and its options.

use std::sync::Arc;

use craftx_access::Guard;
use craftx_core::{
    Context, ErrorKind, Memory, MessageQuery, Prepare, Registry, Result, Stack, StackConfig, Tenant, WriteOptions,
};
use futures_executor::block_on;
use serde_json::{Value, json};

use crate::house::{as_one, name, nobody, system, text};

fn build(access: Value) -> Result<Stack> {
    let mut registry = Registry::new();
    registry.register("memory", |_| Ok(Arc::new(Memory::new())));
    craftx_access::register(&mut registry);
    let config = json!({ "backend": "memory", "layers": ["access"], "access": access });
    registry.build_stack(&StackConfig::from_table(config)?)
}

#[test]
fn rules_come_from_a_configuration() {
    let stack = build(json!({
        "allow": [{ "create": true }, { "roles": ["support"], "tenants": ["acme"], "actions": ["read", "search"] }],
        "forbid": [{ "principals": ["mallory"] }],
        "ttl_ms": 0,
    }))
    .unwrap();
    assert!(stack.describe().starts_with("access\nvalidate\nmemory"));
    let load = |cx: &Context| block_on(stack.backend().load(cx, &name("s"), &MessageQuery::oldest_first()));
    for tenant in ["acme", "globex"] {
        let cx = as_one("ann").with_tenant(Tenant::new(tenant).unwrap());
        block_on(stack.backend().write(&cx, &name("s"), &[text(1)], &WriteOptions::fresh())).unwrap();
        let support = as_one("bob:support").with_tenant(Tenant::new(tenant).unwrap());
        assert_eq!(load(&support).is_ok(), tenant == "acme");
        let mallory = as_one("mallory:support").with_tenant(Tenant::new(tenant).unwrap());
        assert_eq!(load(&mallory).unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(load(&nobody()).unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[test]
fn a_name_without_options_denies_everything() {
    let stack = build(json!({})).unwrap();
    let write = |cx: &Context| block_on(stack.backend().write(cx, &name("s"), &[text(1)], &WriteOptions::fresh()));
    assert!(write(&as_one("ann:admin")).is_err());
    assert_eq!(stack.find::<Guard>().unwrap().lost_events(), 0);
}

#[test]
fn the_log_can_be_a_file_or_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for audit in [
        json!({ "path": path, "sync": true, "reads": true }),
        json!({ "store": { "backend": "memory" }, "tenant": "audit", "session": "log", "fail_closed": true }),
    ] {
        let stack = build(json!({ "allow": [{ "create": true }], "audit": audit })).unwrap();
        block_on(stack.backend().prepare(&system(), Prepare::Migrate)).unwrap();
        block_on(stack.backend().write(&as_one("ann"), &name("s"), &[text(1)], &WriteOptions::fresh())).unwrap();
        block_on(stack.backend().close(&system())).unwrap();
    }
    let told = std::fs::read_to_string(&path).unwrap();
    assert_eq!(told.lines().count(), 6, "preparing, writing and closing, each twice: {told}");
}

#[test]
fn what_is_wrong_is_named_with_its_key() {
    for (access, message) in [
        (json!({ "alow": [] }), "there is no such key, key: `access.alow`, nearest: `allow`"),
        (
            json!({ "allow": [{ "actions": ["reed"] }] }),
            "this must be `read` or `append` or `delete` or `update` or `list` or `search` or `admin` or `export`, key: \
             `access.allow.0.actions.0`, nearest: `read`",
        ),
        (
            json!({ "allow": [{ "roles": ["x"] }] }),
            "a rule that allows says what: `actions` or `create`, key: `access.allow.0.actions`",
        ),
        (
            json!({ "allow": [{ "create": true }, { "actions": ["search"] }] }),
            "a search shows messages, so `search` needs `read`, key: `access.allow.1.actions`",
        ),
        (
            json!({ "forbid": [{ "tenants": [] }] }),
            "an empty list covers nothing; leave it out to mean all, key: `access.forbid.0.tenants`",
        ),
        (json!({ "forbid": [{ "principal": ["x"] }] }), "there is no such key, key: `access.forbid.0.principal`"),
        (json!({ "ttl_ms": 5_001 }), "a revocation takes 5,000 ms at most, key: `access.ttl_ms`"),
        (json!({ "system": true }), "there is no such key, key: `access.system`"),
        (json!({ "caller": "system" }), "there is no such key, key: `access.caller`"),
        (json!({ "audit": { "reads": true } }), "the log has a `path`"),
        (json!({ "audit": { "path": "x", "store": { "backend": "memory" } } }), "the log has a `path`"),
        (
            json!({ "audit": { "store": { "backend": "memroy" } } }),
            "there is no scheme `memroy`, key: `access.audit.store.backend`, nearest: `memory`",
        ),
    ] {
        let error = build(access.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{access}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("configure: {message}")), "{access}\n found {text}\nwanted {message}");
    }
}
