//! The layer, and what configures it.

use std::sync::Arc;
use std::time::Duration;

use craftx_core::{Capabilities, DynBackend, Error, ErrorKind, Layer, Result, Slot};
use serde::{Deserialize, Serialize};

use crate::audit::Log;
use crate::backend::needs;
use crate::cache::Cache;
use crate::{AuditSink, Guard, Policy, Rules};

/// How long a revocation may take to reach everybody, in milliseconds.
const MAX_TTL_MS: u64 = 5_000;

/// The layer that asks a policy before every call.
///
/// It stands outside of all layers but those that observe. Build it once for each store.
///
/// ```
/// use craftx_access::{Access, Action, Rule, Rules};
/// use craftx_core::{Memory, Stack};
/// use std::sync::Arc;
/// let rules = Rules::new()
///     .allow(Rule::new().create(true))
///     .allow(Rule::new().roles(["auditor"]).actions([Action::List, Action::Read, Action::Export]));
/// let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(Access::new(rules)?).build()?;
/// assert!(stack.describe().starts_with("access\nvalidate\nmemory"));
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Access {
    policy: Arc<dyn Policy>,
    config: AccessConfig,
    log: Arc<Log>,
}

/// How the layer works, whatever the policy.
///
/// ```
/// use craftx_access::AccessConfig;
/// let config = AccessConfig::default().ttl_ms(1_000);
/// assert!(config.owners);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AccessConfig {
    /// How long owner and grants of a session are remembered, in milliseconds: so long a revocation in another process
    /// may take. Default: 5,000, which is the most; 0: nothing is remembered.
    pub ttl_ms: u64,
    /// Whether a session belongs to whoever starts it. Default: yes. Without owners only roles decide, and what is granted
    /// by records that others bring.
    pub owners: bool,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self { ttl_ms: MAX_TTL_MS, owners: true }
    }
}

impl AccessConfig {
    /// Sets how long owner and grants of a session are remembered, in milliseconds.
    #[must_use]
    pub fn ttl_ms(mut self, milliseconds: u64) -> Self {
        self.ttl_ms = milliseconds;
        self
    }

    /// Sets whether a session belongs to whoever starts it.
    #[must_use]
    pub fn owners(mut self, owners: bool) -> Self {
        self.owners = owners;
        self
    }
}

/// What is told to the audit log, and what happens if it cannot be.
///
/// Told are everything that is refused, every write, deletion, export and grant, everything that concerns a whole store,
/// and everything that the system does; reading that is allowed only if `reads` is set. What is allowed is told twice,
/// before it begins and when it has ended, so that a call which was dropped in between has left its beginning.
///
/// ```
/// use craftx_access::AuditConfig;
/// let config = AuditConfig::default().fail_closed(true);
/// assert!(!config.reads);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditConfig {
    /// Whether reading that is allowed is told too. Default: no.
    pub reads: bool,
    /// Whether a call fails if it cannot be told: one whose beginning cannot be told is not made; one whose end cannot be
    /// told fails although it was done, with [`Outcome::Unknown`](craftx_core::Outcome::Unknown), and what was read is not
    /// handed out. Default: no; what is lost is [counted](Guard::lost_events).
    pub fail_closed: bool,
}

impl AuditConfig {
    /// Sets whether reading that is allowed is told too.
    #[must_use]
    pub fn reads(mut self, reads: bool) -> Self {
        self.reads = reads;
        self
    }

    /// Sets whether a call fails if it cannot be told.
    #[must_use]
    pub fn fail_closed(mut self, fail_closed: bool) -> Self {
        self.fail_closed = fail_closed;
        self
    }
}

impl Access {
    /// A layer with rules, without an audit log.
    ///
    /// # Errors
    /// As [`Rules::check`].
    pub fn new(rules: Rules) -> Result<Self> {
        rules.check()?;
        Ok(Self::with_policy(rules))
    }

    /// A layer with another policy, without an audit log.
    pub fn with_policy(policy: impl Policy) -> Self {
        Self { policy: Arc::new(policy), config: AccessConfig::default(), log: Arc::default() }
    }

    /// Sets how the layer works.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for a time to live beyond 5 seconds.
    pub fn config(mut self, config: AccessConfig) -> Result<Self> {
        if config.ttl_ms > MAX_TTL_MS {
            let rule = "a revocation takes 5,000 ms at most";
            return Err(Error::new(ErrorKind::ConfigInvalid, rule).with("key", "`ttl_ms`"));
        }
        self.config = config;
        Ok(self)
    }

    /// Tells everything to an audit log.
    #[must_use]
    pub fn audit(mut self, sink: impl AuditSink, config: &AuditConfig) -> Self {
        let AuditConfig { reads, fail_closed } = *config;
        self.log = Arc::new(Log { sink: Some(Arc::new(sink)), reads, fail_closed, lost: 0.into() });
        self
    }
}

impl Layer for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    fn slot(&self) -> Slot {
        Slot::Access
    }

    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        needs(inner, self.config.owners)?;
        Ok(Guard::within(self.config.owners, inner))
    }

    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(Guard {
            inner,
            policy: Arc::clone(&self.policy),
            log: Arc::clone(&self.log),
            // Each store has its own sessions, whatever their names.
            cache: Cache::new(Duration::from_millis(self.config.ttl_ms)),
            owners: self.config.owners,
        }))
    }
}
