//! One compressed, checked archive of a store, in a folder or an object store, and back.
//!
//! [`Backup`] writes a store, all tenants, while others write; [`Backup::since`] only what arrived after an earlier archive.
//! [`verify()`] reads an archive and checks every digest in it. [`Restore`] checks it too before it writes anything, unites
//! its records with a store, and looks whether all of them are there. [`state()`] is when a store was backed up last.
//!
//! What is encrypted stays so: backup and restore go below the encryption layer, and the key store is backed up apart.
//! `docs/backup.md` tells how to use it, `docs/formats.md` what an archive is.

mod archive;
mod base;
mod create;
mod format;
#[cfg(all(feature = "json", feature = "migrate", feature = "sqlite"))]
mod guide;
mod inflate;
mod reader;
mod restore;
mod sink;
mod source;
mod state;
mod verify;
mod walk;
mod writer;

pub use archive::Archive;
pub use create::{BackedUp, Backup, FailedSession};
pub use format::{About, Counts};
#[cfg(all(feature = "json", feature = "migrate", feature = "sqlite"))]
pub use guide::{backup_current_storage, restore_from_backup};
/// The object stores in which an archive can be.
pub use object_store;
pub use restore::{Preview, Restore, Restored};
pub use state::{Moment, State, state};
pub use verify::{CheckedArchive, verify, verify_watched};
