//! SQLite as the primary and JSON files as the secondary.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use craftx_core::{DynBackend, Result};
use craftx_failover::{Failover, FailoverConfig, Mirror, Processes};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};

use super::Medium;

/// SQLite as the primary and JSON files as the secondary, each in a folder of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hybrid {
    /// Where the folders are.
    pub folder: PathBuf,
    /// When a write is copied.
    pub mirror: Mirror,
    /// Who else uses the stores.
    pub processes: Processes,
}

impl Hybrid {
    /// The stores, the primary first.
    pub const LEGS: [Medium; 2] = [Medium::Sqlite, Medium::Json];

    /// What [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (options, folder) = text.strip_prefix("hybrid:")?.split_once(':')?;
        let is = |option| options.split('+').any(|given| given == option);
        Some(Self {
            folder: folder.into(),
            mirror: if is("sync") { Mirror::Sync } else { Mirror::Async },
            processes: if is("shared") { Processes::Shared } else { Processes::Single },
        })
    }

    /// The folder in which a store is.
    pub fn leg(&self, leg: Medium) -> PathBuf {
        self.folder.join(leg.to_string())
    }

    /// The URL of a store alone.
    pub fn url(&self, leg: Medium) -> String {
        leg.url(&self.leg(leg), "")
    }

    /// Puts it together, with something around its stores. Everything that a hybrid waits for is short.
    ///
    /// # Errors
    /// None for paths that are no URL.
    pub fn build(&self, around: impl Fn(DynBackend) -> DynBackend) -> Result<Failover> {
        let path = |leg: Medium| leg.path(&self.leg(leg));
        let primary = Arc::new(Sqlite::new(SqliteConfig::new(path(Medium::Sqlite)))?);
        let secondary = Arc::new(Json::new(&JsonConfig::new(path(Medium::Json)))?);
        let config = FailoverConfig::default();
        let breaker = config.breaker.clone().open_ms(50);
        let config = config
            .mirror(self.mirror)
            .processes(self.processes)
            .timeout_ms(500)
            .heal_interval_ms(20)
            .refresh_ms(100)
            .linger_ms(30)
            .settle_ms(1_000)
            .mark_lease_ms(4_000)
            .breaker(breaker);
        let builder = Failover::builder("primary", around(primary)).secondary("secondary", around(secondary));
        builder.config(config).build()
    }
}

impl fmt::Display for Hybrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mirror = if self.mirror == Mirror::Sync { "sync" } else { "async" };
        let processes = if self.processes == Processes::Shared { "shared" } else { "single" };
        write!(f, "hybrid:{mirror}+{processes}:{}", self.folder.display())
    }
}
