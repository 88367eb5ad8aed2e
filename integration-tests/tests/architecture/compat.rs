//! That the compatibility packages stand at both ends of the range that is promised.

use crate::workspace::root;

/// The minor versions of `rusqlite` in the range `>=0.A, <0.B`: A and the last one below B.
fn ends(manifest: &str) -> Option<(u32, u32)> {
    let (oldest, beyond) = requirement(manifest)?.strip_prefix(">=0.")?.split_once(", <0.")?;
    Some((oldest.parse().ok()?, beyond.parse::<u32>().ok()? - 1))
}

/// The minor version of `rusqlite` that is pinned as `=0.N.M`.
fn pin(manifest: &str) -> Option<u32> {
    requirement(manifest)?.strip_prefix("=0.")?.split_once('.')?.0.parse().ok()
}

fn requirement(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("rusqlite = { version = \"")?.split('"').next())
}

#[test]
fn both_ends_of_the_rusqlite_range_are_tested() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let oldest = pin(&read("integration-tests/compat/rusqlite-oldest/Cargo.toml")).unwrap();
    let newest = pin(&read("integration-tests/compat/rusqlite-newest/Cargo.toml")).unwrap();
    assert_eq!(ends(&read("Cargo.toml")), Some((oldest, newest)));
}

#[test]
fn ranges_and_pins_are_read() {
    assert_eq!(ends("a = 1\nrusqlite = { version = \">=0.39, <0.43\", default-features = false }"), Some((39, 42)));
    assert_eq!(ends("rusqlite = { version = \"0.42\" }"), None);
    assert_eq!(pin("rusqlite = { version = \"=0.42.1\" }"), Some(42));
    assert_eq!(pin("rusqlite = { version = \"0.42\" }"), None);
}
