//! What was done or refused, told to somebody who keeps it.

mod event;
mod file;
mod log;
mod store;

pub use event::{Event, Phase};
pub use file::FileSink;
pub use store::StoreSink;

pub(crate) use log::{Entry, Log};

use std::fmt;

use craftx_core::{Context, Result, async_trait};

/// Keeps an audit log: what was told once is there for ever, in the order in which it was told.
///
/// ```
/// use craftx_access::{AuditSink, Event};
/// use craftx_core::{Context, Result, async_trait};
/// use std::sync::Mutex;
///
/// #[derive(Debug, Default)]
/// struct Kept(Mutex<Vec<String>>);
///
/// #[async_trait]
/// impl AuditSink for Kept {
///     async fn open(&self, _: &Context) -> Result<()> {
///         Ok(())
///     }
///     async fn record(&self, _: &Context, event: &Event) -> Result<()> {
///         self.0.lock().unwrap().push(event.to_json().to_string());
///         Ok(())
///     }
///     async fn close(&self, _: &Context) -> Result<()> {
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Gets ready, when the store is prepared. May be called again.
    ///
    /// # Errors
    /// Those of the medium; the store is not prepared then.
    async fn open(&self, cx: &Context) -> Result<()>;

    /// Keeps an event: when this returns, it is as durable as the sink promises.
    ///
    /// # Errors
    /// Those of the medium. What follows from it is said at [`AuditConfig`](crate::AuditConfig).
    ///
    /// # Cancel safety
    /// If the future is dropped, the event is there once or not at all.
    async fn record(&self, cx: &Context, event: &Event) -> Result<()>;

    /// Lets go of the medium, when the store is closed. May be called again.
    ///
    /// # Errors
    /// Those of the medium.
    async fn close(&self, cx: &Context) -> Result<()>;
}
