//! What the SQLite backend does, tested from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod calls;
mod erasure;
mod faults;
mod files;
mod fixtures;
mod log;
mod model;
mod processes;
mod search;
mod verify;

use std::path::Path;

use craftx_core::{
    Backend, Context, Message, MessageQuery, Prepare, Record, Role, SessionId, Stamp, Tenant, WriteOptions, Written,
};
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

fn write(store: &Sqlite, session: &str, records: &[Record]) -> craftx_core::Result<Written> {
    run(store.write(&cx(), &id(session), records, &WriteOptions::fresh()))
}

fn close(store: Sqlite) {
    run(store.close(&cx())).unwrap();
}

/// As [`texts`], by pages.
fn texts_of_any_number(store: &Sqlite, session: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut query = MessageQuery::oldest_first().limit(1_000);
    loop {
        let page = run(store.load(&cx(), &id(session), &query)).unwrap();
        found.extend(page.items.iter().map(|message| message.text().unwrap().to_owned()));
        match page.items.last() {
            Some(last) if page.more => query = query.after(last.id),
            _ => return found,
        }
    }
}
