//! Through any layers: each side in its own way.

use std::time::Duration;

use craftx::encrypt_layer::Keyring;
use craftx::migrate::StorageMigrator;
use craftx::{Caller, Config, ErrorKind, Storage};

use crate::support::{Folder, SESSIONS, are_equal, fill, migrated};

/// A guarded and encrypted store of this folder, with keys of its own.
async fn sealed(folder: &Folder, name: &str) -> Storage {
    let path = |kind: &str| folder.path(&format!("{name}.{kind}")).display().to_string();
    let keyring = folder.path(&format!("{name}.keyring"));
    if !keyring.exists() {
        Keyring::generate("first").unwrap().create(&keyring).unwrap();
    }
    let text = format!(
        "backend = 'sqlite'\nlayers = ['access', 'encrypt']\n[sqlite]\npath = '{}'\n[[access.allow]]\ncreate = true\n[encrypt]\n\
         keyring = 'file:{}'\nkeys = {{ backend = 'sqlite', sqlite = {{ path = '{}' }} }}\n",
        path("db"),
        path("keyring"),
        path("keys"),
    );
    std::fs::write(folder.path("stack.toml"), text).unwrap();
    let storage = Config::new().file(folder.path("stack.toml")).open().await.unwrap();
    storage.for_caller(Caller::System).with_timeout(Some(Duration::from_secs(120)))
}

#[tokio::test]
async fn what_is_plain_is_encrypted_and_what_is_encrypted_is_encrypted_anew_and_plain_again() {
    let folder = Folder::new();
    let plain = folder.make("json", "plain").await;
    fill(&plain).await;
    let (one, two) = (sealed(&folder, "one").await, sealed(&folder, "two").await);
    let again = folder.make("sqlite", "again.db").await;
    for (from, to) in [(&plain, &one), (&one, &two), (&two, &again)] {
        let ran = StorageMigrator::new(from, to).run().await.unwrap();
        assert!(ran.caught_up && ran.failed.is_empty() && ran.sessions == SESSIONS, "{ran:?}");
        are_equal(from, to).await;
        assert_eq!(migrated(from, to).await.applied, 0);
    }
    are_equal(&plain, &again).await;
    let owned = two.session("owned").await.unwrap().unwrap();
    assert_eq!(owned.owner.as_deref(), Some("ann"));
    for store in [&one, &two] {
        store.close().await.unwrap();
    }
    let bytes = std::fs::read(folder.path("two.db")).unwrap();
    assert!(!bytes.windows(10).any(|window| window == b"default 17"), "plaintext in a store that is encrypted");
}

#[tokio::test]
async fn ciphertext_without_its_keys_is_named_and_nothing_is_called_copied() {
    let folder = Folder::new();
    let plain = folder.make("json", "plain").await;
    fill(&plain).await;
    let one = sealed(&folder, "one").await;
    migrated(&plain, &one).await;
    one.close().await.unwrap();
    std::fs::remove_file(folder.path("one.keyring")).unwrap();
    let stranger = sealed(&folder, "one").await;
    let to = folder.make("sqlite", "to.db").await;
    match StorageMigrator::new(&stranger, &to).run().await {
        Ok(ran) => {
            assert!(ran.failures > 0, "{ran:?}");
            assert!(ran.failed.iter().all(|failure| failure.kind() == ErrorKind::KeyUnavailable), "{ran:?}");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::KeyUnavailable),
    }
    assert_eq!(to.load_conversation("talk").await.unwrap_err().kind(), ErrorKind::NotFound);
}
