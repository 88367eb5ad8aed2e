//! `cargo xtask doc`

use crate::metadata::Workspace;
use crate::run::Cargo;

/// Builds the documentation of every member; a warning is an error.
pub(crate) fn run(workspace: &Workspace) -> Result<(), String> {
    Cargo::new(&workspace.root)
        .env("RUSTDOCFLAGS", "-D warnings")
        .args("doc --workspace --all-features --no-deps")
        .run()
}
