//! Conversation storage for everything that talks to language models: one trait, many media, composable layers.
//!
//! An application holds a [`Storage`], which it opens by a URL. A conversation is a *session*, named by text; a
//! [`Message`] has a [`Role`], any [`Content`], metadata, and a [`Stamp`] that is its id and its place.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use craftx::{Budget, NewMessage, Storage};
//!
//! let storage = Storage::open("memory:").await?; // or "sqlite:craftx.db", "json:chat_logs"
//! storage.append("chat-1", NewMessage::user("What is a UUID?")).await?;
//! let answer = storage.append("chat-1", NewMessage::assistant("128 bits, unique.")).await?;
//!
//! // What a model reads next: the newest messages that fit.
//! let prompt = storage.window("chat-1", Budget::new().messages(50).bytes(100_000)).await?;
//! assert_eq!(prompt.last(), Some(&answer));
//!
//! // Another try from the question on, in a session of its own.
//! storage.fork("chat-1", prompt[0].id, "chat-2").await?;
//! assert_eq!(storage.load_conversation("chat-2").await?.len(), 1);
//! # Ok::<(), craftx::Error>(())
//! # }).unwrap();
//! ```
//!
//! When a write returns, its messages survive a crash and loss of power, and whatever is written twice is there once.
//! No async runtime is needed: the futures run on any executor.
//!
//! | you want to | look at |
//! |---|---|
//! | read and write conversations | [`Storage`], [`NewMessage`], [`Budget`] |
//! | list and search | [`SessionQuery`], [`MessageQuery`], [`SearchQuery`] |
//! | act on errors | [`Error`], [`ErrorKind`], [`Outcome`] |
//! | import and export conversations of other programs | [`formats`], [`Conversation`], [`conversation_json`] |
//! | put layers over a store | [`Stack`], [`Layer`], [a tutorial](_documentation::write_a_layer) |
//! | write a backend | [`Backend`], [`Registry`], [a tutorial](_documentation::write_a_backend) |
//! | know why it is so | [design](_documentation::design), [comparison](_documentation::comparison) |
//!
#![doc = include_str!("../docs/features.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod _documentation;
#[cfg(feature = "backup")]
pub mod backup;
mod builtin;
#[cfg(feature = "config")]
mod config;
mod conversation;
pub mod formats;
mod head;
#[cfg(any(feature = "backup", feature = "config", feature = "migrate"))]
mod inventory;
mod line;
#[cfg(feature = "migrate")]
pub mod migrate;
mod new_message;
mod stamper;
mod storage;
mod window;

pub use builtin::builtin;
#[cfg(feature = "config")]
pub use config::{Config, Elsewhere, Origin, ProfileInfo, Recommendation, Setting, list_profiles, recommend};
pub use conversation::{Conversation, conversation_json};
#[cfg(feature = "access")]
pub use craftx_access as access;
pub use craftx_core::*;
#[cfg(feature = "encrypt")]
pub use craftx_encrypt as encrypt_layer;
#[cfg(feature = "failover")]
pub use craftx_failover as failover;
#[cfg(feature = "json")]
pub use craftx_json as json_backend;
#[cfg(feature = "postgres")]
pub use craftx_postgres as postgres_backend;
#[cfg(feature = "retry")]
pub use craftx_retry as retry_layer;
#[cfg(feature = "sqlite")]
pub use craftx_sqlite as sqlite_backend;
pub use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
pub use line::{Header, Line};
pub use new_message::NewMessage;
pub use storage::{Forked, Storage};
pub use window::Budget;

/// Runs the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
