//! How much a user has to build.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::workspace::cargo;

/// Async runtimes, TLS and configuration have no place below the facade's features.
const HEAVY: &[&str] =
    &["async-executor", "config", "figment", "native-tls", "openssl", "ring", "rustls", "smol", "tokio", "toml"];

/// The packages in the output of `cargo tree --prefix none`, the root among them.
fn packages(tree: &str) -> BTreeSet<&str> {
    tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect()
}

fn heavy(tree: &str) -> Vec<String> {
    let names = packages(tree).into_iter().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| HEAVY.contains(name)).map(|name| format!("`{name}` is in the tree")).collect()
}

fn tree(package: &str) -> String {
    cargo(&["tree", "--package", package, "--no-default-features", "--edges", "normal", "--prefix", "none"]).unwrap()
}

#[test]
fn core_is_small() {
    let tree = tree("craftx-core");
    assert!((2..=25).contains(&packages(&tree).len()), "{tree}");
}

#[test]
fn the_facade_without_features_is_small() {
    let tree = tree("craftx");
    assert!((2..40).contains(&packages(&tree).len()), "{tree}");
}

#[test]
fn embedded_backends_need_no_runtime_and_no_tls() {
    for package in ["craftx-core", "craftx-json", "craftx-sqlite", "craftx"] {
        assert_none(&heavy(&tree(package)));
    }
}

#[test]
fn a_package_counts_once_however_often_it_is_needed() {
    assert_eq!(packages("a v1\nb v1 (proc-macro)\nc v1\nb v1 (proc-macro) (*)\n\n").len(), 3);
}

#[test]
fn a_runtime_is_found() {
    assert_eq!(heavy("craftx-core v1\ntokio-like v1\ntokio v1.0.0\n"), ["`tokio` is in the tree"]);
}
