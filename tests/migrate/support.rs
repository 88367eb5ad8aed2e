//! Stores with something of everything in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use craftx::migrate::{Migrated, StorageMigrator};
use craftx::{Caller, Grant, NewMessage, Prepare, Record, SessionId, Storage, Tenant, WriteOptions};
use tempfile::TempDir;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A store of this folder, made if it is not there.
    pub(crate) async fn make(&self, scheme: &str, name: &str) -> Storage {
        self.open(scheme, name, Prepare::Migrate).await
    }

    /// A store of this folder as a source is opened.
    pub(crate) async fn source(&self, scheme: &str, name: &str) -> Storage {
        self.open(scheme, name, Prepare::Open).await
    }

    async fn open(&self, scheme: &str, name: &str, mode: Prepare) -> Storage {
        let url = format!("{scheme}:{}", self.path(name).display());
        let storage = Storage::open_with(&craftx::builtin(), &url, mode).await.unwrap();
        storage.for_caller(Caller::System).with_timeout(Some(Duration::from_secs(120)))
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// What the files under a name hold.
    pub(crate) fn bytes(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(name), &mut files);
        files
    }
}

fn collect(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), files));
    } else {
        files.insert(path.to_owned(), std::fs::read(path).unwrap());
    }
}

/// The sessions that [`fill`] makes, of all tenants.
pub(crate) const SESSIONS: u64 = 7;

/// Two tenants; sessions that are long, cleared, deleted, owned, and that have metadata and deleted messages.
pub(crate) async fn fill(store: &Storage) {
    for tenant in ["default", "acme"] {
        let store = store.for_tenant(Tenant::new(tenant).unwrap());
        let long = (0..1_200).map(|n| NewMessage::user(format!("{tenant} {n} \u{0} é")));
        for part in long.collect::<Vec<_>>().chunks(600) {
            store.append_all("long", part.to_vec()).await.unwrap();
        }
        let second = store.append("talk", NewMessage::assistant("to be deleted")).await.unwrap();
        store.append("talk", NewMessage::user("kept").metadata("n", 1e300)).await.unwrap();
        store.delete_message("talk", second.id).await.unwrap();
        store.set_metadata("talk", "title", tenant).await.unwrap();
        store.append("gone", NewMessage::user("gone")).await.unwrap();
        store.delete_session("gone").await.unwrap();
    }
    let owned = SessionId::new("owned").unwrap();
    let cx = store.context();
    let grants = vec![serde_json::from_str::<Grant>(r#"{"to":"bob","actions":["read"]}"#).unwrap()];
    let acl = Record::Acl { stamp: cx.mint(None).unwrap(), owner: Some("ann".to_owned()), grants };
    store.stack().backend().write(&cx, &owned, &[acl], &WriteOptions::replay()).await.unwrap();
}

/// Runs a migration that must leave nothing over.
pub(crate) async fn migrated(from: &Storage, to: &Storage) -> Migrated {
    let migrated = StorageMigrator::new(from, to).merge(true).run().await.unwrap();
    assert!(migrated.caught_up, "{migrated:?}");
    assert!(migrated.failed.is_empty(), "{migrated:?}");
    migrated
}

/// Both stores have the same records.
pub(crate) async fn are_equal(from: &Storage, to: &Storage) {
    let compared = StorageMigrator::new(from, to).verify().await.unwrap();
    assert!(compared.is_equal(), "{compared:?}");
    assert!(compared.equal > 0);
}
