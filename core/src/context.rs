//! Who asks, how fresh the answer must be, and until when.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Clock, Error, ErrorKind, Result, Stamp, SystemClock, Tenant, random_bits};

/// Goes first into every call.
///
/// Identity comes from here and never from the metadata of a message.
///
/// ```
/// use craftx_core::{Caller, Context, Tenant};
/// let cx = Context::new(Tenant::new("acme")?).with_caller(Caller::principal("ann", ["editor"]));
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// The namespace: nothing of another tenant can be read, listed, found, counted or overwritten.
    pub tenant: Tenant,
    /// Who asks.
    pub caller: Caller,
    /// The call ends by this point of [`Clock::now`]. `None`: no limit but those of the medium.
    pub deadline: Option<Instant>,
    /// What a read must have seen.
    pub freshness: Freshness,
    /// What the caller has seen, if it was told by an earlier call.
    pub token: Option<Token>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What the application calls the request that this call serves, so that logs can be brought together.
    pub request: Option<Arc<str>>,
}

impl Context {
    /// An anonymous caller without a deadline, on the clock of this machine.
    pub fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            caller: Caller::Anonymous,
            deadline: None,
            freshness: Freshness::default(),
            token: None,
            clock: Arc::new(SystemClock),
            request: None,
        }
    }

    /// The application itself, which may do everything. Cannot come from configuration.
    pub fn system(tenant: Tenant) -> Self {
        Self::new(tenant).with_caller(Caller::System)
    }

    /// Replaces the tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = tenant;
        self
    }

    /// Replaces the caller.
    #[must_use]
    pub fn with_caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Replaces the clock. The deadline is relative to it, so set it first.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The call ends within `timeout` from now.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.deadline = self.clock.now().checked_add(timeout);
        self
    }

    /// Replaces the freshness.
    #[must_use]
    pub fn with_freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Sets what the caller has seen.
    #[must_use]
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Sets what the application calls the request that this call serves.
    #[must_use]
    pub fn with_request(mut self, request: impl Into<Arc<str>>) -> Self {
        self.request = Some(request.into());
        self
    }

    /// A stamp for a new record: now, by the clock of this call, and after `after`.
    ///
    /// # Errors
    /// As [`Stamp::mint`]; [`ErrorKind::InvalidInput`] for a clock beyond all stamps.
    pub fn mint(&self, after: Option<Stamp>) -> Result<Stamp> {
        let wall = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = u64::try_from(wall.as_millis()).map_err(|_| Error::invalid("clock", "is out of range"))?;
        Stamp::mint(ms, after, random_bits())
    }

    /// The time that is left; `None` if there is no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(self.clock.now()))
    }

    /// Fails if the deadline has passed. Nothing has been applied then.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`].
    pub fn check_deadline(&self) -> Result<()> {
        match self.remaining() {
            Some(Duration::ZERO) => Err(Error::new(ErrorKind::Timeout, "the deadline has passed")),
            _ => Ok(()),
        }
    }

    /// Fails unless the caller is [`Caller::System`].
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`].
    pub fn require_system(&self) -> Result<()> {
        match self.caller {
            Caller::System => Ok(()),
            _ => Err(Error::new(ErrorKind::PermissionDenied, "only the system may do this")),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// Nobody said.
    Anonymous,
    /// A person or a program which the application has authenticated.
    Principal {
        /// Its name.
        id: Arc<str>,
        /// Its roles.
        roles: Arc<[Arc<str>]>,
    },
    /// The application itself: backup, migration, healing. Cannot come from configuration.
    System,
}

impl Caller {
    /// A principal with its roles.
    pub fn principal<R: AsRef<str>>(id: impl AsRef<str>, roles: impl IntoIterator<Item = R>) -> Self {
        Self::Principal {
            id: id.as_ref().into(),
            roles: roles.into_iter().map(|role| Arc::from(role.as_ref())).collect(),
        }
    }
}

/// What a read must have seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// Everything that this handle has written, or the token names.
    #[default]
    ReadYourWrites,
    /// Anything, even old.
    Eventual,
    /// Everything that was acknowledged to anybody before the read began: where replicas are read from, they are not.
    Latest,
}

/// What a reader must have seen (the position of a replica, say). Opaque; can be handed to another process. Of two tokens of
/// one store, the greater one stands for everything that the other one does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(pub String);
