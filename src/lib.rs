#![doc = include_str!("../README.md")]

mod builtin;
#[cfg(feature = "config")]
mod config;
mod conversation;
mod head;
mod line;
mod new_message;
mod storage;
mod window;

pub use builtin::builtin;
#[cfg(feature = "config")]
pub use config::{Config, Origin, ProfileInfo, Recommendation, Setting, list_profiles, recommend};
pub use conversation::{Conversation, conversation_json};
pub use craftx_core::*;
#[cfg(feature = "json")]
pub use craftx_json as json_backend;
#[cfg(feature = "retry")]
pub use craftx_retry as retry_layer;
#[cfg(feature = "sqlite")]
pub use craftx_sqlite as sqlite_backend;
pub use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
pub use line::{Header, Line};
pub use new_message::NewMessage;
pub use storage::{Forked, Storage};
pub use window::Budget;
