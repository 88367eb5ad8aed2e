//! Every store that this build can open, fresh and empty.
#![allow(dead_code, reason = "not every test file uses every field")]

use craftx::Storage;
use tempfile::TempDir;

/// A store and the folder that it lives in.
pub(crate) struct Store {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) storage: Storage,
    _folder: TempDir,
}

pub(crate) async fn stores() -> Vec<Store> {
    let mut stores = vec![open("memory", |_| "memory:".to_owned()).await];
    if cfg!(feature = "json") {
        stores.push(open("json", |folder| format!("json:{folder}/chats")).await);
    }
    if cfg!(feature = "sqlite") {
        stores.push(open("sqlite", |folder| format!("sqlite:{folder}/chats.db")).await);
    }
    stores
}

async fn open(name: &'static str, url: impl Fn(&str) -> String) -> Store {
    let folder = TempDir::new().unwrap();
    let url = url(folder.path().to_str().unwrap());
    let storage = Storage::open(&url).await.unwrap();
    Store { name, url, storage, _folder: folder }
}
