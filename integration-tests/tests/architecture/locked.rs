//! Which Rust the locked packages need.

use crate::assert_none;
use crate::workspace::{Package, WORKSPACE, package};

/// Major, minor and patch of a version such as `1.89`.
fn version(text: &str) -> [u64; 3] {
    let mut parts = text.split(['-', '+']).next().unwrap().split('.').map(|part| part.parse().unwrap());
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

fn too_new<'a>(packages: &'a [Package], ours: &str) -> Vec<&'a Package> {
    let needs = |package: &Package| package.rust_version.as_deref().map_or([0; 3], version);
    packages.iter().filter(|package| needs(package) > version(ours)).collect()
}

#[test]
fn no_locked_package_needs_a_newer_rust_than_we_say() {
    let core = WORKSPACE.members.iter().find(|member| member.name == "craftx-core").unwrap();
    let ours = core.json["rust_version"].as_str().unwrap();
    let found = too_new(&WORKSPACE.packages, ours);
    let line = |package: &&Package| {
        let needs = package.rust_version.as_deref().unwrap_or_default();
        format!("`{} {}` needs Rust {needs}, we say {ours}", package.name, package.version)
    };
    assert_none(&found.iter().map(line).collect::<Vec<_>>());
}

#[test]
fn a_package_that_needs_a_newer_rust_is_found() {
    let needing = |name: &str, rust_version: Option<&str>| Package {
        rust_version: rust_version.map(str::to_owned),
        ..package(name)
    };
    let packages = [
        needing("old", Some("1.9")),
        needing("same", Some("1.89.0")),
        needing("new", Some("1.90")),
        needing("any", None),
    ];
    let found: Vec<&str> = too_new(&packages, "1.89").iter().map(|package| package.name.as_str()).collect();
    assert_eq!(found, ["new"]);
}
