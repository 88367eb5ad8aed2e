//! How a SQLite store is opened.

use std::path::{Path, PathBuf};

use craftx_core::{Durability, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Where a SQLite store is and how it is opened. As a URL: `sqlite:PATH?durability=process-crash&readers=2`.
///
/// ```
/// use craftx_sqlite::{Durability, SqliteConfig};
/// let config = SqliteConfig::new("chat.db").durability(Durability::ProcessCrash);
/// assert_eq!(config.readers, 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// The database file. SQLite keeps `PATH-wal` and `PATH-shm` beside it while it is open.
    #[serde(default)]
    pub path: PathBuf,
    /// What an acknowledged write survives. Default: `power-loss` (`synchronous=FULL`), one sync for each group of writes.
    /// With `process-crash` (`synchronous=NORMAL`) power loss can take the newest acknowledged writes, in order, and
    /// leaves the file intact.
    #[serde(default)]
    pub durability: Durability,
    /// How many reads run at the same time, each on a thread of its own. Default: 4; 1 to 64.
    #[serde(default = "default_readers")]
    pub readers: u32,
    /// Writes are refused while a reader, of whatever process, makes the write-ahead log exceed this many bytes.
    /// Default: 256 MiB; at least 256 KiB.
    #[serde(default = "default_max_wal_bytes")]
    pub max_wal_bytes: u64,
    /// Whether messages can be searched. It is a property of the store, which remembers it: opening with
    /// [`Prepare::Migrate`](craftx_core::Prepare) switches it on, which indexes all messages, or off, which forgets the
    /// index. Default: what the store says; a new store is searchable. An append costs more while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<bool>,
}

const fn default_readers() -> u32 {
    4
}

const fn default_max_wal_bytes() -> u64 {
    256 << 20
}

impl SqliteConfig {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            readers: default_readers(),
            max_wal_bytes: default_max_wal_bytes(),
            search: None,
        }
    }

    /// Sets what an acknowledged write survives.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many reads run at the same time.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers;
        self
    }

    /// Sets how large the write-ahead log may become.
    #[must_use]
    pub fn max_wal_bytes(mut self, bytes: u64) -> Self {
        self.max_wal_bytes = bytes;
        self
    }

    /// Sets whether messages can be searched.
    #[must_use]
    pub fn search(mut self, search: bool) -> Self {
        self.search = Some(search);
        self
    }

    /// Checks every rule that needs no I/O.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |key: &'static str, rule: &'static str| {
            Err(Error::new(ErrorKind::ConfigInvalid, rule).with("key", format_args!("`{key}`")))
        };
        if self.path.as_os_str().is_empty() {
            return wrong("path", "a SQLite store needs the path of its file, such as `sqlite:craftx.db`");
        }
        if self.path == Path::new(":memory:") {
            return wrong("path", "a SQLite store is a file; a store in memory is written `memory:`");
        }
        if self.path.as_os_str().as_encoded_bytes().contains(&0) {
            return wrong("path", "a path cannot contain a NUL character");
        }
        if !(1..=64).contains(&self.readers) {
            return wrong("readers", "there can be 1 to 64 readers");
        }
        if self.max_wal_bytes < 256 << 10 {
            return wrong("max_wal_bytes", "the write-ahead log needs at least 256 KiB");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::Location;

    #[test]
    fn a_url_gives_path_and_options() {
        let config: SqliteConfig =
            Location::parse("sqlite:a.db?durability=process-crash&readers=2").unwrap().config().unwrap();
        assert_eq!(config, SqliteConfig::new("a.db").durability(Durability::ProcessCrash).readers(2));
    }

    #[test]
    fn what_cannot_be_opened_is_refused_by_name() {
        for (config, named) in [
            (SqliteConfig::new(""), "path"),
            (SqliteConfig::new(":memory:"), "memory:"),
            (SqliteConfig::new("a\0b"), "NUL"),
            (SqliteConfig::new("a").readers(0), "readers"),
            (SqliteConfig::new("a").max_wal_bytes(1), "max_wal_bytes"),
        ] {
            let error = config.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.to_string().contains(named), "{error}");
        }
        for url in ["sqlite:a.db?reader=2", "sqlite:a.db?durability=none"] {
            let error = Location::parse(url).unwrap().config::<SqliteConfig>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        }
    }
}
