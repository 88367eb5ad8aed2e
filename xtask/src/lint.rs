//! `cargo xtask lint`

use crate::metadata::{Package, Workspace};
use crate::package;
use crate::run::Cargo;

/// Checks the formatting, then runs clippy over everything, and over each package alone with every choice of features,
/// then packs what is published.
pub(crate) fn run(workspace: &Workspace) -> Result<(), String> {
    Cargo::new(&workspace.root).args("fmt --all --check").run()?;
    for manifest in workspace.compat_manifests()? {
        Cargo::new(&workspace.root).args("fmt --check --manifest-path").arg(&manifest).run()?;
    }
    Cargo::new(&workspace.root).args("clippy --workspace --all-targets --all-features -- -D warnings").run()?;
    for package in &workspace.packages {
        for choice in choices(package) {
            Cargo::new(&workspace.root).args(&choice).args("-- -D warnings").run()?;
        }
    }
    package::check(workspace)
}

/// No feature, then each alone. Alone also means without the features that other members turn on in shared
/// dependencies. Tests and examples are left out: they may need more than one feature.
fn choices(package: &Package) -> Vec<String> {
    let none = format!("clippy --package {} --no-default-features", package.name);
    let each = package.features.iter().map(|feature| format!("{none} --features {feature}"));
    std::iter::once(none.clone()).chain(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_feature_and_each_feature_alone_are_checked() {
        let features = vec!["json".to_owned(), "sqlite".to_owned()];
        let package = Package { name: "craftx".to_owned(), features, examples: Vec::new() };
        assert_eq!(
            choices(&package),
            [
                "clippy --package craftx --no-default-features",
                "clippy --package craftx --no-default-features --features json",
                "clippy --package craftx --no-default-features --features sqlite",
            ]
        );
    }
}
