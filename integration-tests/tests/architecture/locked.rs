//! What the lock file holds.

use crate::assert_none;
use crate::workspace::{Package, WORKSPACE, root};

/// Crates that nobody maintains any more, with the advisory or the reason.
const DEAD: &[(&str, &str)] = &[
    ("adler", "RUSTSEC-2025-0056"),
    ("ansi_term", "RUSTSEC-2021-0139"),
    ("async-std", "RUSTSEC-2025-0052"),
    ("atty", "RUSTSEC-2024-0375"),
    ("backoff", "RUSTSEC-2025-0012"),
    ("bincode", "RUSTSEC-2025-0141"),
    ("derivative", "RUSTSEC-2024-0388"),
    ("dotenv", "RUSTSEC-2021-0141"),
    ("failure", "RUSTSEC-2020-0036"),
    ("fxhash", "RUSTSEC-2025-0057"),
    ("instant", "RUSTSEC-2024-0384"),
    ("number_prefix", "RUSTSEC-2025-0119"),
    ("paste", "RUSTSEC-2024-0436"),
    ("proc-macro-error", "RUSTSEC-2024-0370"),
    ("r2d2", "no release since 2022"),
    ("rustls-pemfile", "RUSTSEC-2025-0134"),
    ("serde_yaml", "no longer maintained, says its last release"),
    ("smartstring", "RUSTSEC-2026-0249"),
    ("tempdir", "RUSTSEC-2018-0017"),
    ("yaml-rust", "RUSTSEC-2024-0320"),
];

fn dead(lock: &str) -> Vec<String> {
    let locked = |name: &str| lock.lines().any(|line| line == format!("name = \"{name}\""));
    DEAD.iter().filter(|(name, _)| locked(name)).map(|(name, why)| format!("`{name}` is locked: {why}")).collect()
}

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
fn no_dead_crate_is_locked() {
    assert_none(&dead(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap()));
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
fn a_dead_crate_is_found() {
    let lock = "[[package]]\nname = \"paste-next\"\n\n[[package]]\nname = \"paste\"\n";
    assert_eq!(dead(lock), ["`paste` is locked: RUSTSEC-2024-0436"]);
}

#[test]
fn a_package_that_needs_a_newer_rust_is_found() {
    let package = |name: &str, rust_version: Option<&str>| Package {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        rust_version: rust_version.map(str::to_owned),
    };
    let packages = [
        package("old", Some("1.9")),
        package("same", Some("1.89.0")),
        package("new", Some("1.90")),
        package("any", None),
    ];
    let found: Vec<&str> = too_new(&packages, "1.89").iter().map(|package| package.name.as_str()).collect();
    assert_eq!(found, ["new"]);
}
