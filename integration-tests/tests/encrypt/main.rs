//! Encryption over stores on a disk: the conformance kit, what files hold, and processes that begin at the same time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod blind_index;
mod canary;
mod conformance;
mod migration;
mod processes;
mod shredding;
mod whole;

use std::path::Path;
use std::sync::Arc;

use craftx_core::{Context, DynBackend, Message, Prepare, Record, Role, SessionId, Stamp, Tenant};
use craftx_encrypt::{Encrypt, EncryptConfig, Encrypted, Keyring};
use craftx_failover::{Failover, FailoverConfig, Mirror};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};
use futures_executor::block_on;

fn sqlite(folder: &Path, name: &str) -> DynBackend {
    Arc::new(Sqlite::new(SqliteConfig::new(folder.join(name))).unwrap())
}

fn json(folder: &Path, name: &str) -> DynBackend {
    Arc::new(Json::new(&JsonConfig::new(folder.join(name))).unwrap())
}

/// SQLite mirrored to JSON.
fn hybrid(folder: &Path, mirror: Mirror) -> DynBackend {
    let builder =
        Failover::builder("primary", sqlite(folder, "primary.db")).secondary("secondary", json(folder, "log"));
    Arc::new(builder.config(FailoverConfig::default().mirror(mirror)).build().unwrap())
}

/// The same keyring whenever it is asked for.
fn keyring() -> Arc<Keyring> {
    static RING: std::sync::OnceLock<Arc<Keyring>> = std::sync::OnceLock::new();
    Arc::clone(RING.get_or_init(|| Arc::new(Keyring::generate("2026-11").unwrap())))
}

fn encrypted(data: DynBackend, keys: DynBackend) -> Encrypted {
    Encrypt::new(keyring(), keys, EncryptConfig::default()).unwrap().over(data).unwrap()
}

fn prepared(store: Encrypted) -> Encrypted {
    block_on(craftx_core::Backend::prepare(&store, &cx(), Prepare::Migrate)).unwrap();
    store
}

fn cx() -> Context {
    Context::system(Tenant::default())
}

fn id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn said(ms: u64, text: &str) -> Record {
    let id = Stamp::mint(ms, None, 0).unwrap();
    Record::Message(Message::new(id, Role::User, text).with_metadata("about", text))
}

/// All bytes of all files in a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = vec![folder.to_owned()];
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            rest.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            all.extend(path.to_string_lossy().as_bytes());
            all.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
    all
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
