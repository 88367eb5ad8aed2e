//! What all tests of the JSON store need.

#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use craftx_core::{
    Backend, Context, Error, ErrorKind, Message, MessageQuery, Prepare, Record, Role, SessionId, Stamp, Tenant,
    WriteOptions,
};
use craftx_json::{Durability, Json, JsonConfig};
pub(crate) use futures_executor::block_on;

pub(crate) fn cx() -> Context {
    Context::system(Tenant::default())
}

pub(crate) fn id(text: &str) -> SessionId {
    SessionId::new(text).unwrap()
}

pub(crate) fn at(ms: u64) -> Stamp {
    Stamp::mint(ms, None, 0).unwrap()
}

pub(crate) fn message(ms: u64, text: impl Into<String>) -> Record {
    Record::Message(Message::new(at(ms), Role::User, text.into()))
}

pub(crate) fn open(dir: &Path) -> Json {
    try_open(dir, Prepare::Migrate).unwrap()
}

/// A store that does not sync, for tests that open many.
pub(crate) fn open_fast(dir: &Path) -> Json {
    let store = Json::new(&JsonConfig::new(dir).durability(Durability::ProcessCrash)).unwrap();
    block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap();
    store
}

pub(crate) fn try_open(dir: &Path, mode: Prepare) -> Result<Json, Error> {
    let store = Json::new(&JsonConfig::new(dir))?;
    block_on(store.prepare(&cx(), mode))?;
    Ok(store)
}

pub(crate) fn write(store: &Json, session: &str, records: &[Record]) {
    block_on(store.write(&cx(), &id(session), records, &WriteOptions::fresh())).unwrap();
}

pub(crate) fn try_texts(store: &Json, session: &str) -> Result<Vec<String>, Error> {
    let query = MessageQuery::oldest_first().limit(1_000);
    match block_on(store.load(&cx(), &id(session), &query)) {
        Ok(messages) => Ok(messages.items.iter().map(|message| message.text().unwrap().to_owned()).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(crate) fn texts(store: &Json, session: &str) -> Vec<String> {
    try_texts(store, session).unwrap()
}

/// All files below a folder with their bytes, locks excepted.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap() != ".locks" {
                dirs.push(path);
            } else if path.is_file() {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (path, bytes) in snapshot(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, bytes).unwrap();
    }
}
