//! PostgreSQL as a storage backend of craftx: a primary, replicas, and a failover that loses nothing.
//!
//! ```no_run
//! use craftx_core::{Backend, Context, Message, MessageQuery, Prepare, Record, Role, SessionId, Stamp, Tenant, WriteOptions};
//! use craftx_postgres::{Postgres, PostgresConfig};
//! # futures_executor::block_on(async {
//! let store = Postgres::new(PostgresConfig::new("craftx@127.0.0.1:5432,127.0.0.1:5433/chats"))?;
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
//! - An append is one statement and one round trip, and so is a page of messages.
//! - Which server is the primary is found out again and again. A write goes to the one server that takes writes on the
//!   newest timeline; a server that was replaced and came back gets none.
//! - A write whose connection is lost is tried again with the same records until the deadline of the call, 30 seconds if it
//!   has none: it happens once. Nothing is ever cancelled on the server.
//! - What a failover can lose is what the cluster is set up to lose: with synchronous replication nothing that was
//!   acknowledged. [`Capabilities::acknowledgement`](craftx_core::Capabilities::acknowledgement) says how it is set up.
//! - Reads go to replicas that have replayed what this handle, or the [`Token`](craftx_core::Token) of the call, has seen, and
//!   else to the primary. Nothing that was read is unread later. After a failover a replica is read from as soon as it is
//!   known to follow the new primary: at once if the user is a member of `pg_read_all_stats`, else some minutes later.
//! - Several processes may use the store, with or without a pooler such as PgBouncer between.
//! - A deleted message is gone from the tables at once; its bytes stay in pages, logs and backups of the server as long as
//!   PostgreSQL keeps them.

mod apply;
mod backend;
mod body;
mod call;
mod changes;
mod changeset;
mod cluster;
mod compact;
mod config;
mod conn;
mod driver;
mod error;
mod find;
mod goes_on;
mod list;
mod load;
mod node;
mod open;
mod reading;
mod row;
mod runtime;
mod schema;
mod seen;
mod statements;
mod status;
mod store;
mod tls;
mod token;
mod value;
mod verify;
mod write;
mod writing;

use std::sync::Arc;

use craftx_core::Registry;

pub use backend::Postgres;
pub use config::{PostgresConfig, SslMode};

/// The statement that appends one message to a store in this schema, so that it can be measured without craftx. No part of the interface.
#[doc(hidden)]
pub fn append_statement(schema: &str) -> String {
    statements::Statements::new(schema, false).append_one
}

/// Adds the schemes `postgres` and `postgresql` to a registry: `postgres://USER@HOST:PORT,HOST:PORT/DATABASE?schema=craftx`.
///
/// ```
/// use craftx_core::{Location, Registry};
/// let mut registry = Registry::new();
/// craftx_postgres::register(&mut registry);
/// assert!(registry.build(&Location::parse("postgres://craftx@localhost/chats")?).is_ok());
/// assert!(registry.build(&Location::parse("postgres:")?).is_err());
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub fn register(registry: &mut Registry) {
    for scheme in ["postgres", "postgresql"] {
        registry.register(scheme, |part| Ok(Arc::new(Postgres::new(part.config()?)?)));
    }
}
