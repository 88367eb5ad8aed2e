//! Layers for stores that may be away for a while.
//!
//! [`RetryLayer`] tries again what may succeed later, [`TimeoutLayer`] ends every call in time, [`BreakerLayer`] stops
//! asking a store that does not answer. Each is a value over any backend; [`Breaker`] can also be used by itself.
//!
//! A write that is tried again carries the same stamps, and a write is a union, so nothing is ever doubled: not even
//! when the first try happened although its answer got lost.
//!
//! ```
//! use craftx_core::{Memory, Stack};
//! use craftx_retry::{BreakerConfig, BreakerLayer, RetryConfig, RetryLayer, TimeoutConfig, TimeoutLayer};
//! use std::sync::Arc;
//! let stack = Stack::builder("memory", Arc::new(Memory::new()))
//!     .layer(BreakerLayer::new(BreakerConfig::default())?)
//!     .layer(RetryLayer::new(RetryConfig::default().attempts(5))?)
//!     .layer(TimeoutLayer::new(TimeoutConfig::default())?)
//!     .build()?;
//! assert!(stack.describe().starts_with("validate\nbreaker\nretry\ntimeout\nmemory"));
//! # Ok::<(), craftx_core::Error>(())
//! ```

mod breaker;
mod budget;
mod guard;
mod retry;
mod timeout;
mod window;

pub use breaker::{Breaker, BreakerConfig, BreakerState, Permit, Verdict};
pub use guard::BreakerLayer;
pub use retry::{RetryConfig, RetryLayer};
pub use timeout::{TimeoutConfig, TimeoutLayer, in_time};

use craftx_core::{Error, ErrorKind, Registry};

/// Lets configurations name the layers `retry`, `timeout` and `breaker`.
pub fn register(registry: &mut Registry) {
    registry.register_layer("retry", |part| Ok(Box::new(RetryLayer::new(part.config()?)?)));
    registry.register_layer("timeout", |part| Ok(Box::new(TimeoutLayer::new(part.config()?)?)));
    registry.register_layer("breaker", |part| Ok(Box::new(BreakerLayer::new(part.config()?)?)));
}

/// The error of a number that is out of its range.
fn out_of_range(key: &'static str, rule: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, rule).with("key", format_args!("`{key}`"))
}
