//! Moving everything from one store to another: plan, run, verify.
//!
//! A migration copies the records of all tenants as they are, with stamps, times, metadata, deletions and owners. It can be
//! killed and run again at any moment, and while the old store is still in use; `docs/migration.md` tells the whole of it.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use craftx::migrate::StorageMigrator;
//! use craftx::{Caller, NewMessage, Storage};
//! let old = Storage::open("memory:").await?.for_caller(Caller::System);
//! old.append("a", NewMessage::user("hello")).await?;
//! let new = Storage::open("memory:").await?.for_caller(Caller::System);
//!
//! let migrator = StorageMigrator::new(&old, &new);
//! assert_eq!(migrator.plan().await?.to_copy, 1);
//! assert_eq!(migrator.run().await?.applied, 1);
//! assert!(migrator.verify().await?.is_equal());
//! # Ok::<(), craftx::Error>(())
//! # }).unwrap();
//! ```

mod compare;
mod copy;
#[cfg(all(feature = "json", feature = "sqlite"))]
mod guide;
mod journal;
mod migrator;
mod plan;
mod report;
mod walk;

#[cfg(all(feature = "json", feature = "sqlite"))]
pub use guide::{MigrationResult, list_available_migrations, migrate_json_to_sqlite, migrate_sqlite_to_json};
pub use migrator::StorageMigrator;
pub use report::{Comparison, Difference, Migrated, Plan, Progress, SessionFailure, Target};
