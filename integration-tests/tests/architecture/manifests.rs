//! What stands in the manifests: inherited dependencies and lints, small defaults, documented features.

use crate::assert_none;
use crate::workspace::{WORKSPACE, root};

/// The entries of a manifest as (section, comment above it, line). An entry starts at the beginning of a line.
fn entries(manifest: &str) -> Vec<(&str, &str, &str)> {
    let (mut section, mut above) = ("", "");
    let mut entries = Vec::new();
    for line in manifest.lines() {
        if let Some(rest) = line.strip_prefix('[') {
            section = rest.trim_end().trim_end_matches(']');
        } else if line.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '"') {
            entries.push((section, above, line));
        }
        above = line;
    }
    entries
}

/// Each dependency of a member is inherited, so that versions and features are decided in one place.
fn not_inherited(manifest: &str) -> Vec<&str> {
    let of_member = |section: &str| section != "workspace.dependencies" && section.contains("dependencies");
    let inherited = |line: &str| line.replace(' ', "").contains("workspace=true");
    entries(manifest)
        .into_iter()
        .filter(|(section, _, line)| of_member(section) && !inherited(line))
        .map(|(_, _, line)| line)
        .collect()
}

/// No dependency brings what nobody asked for.
fn with_default_features(manifest: &str) -> Vec<&str> {
    entries(manifest)
        .into_iter()
        .filter(|(section, _, line)| *section == "workspace.dependencies" && !line.contains("default-features = false"))
        .map(|(_, _, line)| line)
        .collect()
}

fn inherits_lints(manifest: &str) -> bool {
    entries(manifest).contains(&("lints", "[lints]", "workspace = true"))
}

/// The comment `## …` above a feature is its documentation.
fn undocumented_features(manifest: &str) -> Vec<&str> {
    entries(manifest)
        .into_iter()
        .filter(|(section, above, line)| {
            *section == "features" && !line.starts_with("default ") && !above.starts_with("## ")
        })
        .map(|(_, _, line)| line)
        .collect()
}

fn of_all(what: &str, find: impl Fn(&str) -> Vec<&str>) -> Vec<String> {
    let mut violations = Vec::new();
    for member in &WORKSPACE.members {
        violations.extend(find(&member.manifest).into_iter().map(|line| format!("{}: {what}: {line}", member.name)));
    }
    violations
}

#[test]
fn dependencies_are_inherited_from_the_workspace() {
    assert_none(&of_all("not inherited", not_inherited));
}

#[test]
fn dependencies_come_without_their_default_features() {
    assert_none(&of_all("with default features", with_default_features));
    let facade = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(entries(&facade).iter().any(|(section, ..)| *section == "workspace.dependencies"));
}

#[test]
fn every_feature_is_documented() {
    assert_none(&of_all("feature without a `## ` comment", undocumented_features));
}

#[test]
fn every_member_inherits_the_lints() {
    for member in &WORKSPACE.members {
        assert!(inherits_lints(&member.manifest), "{}", member.name);
    }
}

#[test]
fn a_plain_cargo_test_tests_every_member() {
    let members: Vec<&str> = WORKSPACE.members.iter().map(|member| member.folder.as_str()).collect();
    assert_eq!(WORKSPACE.default_members, members);
}

#[test]
fn bad_manifests_are_found_out() {
    let bad = "
[dependencies]
inherited.workspace = true
inherited-too = { workspace = true, features = [
    \"some\",
] }
own = \"1\"

[target.'cfg(unix)'.dependencies]
own-on-unix = { version = \"1\" }

[dependencies.table]
version = \"1\"

[workspace.dependencies]
small = { version = \"1\", default-features = false }
large = \"1\"

[features]
default = [\"plain\"]
## Said.
said = []
plain = []

[lints.rust]
workspace = true
";
    let own = ["own = \"1\"", "own-on-unix = { version = \"1\" }", "version = \"1\""];
    assert_eq!(not_inherited(bad), own);
    assert_eq!(with_default_features(bad), ["large = \"1\""]);
    assert_eq!(undocumented_features(bad), ["plain = []"]);
    assert!(!inherits_lints(bad));
    assert!(inherits_lints("[lints]\nworkspace = true\n"));
}
