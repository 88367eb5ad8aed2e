//! What the SQLite backend does, tested from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod model;

use std::path::Path;

use craftx_core::{Backend, Context, Message, MessageQuery, Prepare, Record, Role, SessionId, Stamp, Tenant};
use craftx_sqlite::{Sqlite, SqliteConfig};

use futures_executor::block_on as run;

/// A stamp at `ms` milliseconds.
fn at(ms: u64) -> Stamp {
    Stamp::mint(ms, None, 0).unwrap()
}

fn message(ms: u64, text: &str) -> Record {
    Record::Message(Message::new(at(ms), Role::User, text))
}

fn cx() -> Context {
    Context::system(Tenant::default())
}

fn id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

/// A store that is open.
fn open(path: &Path) -> Sqlite {
    open_with(SqliteConfig::new(path))
}

fn open_with(config: SqliteConfig) -> Sqlite {
    let store = Sqlite::new(config).unwrap();
    run(store.prepare(&cx(), Prepare::Migrate)).unwrap();
    store
}

/// The texts of a session, oldest first.
fn texts(store: &Sqlite, session: &str) -> Vec<String> {
    let found = run(store.load(&cx(), &id(session), &MessageQuery::oldest_first().limit(1_000))).unwrap();
    found.items.iter().map(|message| message.text().unwrap().to_owned()).collect()
}
