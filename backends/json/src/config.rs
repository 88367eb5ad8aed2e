//! How the store is opened.

use std::path::PathBuf;

use craftx_core::Durability;
use serde::{Deserialize, Serialize};

/// How a folder of sessions is opened; the options of a `json:PATH` URL.
///
/// ```
/// use craftx_core::Location;
/// use craftx_json::{Durability, JsonConfig};
/// let config: JsonConfig = Location::parse("json:chat_logs?durability=process-crash")?.config()?;
/// assert_eq!(config.durability, Durability::ProcessCrash);
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JsonConfig {
    /// The folder. A relative path is resolved against the current folder when the store is built.
    pub path: PathBuf,
    /// What an acknowledged write survives. Default: `power-loss`, a sync for each batch. With `process-crash` nothing is
    /// synced, and a session whose file lost data in the middle because power was lost reads as corrupted.
    #[serde(default)]
    pub durability: Durability,
    /// How many entries (messages, deletions and keys of metadata) of sessions are kept indexed in memory, about
    /// 150 bytes each. The session used last is always kept, whatever its size. Default: 500,000.
    #[serde(default = "default_cache_entries")]
    pub cache_entries: u64,
    /// How long a write without a deadline waits for another process or thread, in milliseconds. Default: 30,000.
    #[serde(default = "default_lock_wait_ms")]
    pub lock_wait_ms: u64,
}

fn default_cache_entries() -> u64 {
    500_000
}

fn default_lock_wait_ms() -> u64 {
    30_000
}

impl JsonConfig {
    /// The defaults for a folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            cache_entries: default_cache_entries(),
            lock_wait_ms: default_lock_wait_ms(),
        }
    }

    /// Sets what an acknowledged write survives.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many entries are kept indexed in memory.
    #[must_use]
    pub fn cache_entries(mut self, entries: u64) -> Self {
        self.cache_entries = entries;
        self
    }

    /// Sets how long a write without a deadline waits for others, in milliseconds.
    #[must_use]
    pub fn lock_wait_ms(mut self, milliseconds: u64) -> Self {
        self.lock_wait_ms = milliseconds;
        self
    }
}
