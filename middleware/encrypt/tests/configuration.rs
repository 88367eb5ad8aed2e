//! The layer of configurations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;

use craftx_core::{ErrorKind, Memory, Prepare, Registry, SearchQuery, Stack, StackConfig};
use craftx_encrypt::{Encrypted, Keyring};
use futures_executor::block_on;
use serde_json::{Value, json};

use common::*;

fn build(options: &Value) -> craftx_core::Result<Stack> {
    let mut registry = Registry::new();
    registry.register("memory", |_| Ok(Arc::new(Memory::new())));
    registry.register("lagging", |_| {
        Ok(Arc::new(Capable { inner: memory(), can: memory().capabilities().mirrored_later(true) }))
    });
    craftx_encrypt::register(&mut registry);
    let table = json!({ "backend": "memory", "layers": ["encrypt"], "encrypt": options });
    registry.build_stack(&StackConfig::from_table(table).unwrap())
}

#[test]
fn a_stack_that_a_configuration_describes_encrypts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let options = json!({
        "keyring": format!("file:{}", path.display()),
        "keys": { "backend": "memory" },
        "seal_roles": true,
        "cache_ms": 10,
    });
    let stack = build(&options).unwrap();
    let store = stack.backend();
    let error = block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "a missing keyring is found when the store is opened");
    Keyring::generate("a").unwrap().save(&path).unwrap();
    block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap();
    write(&**store, "s", &[said(1, "canary")]).unwrap();
    assert_eq!(texts(&**store, "s"), ["canary"]);
    let below = bytes(&**stack.below(craftx_core::Slot::Encrypt).unwrap(), "s");
    assert!(!below.contains("canary") && below.contains("\"role\":\"sealed\""), "{below}");
    assert!(stack.find::<Encrypted>().is_some());
}

#[test]
fn a_configuration_can_ask_for_a_blind_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    Keyring::generate("a").unwrap().save(&path).unwrap();
    for on in [false, true] {
        let keyring = format!("file:{}", path.display());
        let stack = build(&json!({ "keyring": keyring, "keys": { "backend": "memory" }, "blind_index": on })).unwrap();
        let store = stack.backend();
        write(&**store, "s", &[said(1, "a heron")]).unwrap();
        let found = block_on(store.search(&cx(), &SearchQuery::new("herons")));
        assert_eq!(
            found.map(|page| page.items.len()).map_err(|error| error.kind()),
            match on {
                true => Ok(1),
                false => Err(ErrorKind::Unsupported),
            }
        );
    }
}

#[test]
fn what_is_wrong_is_named_and_no_secret_is_quoted() {
    let keys = json!({ "backend": "memory" });
    for (options, said) in [
        (json!({ "keys": keys }), "a key is missing, key: `encrypt.keyring`"),
        (json!({ "keyring": "file:a" }), "a key is missing, key: `encrypt.keys`"),
        (json!({ "keyring": "canary", "keys": keys }), "this must be where the secret is"),
        (
            json!({ "keyring": "file:a", "keys": { "backend": "memroy" } }),
            "key: `encrypt.keys.backend`, nearest: `memory`",
        ),
        (
            json!({ "keyring": "file:a", "keys": keys, "padd": true }),
            "there is no such key, key: `encrypt.padd`, nearest: `pad`",
        ),
        (
            json!({ "keyring": "file:a", "keys": keys, "pad": "canary" }),
            "this must be a boolean, not text, key: `encrypt.pad`",
        ),
        (json!({ "keyring": "file:a", "keys": { "backend": "lagging" } }), "a key store must not be mirrored later"),
        (
            json!({ "keyring": "file:a", "keys": keys, "cache_ms": 60_001 }),
            "a key that was destroyed is used for 60,000 ms more at most, key: `encrypt.cache_ms`",
        ),
        (
            json!({ "keyring": "file:a", "keys": keys, "seal_roles": true, "blind_index": true }),
            "choose `blind_index` or `seal_roles`, key: `encrypt.blind_index`",
        ),
    ] {
        let error = build(&options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(said) && !shown.contains("canary"), "{shown}");
    }
}
