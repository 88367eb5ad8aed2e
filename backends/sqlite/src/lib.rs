//! SQLite as a storage backend of craftx: one file, many processes, group commit.
//!
//! ```
//! use craftx_core::{Backend, Context, Message, MessageQuery, Prepare, Record, Role, SessionId, Stamp, Tenant, WriteOptions};
//! use craftx_sqlite::{Sqlite, SqliteConfig};
//! # futures_executor::block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! let store = Sqlite::new(SqliteConfig::new(folder.path().join("chat.db")))?;
//! let cx = Context::new(Tenant::default());
//! store.prepare(&cx, Prepare::Migrate).await?;
//!
//! let session = SessionId::new("a")?;
//! let hello = Record::Message(Message::new(Stamp::mint(1, None, 0)?, Role::User, "hello"));
//! store.write(&cx, &session, &[hello], &WriteOptions::fresh()).await?;
//! assert_eq!(store.load(&cx, &session, &MessageQuery::newest_first().limit(20)).await?.items.len(), 1);
//! store.close(&cx).await?;
//! # Ok::<(), craftx_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What is promised
//! - An acknowledged write survives `kill -9` and, unless [`Durability::ProcessCrash`] was asked for, loss of power.
//! - Writes that wait at the same time share one sync; reads go on while others write.
//! - Several processes may use the file. Who waits for another one waits until the deadline of the call, 30 seconds
//!   if it has none.
//! - Messages can be searched, in the state of their newest write; [`SqliteConfig::search`] switches it off for a store.
//! - A deleted message is overwritten in the database at once, and gone from every file after
//!   [`compact`](craftx_core::Backend::compact).
//! - [`verify`](craftx_core::Backend::verify) checks one snapshot and takes one of the [readers](SqliteConfig::readers)
//!   for as long; until it ends, the write-ahead log grows and a compaction waits. It gives way
//!   ([`Unavailable`](craftx_core::ErrorKind::Unavailable)) before the log is so large that writes are refused.
//! - A file of another program is refused and not changed; so is a file that a newer release wrote.

mod apply;
mod backend;
mod body;
mod changes;
mod compact;
mod config;
mod error;
mod find;
mod index;
mod list;
mod load;
mod open;
mod place;
mod queue;
mod readers;
mod row;
mod schema;
mod verify;
mod wal;
mod worker;
mod writer;

use std::sync::Arc;

use craftx_core::Registry;

pub use backend::Sqlite;
pub use config::SqliteConfig;
pub use craftx_core::Durability;

/// Adds the scheme `sqlite` to a registry: `sqlite:PATH?durability=power-loss&readers=4&max_wal_bytes=268435456&search=true`.
///
/// ```
/// use craftx_core::{Location, Registry};
/// let mut registry = Registry::new();
/// craftx_sqlite::register(&mut registry);
/// assert!(registry.build(&Location::parse("sqlite:craftx.db")?).is_ok());
/// assert!(registry.build(&Location::parse("sqlite:")?).is_err());
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub fn register(registry: &mut Registry) {
    registry.register("sqlite", |part| Ok(Arc::new(Sqlite::new(part.config()?)?)));
}
