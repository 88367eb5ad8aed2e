//! Layers: values that wrap a backend and are one themselves.

use std::fmt;

use crate::{Capabilities, DynBackend, Result};

/// Wraps a backend. State that several wraps shall share lives in the layer value.
///
/// The backend that [`apply`](Self::apply) returns should carry `#[deny(clippy::missing_trait_methods)]`, so that a
/// method which the trait gains is not forgotten.
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// A short name for descriptions and errors, such as `validate`.
    fn name(&self) -> &'static str;

    /// Where in a stack it belongs.
    fn slot(&self) -> Slot;

    /// What the wrapped backend can do, given what the inner one can.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the layer cannot work over such a backend.
    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities>;

    /// Wraps `inner`. Does no I/O.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) if the layer cannot wrap this backend.
    fn apply(&self, inner: DynBackend) -> Result<DynBackend>;
}

/// Where in a stack a layer belongs, outermost first.
///
/// Encryption lies outside cache and replication, so that replays carry identical ciphertext and neither ever sees
/// plaintext; retry lies outside timeout, so that each try has its own; a breaker lies outside both, so that what it
/// counts has been tried, and what it refuses is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Slot {
    /// Spans and metrics.
    Observe,
    /// Who may do what.
    Access,
    /// Sizes, depths, names and stamps.
    Validate,
    /// Ciphertext below.
    Encrypt,
    /// Answers from nearby.
    Cache,
    /// Several stores as one.
    Replicate,
    /// Stops asking a store that does not answer.
    Break,
    /// Tries again.
    Retry,
    /// Gives up in time.
    Timeout,
}

impl Slot {
    /// The name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Access => "access",
            Self::Validate => "validate",
            Self::Encrypt => "encrypt",
            Self::Cache => "cache",
            Self::Replicate => "replicate",
            Self::Break => "break",
            Self::Retry => "retry",
            Self::Timeout => "timeout",
        }
    }
}
