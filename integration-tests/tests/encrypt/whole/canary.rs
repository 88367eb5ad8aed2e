//! Neither plaintext nor keys get out of the whole stack: not into stores, marks, the key store or the audit log, and not
//! into errors or what values show of themselves. There are no logs that could hold them.

use std::sync::Mutex;

use craftx_access::{Action, Grantee, Guard};
use craftx_core::{Compact, MessageQuery, SearchQuery, SessionQuery, WriteOptions, async_trait};
use craftx_encrypt::{KeyContext, KeyInfo, KeyMaterial, Wrapped};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

use super::*;
use crate::canary::{CANARY, Shown};

/// A keyring that remembers every data key that it has wrapped.
#[derive(Debug)]
struct Spy {
    inner: Keyring,
    // Not shown by `Debug`: this is about what the stack shows.
    seen: Unshown,
}

#[derive(Default)]
struct Unshown(Mutex<Vec<Vec<u8>>>);

impl std::fmt::Debug for Unshown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[async_trait]
impl KeyProvider for Spy {
    async fn keys(&self, cx: &Context) -> craftx_core::Result<Vec<KeyInfo>> {
        KeyProvider::keys(&self.inner, cx).await
    }

    async fn wrap(&self, cx: &Context, of: &KeyContext<'_>, key: &KeyMaterial) -> craftx_core::Result<Wrapped> {
        self.seen.0.lock().unwrap().push(key.expose().to_vec());
        self.inner.wrap(cx, of, key).await
    }

    async fn unwrap(&self, cx: &Context, of: &KeyContext<'_>, key: &Wrapped) -> craftx_core::Result<KeyMaterial> {
        self.inner.unwrap(cx, of, key).await
    }
}

/// Each half of a data key, as bytes and as somebody could spell them.
fn spelled(key: &[u8]) -> Vec<Vec<u8>> {
    let halves = key.chunks(32);
    let spell = |half: &[u8]| {
        [half.to_vec(), BASE64URL_NOPAD.encode(half).into(), BASE64.encode(half).into(), HEXLOWER.encode(half).into()]
    };
    halves.flat_map(spell).collect()
}

#[test]
fn plaintext_and_keys_appear_nowhere_in_the_whole_stack() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::generate("2026-11").unwrap();
    let text = ring.to_text().unwrap();
    let key = text.expose().split("\"key\": \"").nth(1).unwrap().split('"').next().unwrap();
    let mut secrets = spelled(&BASE64URL_NOPAD.decode(key.as_bytes()).unwrap());
    let spy = Arc::new(Spy { inner: ring, seen: Unshown::default() });
    let stack = opened(folder.path(), Arc::clone(&spy) as _);
    let (store, mut shown) = (stack.backend(), Shown::default());
    shown.add(&stack);

    let session = id("s");
    let read = |who: &Context, session: &SessionId| block_on(store.load(who, session, &MessageQuery::oldest_first()));
    let write = |who: &Context, name: &str, record: Record| {
        block_on(store.write(who, &id(name), &[record], &WriteOptions::fresh()))
    };
    for ms in 1..20 {
        shown.add(&write(&by("ann"), "s", said(ms, CANARY)).unwrap());
        shown.add(&write(&by("bob"), "t", said(ms, CANARY)).unwrap());
    }
    let set = [("title".to_owned(), Some(CANARY.into()))].into();
    let title = Record::Session { stamp: Stamp::mint(40, None, 0).unwrap(), set };
    shown.add(&write(&by("ann"), "s", title).unwrap());
    shown.add(&read(&by("ann"), &session).unwrap());
    shown.add(&block_on(store.sessions(&by("ann"), &SessionQuery::new())).unwrap());
    shown.add(&block_on(store.records(&cx(), &session, None, None)).unwrap());
    let guard = stack.find::<Guard>().unwrap();
    block_on(guard.grant(&by("ann"), &session, &Grantee::principal("bob").unwrap(), [Action::Read])).unwrap();
    shown.add(guard);

    // Everything that is refused or goes wrong.
    shown.result(read(&Context::new(Tenant::default()), &session));
    shown.result(read(&by("eve"), &session));
    shown.result(write(&by("bob"), "s", said(50, CANARY)));
    shown.result(write(&by("ann"), "s", said(1, &format!("{CANARY}!"))));
    shown.result(block_on(store.search(&cx(), &SearchQuery::new(CANARY))));
    shown.result(block_on(store.sessions(&by("ann"), &SessionQuery::new().metadata("title", CANARY))));
    let long = format!("{CANARY}{}", "x".repeat(20 << 20));
    shown.result(write(&by("ann"), "s", said(60, &long)));
    let other = opened(folder.path(), Arc::new(Keyring::generate("2026-11").unwrap()));
    let with_other_keys = |cx: &Context| block_on(other.backend().load(cx, &session, &MessageQuery::oldest_first()));
    shown.result(with_other_keys(&by("ann")));
    shown.result(with_other_keys(&cx()));
    let hybrid = stack.below(craftx_core::Slot::Encrypt).unwrap();
    block_on(hybrid.write(&cx(), &id("plain"), &[said(1, "not encrypted")], &WriteOptions::fresh())).unwrap();
    shown.result(read(&cx(), &id("plain")));
    shown.result(block_on(store.compact(&by("ann"), &Compact::new())));

    let handle = stack.find::<Encrypted>().unwrap();
    shown.add(&block_on(store.verify(&cx())).unwrap());
    shown.add(&block_on(store.status(&cx())).unwrap());
    shown.add(&block_on(handle.rotate(&cx())).unwrap());
    shown.add(&block_on(handle.rotation_status(&cx())).unwrap());
    shown.add(&block_on(handle.data_keys(&cx(), &session)).unwrap());
    shown.add(&block_on(handle.reencrypt(&cx(), &session)).unwrap());
    shown.add(&block_on(handle.shred(&cx(), &session)).unwrap());
    block_on(store.close(&cx())).unwrap();
    block_on(other.backend().close(&cx())).unwrap();
    shown.result(read(&by("bob"), &id("t")));
    for expected in ["key_unavailable", "not_encrypted", "permission_denied", "unauthenticated", "not_found"] {
        assert!(shown.0.contains(expected), "{expected} was not provoked");
    }

    let seen = spy.seen.0.lock().unwrap();
    assert!(seen.len() >= 4, "two sessions, what vouches for owners, and a renewed key: {}", seen.len());
    secrets.extend(seen.iter().flat_map(|key| spelled(key)));
    secrets.push(CANARY.into());
    let files = bytes(folder.path());
    assert!(holds(&files, b"audit.jsonl") && holds(&files, b"\"decision\":\"deny\""), "there is an audit log");
    for (number, secret) in secrets.iter().enumerate() {
        assert!(!holds(shown.0.as_bytes(), secret), "the secret {number} is shown");
        assert!(!holds(&files, secret), "the secret {number} is in a file");
    }
}
