//! One error type for every medium and layer.

use std::borrow::Cow;
use std::fmt;

/// The result of every fallible call in craftx.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms a program can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The session, message or store does not exist.
    NotFound,
    /// The same id with other content, or a session that changed since it was read.
    Conflict,
    /// The request breaks a rule; the error names the field and the rule.
    InvalidInput,
    /// The configuration breaks a rule; the error names the key.
    ConfigInvalid,
    /// This backend or stack does not have the capability.
    Unsupported,
    /// The caller may not do this.
    PermissionDenied,
    /// The call names no caller, and one is needed.
    Unauthenticated,
    /// The medium asks to be called less often.
    RateLimited,
    /// Another process or thread holds what the call needs.
    Locked,
    /// The medium cannot be reached, or has failed in a way that needs it to be opened again.
    Unavailable,
    /// The deadline passed.
    Timeout,
    /// No space is left.
    StorageFull,
    /// Stored bytes are not what was written.
    Corrupted,
    /// The key that would decrypt the data is not there.
    KeyUnavailable,
    /// Encrypted bytes were changed, or belong elsewhere.
    Tampered,
    /// There is plaintext where ciphertext must be.
    NotEncrypted,
    /// The store was written by a newer version of craftx.
    SchemaTooNew,
    /// The store was written by an older version and has to be migrated first.
    SchemaTooOld,
    /// The store was closed, or never opened.
    Closed,
    /// A bug in craftx or an answer of the medium that nobody foresaw.
    Unexpected,
}

impl ErrorKind {
    /// The name of the kind in lower snake case, for logs and machine-readable output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::InvalidInput => "invalid_input",
            Self::ConfigInvalid => "config_invalid",
            Self::Unsupported => "unsupported",
            Self::PermissionDenied => "permission_denied",
            Self::Unauthenticated => "unauthenticated",
            Self::RateLimited => "rate_limited",
            Self::Locked => "locked",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::StorageFull => "storage_full",
            Self::Corrupted => "corrupted",
            Self::KeyUnavailable => "key_unavailable",
            Self::Tampered => "tampered",
            Self::NotEncrypted => "not_encrypted",
            Self::SchemaTooNew => "schema_too_new",
            Self::SchemaTooOld => "schema_too_old",
            Self::Closed => "closed",
            Self::Unexpected => "unexpected",
        }
    }

    const fn default_retry(self) -> Retry {
        match self {
            Self::RateLimited | Self::Locked | Self::Unavailable | Self::Timeout | Self::StorageFull => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// Whether the same call, with the same stamps, can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It may succeed later.
    Later,
    /// It was retried until the budget was spent.
    Exhausted,
}

/// What is known of a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of it was stored.
    NotApplied,
    /// It may have been stored. Write the same records again to find out: a union cannot double them.
    Unknown,
}

/// An error: its kind, what is known of the write, whether a retry can help, and where it happened.
///
/// The text never contains the content of a message or a secret.
///
/// ```
/// use craftx_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::NotFound, "no such session").during("load").with("session", "`a`");
/// assert_eq!(error.to_string(), "load: no such session, session: `a`");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    retry: Retry,
    operation: &'static str,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. The outcome is [`Outcome::NotApplied`] and the retry advice follows from the kind.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome: Outcome::NotApplied,
            retry: kind.default_retry(),
            operation: "",
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Shorthand for [`ErrorKind::InvalidInput`] naming the field and the rule that it breaks.
    pub fn invalid(field: &'static str, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, rule).with("field", field)
    }

    /// Shorthand for [`ErrorKind::Unsupported`] naming what is not supported and by whom.
    pub fn unsupported(capability: &'static str, by: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("{by} does not support {capability}"))
    }

    /// Names the operation, unless an inner call has named its own.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        if self.0.operation.is_empty() {
            self.0.operation = operation;
        }
        self
    }

    /// Adds one fact. Never pass the content of a message or a secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Puts the key of a configuration that this error names, if any, below another one.
    pub(crate) fn below(mut self, parent: &str) -> Self {
        match self.0.context.iter_mut().find(|(name, _)| *name == "key") {
            Some((_, key)) => *key = format!("`{parent}.{}`", key.trim_matches('`')),
            None => self.0.context.insert(0, ("key", format!("`{parent}`"))),
        }
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says that the write may have been stored all the same.
    #[must_use]
    pub fn maybe_applied(mut self) -> Self {
        self.0.outcome = Outcome::Unknown;
        self
    }

    /// Replaces the retry advice.
    #[must_use]
    pub fn retry_is(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is known of a failed write. Meaningless for reads.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether a retry can help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The operation that failed, such as `write`; empty if nobody named it.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The message without operation and facts.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts, in the order in which they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(k, v)| (*k, v.as_str()))
    }

    /// One fact by its key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.context().find(|(k, _)| *k == key).map(|(_, v)| v)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "{}: ", self.0.operation)?;
        }
        f.write_str(&self.0.message)?;
        for (key, value) in &self.0.context {
            write!(f, ", {key}: {value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, retry {:?}): {self}", self.0.kind.as_str(), self.0.outcome, self.0.retry)?;
        if let Some(source) = &self.0.source {
            write!(f, ", caused by: {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
