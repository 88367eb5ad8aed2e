//! JSON Lines files as a storage backend of craftx: `json:PATH`, one append-only file a session.
//!
//! The files are readable with any tool, several processes may write them at the same time, and folders of the Python
//! original CraftX.py open in place. `docs/formats.md` tells every byte.
//!
//! - Every batch of records is written at the end of its session's file with one call and synced before it is
//!   acknowledged ([`Durability`]). What an interrupted write leaves there is set aside; any other damage is a typed
//!   error that names file and line, and no other session is affected.
//! - Where each live message lies is kept in memory, bounded by [`JsonConfig::cache_entries`]: an append and the last
//!   messages cost the same however long the session is, once it has been read. Lists read every session that they
//!   look at.
//! - Deleted content is physically gone after [`compact`](craftx_core::Backend::compact).
//!
//! ```
//! use craftx_core::{Backend, Context, Message, MessageQuery, Prepare, Record, Role, SessionId, Stamp, Tenant, WriteOptions};
//! use craftx_json::{Json, JsonConfig};
//! # futures_executor::block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! let store = Json::new(&JsonConfig::new(folder.path().join("chat_logs")))?;
//! let cx = Context::new(Tenant::default());
//! store.prepare(&cx, Prepare::Migrate).await?;
//! let session = SessionId::new("greetings")?;
//! let hello = Record::Message(Message::new(Stamp::mint(1, None, 0)?, Role::User, "hello"));
//! store.write(&cx, &session, &[hello], &WriteOptions::fresh()).await?;
//! let last = store.load(&cx, &session, &MessageQuery::newest_first().limit(1)).await?;
//! assert_eq!(last.items[0].text(), Some("hello"));
//! # Ok::<(), craftx_core::Error>(())
//! # }).unwrap();
//! ```

mod backend;
mod cache;
mod compact;
mod config;
mod error;
#[cfg(test)]
mod failing_disk;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod header;
mod index;
mod layout;
mod legacy;
mod line;
mod lines;
mod list;
mod lock;
mod marker;
mod name;
#[cfg(unix)]
#[cfg(test)]
mod power_loss;
mod records;
mod recover;
mod status;
mod store;
mod verify;
mod write;

use std::sync::Arc;

use craftx_core::Registry;

pub use backend::Json;
pub use config::JsonConfig;
pub use craftx_core::Durability;
pub use legacy::craftx_py_message;

/// The scheme of URLs that this backend opens.
pub const SCHEME: &str = "json";

/// Adds the scheme `json` to a registry.
///
/// ```
/// use craftx_core::{Location, Registry};
/// let mut registry = Registry::new();
/// craftx_json::register(&mut registry);
/// assert!(registry.build(&Location::parse("json:chat_logs")?).is_ok());
/// assert!(registry.build(&Location::parse("json:chat_logs?durabilty=power-loss")?).is_err());
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub fn register(registry: &mut Registry) {
    registry.register(SCHEME, |part| Ok(Arc::new(Json::new(&part.config()?)?)));
}
