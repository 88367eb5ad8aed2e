//! Which file holds what.
//!
//! ```text
//! chat_logs/
//!   craftx.store               what this folder is, and its identity
//!   session_1.jsonl            a session of the default tenant
//!   session_1.jsonl.torn-1     a torn tail of it, set aside
//!   session_1.json             a session of CraftX.py with the same name, never touched
//!   tenants/acme/session_1.jsonl
//!   .locks/00 … .locks/64
//! ```

use std::path::{Path, PathBuf};

use craftx_core::{SessionId, Tenant};

use crate::name;

/// The ending of session files.
pub(crate) const LOG: &str = ".jsonl";
/// The ending of session files of CraftX.py.
pub(crate) const LEGACY: &str = ".json";
/// The folder of the tenants.
const TENANTS: &str = "tenants";
/// The ending of a session file that a compaction is writing.
pub(crate) const TEMPORARY: &str = ".tmp";
/// What follows the name of a session file in the names of its torn tails.
pub(crate) const TORN: &str = ".torn-";

/// The folder of a store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// The files of one session.
#[derive(Clone, Debug)]
pub(crate) struct SessionFiles {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// The name of the session file.
    pub(crate) file_name: String,
    /// Where it lies in the folder of the store, spelled the same by every process on every system.
    pub(crate) lock_name: String,
    /// The session file.
    pub(crate) log: PathBuf,
    /// Where CraftX.py would have put it. `None` if it cannot have a file there.
    pub(crate) legacy: Option<PathBuf>,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The file that makes a folder a store. No session can have this name: those of CraftX.py end in `.json`.
    pub(crate) fn marker(&self) -> PathBuf {
        self.root.join("craftx.store")
    }

    pub(crate) fn temporary_marker(&self) -> PathBuf {
        self.root.join("craftx.store.tmp")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join(".locks")
    }

    /// The folder of all tenants but the default one. No session is a folder, so nothing collides with it.
    pub(crate) fn tenants(&self) -> PathBuf {
        self.root.join(TENANTS)
    }

    /// The folder of the sessions of a tenant.
    pub(crate) fn tenant(&self, tenant: &Tenant) -> PathBuf {
        if is_default(tenant) { self.root.clone() } else { self.tenants().join(name::encode(tenant.as_str())) }
    }

    /// The files of a session.
    pub(crate) fn session(&self, tenant: &Tenant, session: &SessionId) -> SessionFiles {
        let dir = self.tenant(tenant);
        let file_name = format!("{}{LOG}", name::encode(session.as_str()));
        let legacy = (is_default(tenant) && name::is_plain_file_name(session.as_str()))
            .then(|| dir.join(format!("{session}{LEGACY}")));
        let lock_name = if is_default(tenant) {
            file_name.clone()
        } else {
            format!("{TENANTS}/{}/{file_name}", name::encode(tenant.as_str()))
        };
        SessionFiles { log: dir.join(&file_name), dir, file_name, lock_name, legacy }
    }
}

impl SessionFiles {
    /// Where a compaction writes.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.dir.join(format!("{}{TEMPORARY}", self.file_name))
    }

    /// Where a torn tail is set aside.
    pub(crate) fn torn(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}{TORN}{number}", self.file_name))
    }
}

/// The sessions of the default tenant lie in the root, so that folders of CraftX.py open in place.
pub(crate) fn is_default(tenant: &Tenant) -> bool {
    *tenant == Tenant::default()
}
