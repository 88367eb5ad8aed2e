//! The media under test.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use craftx_core::{Context, DynBackend, Location, Prepare, Registry, Result, Tenant};

use super::Hybrid;

/// A medium that survives faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A folder of JSON Lines files.
    Json,
    /// A SQLite file.
    Sqlite,
}

impl Medium {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Json, Self::Sqlite];

    /// The path of its store within a folder.
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Json => "chats",
            Self::Sqlite => "chat.db",
        })
    }

    /// The URL of its store within a folder, with options such as `durability=process-crash`.
    pub fn url(self, folder: &Path, options: &str) -> String {
        format!("{self}:{}?{options}", self.path(folder).display())
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Sqlite => "sqlite",
        })
    }
}

/// A context in which everything is allowed.
pub fn system(tenant: &str) -> Context {
    Context::system(Tenant::new(tenant).unwrap_or_default())
}

/// Opens the store of a URL, or a [`Hybrid`], and creates it if need be.
///
/// # Errors
/// What `prepare` says.
pub fn open(url: &str) -> Result<DynBackend> {
    futures_executor::block_on(opened(url))
}

/// As [`open`], within a future.
///
/// # Errors
/// What `prepare` says.
pub async fn opened(url: &str) -> Result<DynBackend> {
    let store: DynBackend = match Hybrid::parse(url) {
        Some(hybrid) => Arc::new(hybrid.build(|leg| leg)?),
        None => {
            let mut registry = Registry::new();
            craftx_json::register(&mut registry);
            craftx_sqlite::register(&mut registry);
            registry.build(&Location::parse(url)?)?
        }
    };
    store.prepare(&system("default"), Prepare::Migrate).await?;
    Ok(store)
}
