//! Neither plaintext nor keys get out.

use craftx_core::{Backend, Context, MessageQuery, SearchQuery, SessionQuery, WriteOptions};
use craftx_failover::Mirror;

use super::*;

pub(crate) const CANARY: &str = "canary-5e1f";

/// Every text that somebody could log: what values and errors show of themselves.
#[derive(Default)]
pub(crate) struct Shown(pub(crate) String);

impl Shown {
    pub(crate) fn add(&mut self, value: &impl std::fmt::Debug) {
        self.0.push_str(&format!("{value:?} {value:#?}\n"));
    }

    pub(crate) fn result<T>(&mut self, result: Result<T, craftx_core::Error>) {
        if let Err(error) = result {
            self.0.push_str(&format!("{error} {error:?}\n"));
        }
    }
}

#[test]
fn plaintext_and_keys_appear_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (data_folder, key_folder) = (folder.path().join("data"), folder.path().join("keys"));
    std::fs::create_dir_all(&data_folder).unwrap();
    std::fs::create_dir_all(&key_folder).unwrap();
    let data = hybrid(&data_folder, Mirror::Async);
    let keys = sqlite(&key_folder, "keys.db");
    let ring = keyring();
    let ring_text = ring.to_text().unwrap();
    let raw = ring_text.expose().split("\"key\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let layer = Encrypt::new(Arc::clone(&ring) as _, Arc::clone(&keys), EncryptConfig::default()).unwrap();
    let store = prepared(layer.over(Arc::clone(&data)).unwrap());
    let mut shown = Shown::default();
    shown.add(&ring);
    shown.add(&layer);
    shown.add(&store);
    let session = id("s");
    for ms in 1..30 {
        let written = block_on(store.write(&cx(), &session, &[said(ms, CANARY)], &WriteOptions::fresh()));
        shown.add(&written);
    }
    let title = Record::Session {
        stamp: Stamp::mint(40, None, 0).unwrap(),
        set: [("title".to_owned(), Some(CANARY.into()))].into(),
    };
    shown.add(&block_on(store.write(&cx(), &session, &[title], &WriteOptions::fresh())));
    shown.add(&block_on(store.load(&cx(), &session, &MessageQuery::oldest_first())).unwrap());
    shown.add(&block_on(store.records(&cx(), &session, None, None)).unwrap());
    shown.add(&block_on(store.session(&cx(), &session)).unwrap());
    // Everything that can go wrong.
    let other =
        Encrypt::new(Arc::new(Keyring::generate("2026-11").unwrap()), Arc::clone(&keys), EncryptConfig::default());
    let wrong = other.unwrap().over(Arc::clone(&data)).unwrap();
    shown.result(block_on(wrong.load(&cx(), &session, &MessageQuery::oldest_first())));
    shown.result(block_on(wrong.sessions(&cx(), &SessionQuery::new())));
    shown.result(block_on(wrong.write(&cx(), &session, &[said(99, CANARY)], &WriteOptions::fresh())));
    shown.result(block_on(store.write(&cx(), &session, &[said(1, &format!("{CANARY}!"))], &WriteOptions::fresh())));
    shown.result(block_on(store.search(&cx(), &SearchQuery::new(CANARY))));
    shown.result(block_on(store.sessions(&cx(), &SessionQuery::new().metadata("title", CANARY))));
    shown.result(block_on(data.write(&cx(), &id("plain"), &[said(1, "not encrypted")], &WriteOptions::fresh())));
    shown.result(block_on(store.load(&cx(), &id("plain"), &MessageQuery::oldest_first())));
    shown.result(block_on(store.rotate(&Context::new(Tenant::default()))));
    shown.add(&block_on(store.verify(&cx())).unwrap());
    shown.add(&block_on(store.rotation_status(&cx())).unwrap());
    shown.add(&block_on(store.data_keys(&cx(), &session)).unwrap());
    shown.add(&block_on(store.reencrypt(&cx(), &session)).unwrap());
    shown.add(&block_on(store.shred(&cx(), &session)).unwrap());
    block_on(store.close(&cx())).unwrap();
    shown.result(block_on(store.load(&cx(), &session, &MessageQuery::oldest_first())));
    assert!(shown.0.len() > 5_000 && shown.0.contains("key_unavailable") && shown.0.contains("not_encrypted"));
    for (what, secret) in [("plaintext", CANARY), ("the key of the keyring", raw.as_str())] {
        assert!(!shown.0.contains(secret), "{what}");
        assert!(!holds(&bytes(folder.path()), secret.as_bytes()), "{what}");
    }
}
