//! `cargo xtask package`

use crate::metadata::Workspace;
use crate::run::Cargo;

/// Packs every published package and builds it from what was packed, as its users get it. Uploads nothing.
pub(crate) fn run(workspace: &Workspace) -> Result<(), String> {
    dry_run(workspace).run()
}

/// Packs them without building them: manifests, files and versions of each other. A matter of seconds.
pub(crate) fn check(workspace: &Workspace) -> Result<(), String> {
    dry_run(workspace).args("--no-verify --quiet").run()
}

fn dry_run(workspace: &Workspace) -> Cargo {
    Cargo::new(&workspace.root).args("publish --workspace --dry-run --allow-dirty")
}
