//! The core of craftx: conversation storage for everything that talks to language models.
//!
//! A session is a set of [records](Record); every write is a union; the view is the live [messages](Message) in
//! [stamp](Stamp) order. Therefore retry, mirroring, healing, migration, backup and import are one operation,
//! [`Backend::write`], run again; none of them can lose or double a message.
//!
//! A storage plugin implements [`Backend`], a layer implements [`Layer`]; a [`Stack`] composes them. Applications hold
//! a `craftx::Storage`.
//!
//! ```
//! use craftx_core::{Backend, Context, Memory, Message, MessageQuery, Record, Role, SessionId, Stamp, Tenant, WriteOptions};
//! # futures_executor::block_on(async {
//! let store = Memory::new();
//! let cx = Context::new(Tenant::default());
//! let session = SessionId::new("a")?;
//! let hello = Record::Message(Message::new(Stamp::mint(1, None, 0)?, Role::User, "hello"));
//! store.write(&cx, &session, &[hello.clone(), hello], &WriteOptions::fresh()).await?;
//! assert_eq!(store.load(&cx, &session, &MessageQuery::oldest_first()).await?.items.len(), 1);
//! # Ok::<(), craftx_core::Error>(())
//! # }).unwrap();
//! ```

mod alarm;
mod around;
mod backend;
mod capabilities;
mod clock;
mod columns;
mod context;
mod cursor;
mod deadline;
mod durability;
mod error;
mod id;
mod identity;
pub mod json;
mod layer;
mod location;
mod memory;
mod message;
mod names;
mod options;
mod part;
mod random;
mod record;
mod registry;
mod reply;
mod request;
mod sealed;
pub mod search;
mod secret;
mod stack;
mod stack_config;
mod stamp;
mod text;
mod time;
pub mod union;
mod validate;
mod verified;

pub use around::{Around, Operation, Surrounded};
pub use async_trait::async_trait;
pub use backend::{Backend, DynBackend};
pub use capabilities::{Acknowledgement, Capabilities, Support};
pub use clock::{Clock, ManualClock, SystemClock};
pub use columns::Columns;
pub use context::{Caller, Context, Freshness, Token};
pub use cursor::{Binding, Cursor};
pub use deadline::{Deadline, Ticket, Waited};
pub use durability::Durability;
pub use error::{Error, ErrorKind, Outcome, Result, Retry};
pub use id::{MAX_NAME_BYTES, OtherRole, Role, SessionId, Tenant};
pub use identity::Identity;
pub use layer::{Layer, Slot};
pub use location::Location;
pub use memory::Memory;
pub use message::{Content, Message, Metadata};
pub use names::{is_name, nearest, shown_url};
pub use options::option_value;
pub use part::Part;
pub use random::{random_bits, random_id};
pub use record::{Digest, Encoded, FORMAT_VERSION, Grant, Record};
pub use registry::{Factory, LayerFactory, Registry};
pub use reply::{Changes, Compacted, Hit, Messages, Node, Page, Session, Status, Written};
pub use request::{
    Compact, DEFAULT_PAGE, Expect, Include, MAX_PAGE, MessageQuery, Order, Prepare, Scope, SearchQuery, SessionOrder,
    SessionQuery, Source, WriteOptions, page_size,
};
pub use sealed::Sealed;
pub use secret::{Secret, SecretString};
pub use stack::{Stack, StackBuilder};
pub use stack_config::StackConfig;
pub use stamp::Stamp;
pub use time::Time;
pub use uuid::Uuid;
pub use validate::{Limits, Validate};
pub use verified::{Problem, Verified};
