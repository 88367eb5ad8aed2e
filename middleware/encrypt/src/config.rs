//! How the layer encrypts.

use std::time::Duration;

use craftx_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// How long a process may go on with a key that was destroyed, in milliseconds.
const MAX_CACHE_MS: u64 = 60_000;

/// How the layer encrypts.
///
/// ```
/// use craftx_encrypt::EncryptConfig;
/// let config = EncryptConfig::default().pad(true).cache_ms(1_000);
/// assert_eq!(config.cache_sessions, 1_000);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EncryptConfig {
    /// Whether sizes are padded, so that a ciphertext tells less of how long its plaintext is. Adds 12 % at most.
    /// Default: no.
    pub pad: bool,
    /// Whether roles are encrypted too; every message then looks like one of the role `sealed`. Default: no.
    pub seal_roles: bool,
    /// Whether messages can be searched: tokens of their words then stand beside them, which show what messages share words
    /// and how common each is. Not together with `seal_roles`. Default: no.
    pub blind_index: bool,
    /// Of how many sessions unwrapped keys are kept in memory. Default: 1,000.
    pub cache_sessions: usize,
    /// For how long they are kept, in milliseconds: so long after a session was shredded or a key destroyed by another
    /// process, this one may still read. Default: 5,000; at most 60,000.
    pub cache_ms: u64,
}

impl Default for EncryptConfig {
    fn default() -> Self {
        Self { pad: false, seal_roles: false, blind_index: false, cache_sessions: 1_000, cache_ms: 5_000 }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        impl EncryptConfig {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

setters! {
    /// Sets whether sizes are padded.
    pad: bool,
    /// Sets whether roles are encrypted too.
    seal_roles: bool,
    /// Sets whether messages can be searched.
    blind_index: bool,
    /// Sets of how many sessions unwrapped keys are kept in memory.
    cache_sessions: usize,
    /// Sets for how long they are kept, in milliseconds.
    cache_ms: u64,
}

impl EncryptConfig {
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] for options that exclude each other, and for keys that would be kept too long.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cache_ms > MAX_CACHE_MS {
            let rule = "a key that was destroyed is used for 60,000 ms more at most";
            return Err(Error::new(ErrorKind::ConfigInvalid, rule).with("key", "`cache_ms`"));
        }
        match self.blind_index && self.seal_roles {
            true => Err(Error::new(
                ErrorKind::ConfigInvalid,
                "a search could not be limited to roles that are encrypted: choose `blind_index` or `seal_roles`",
            )
            .with("key", "`blind_index`")),
            false => Ok(()),
        }
    }

    pub(crate) fn cache(&self) -> Duration {
        Duration::from_millis(self.cache_ms)
    }
}
