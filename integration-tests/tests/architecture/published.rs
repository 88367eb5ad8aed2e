//! What a published package says of itself.

use std::path::Path;

use serde_json::{Value, json};

use crate::assert_none;
use crate::workspace::{Member, WORKSPACE, member, root};

fn violations(root: &Path, member: &Member) -> Vec<String> {
    let mut violations = Vec::new();
    if member.name != "craftx" && !member.name.starts_with("craftx-") {
        violations.push(format!("`{}`: its name does not begin with `craftx`", member.name));
    }
    for field in ["description", "license", "repository", "rust_version", "readme"] {
        if member.json[field].as_str().is_none_or(str::is_empty) {
            violations.push(format!("`{}`: `{field}` is missing", member.name));
        }
    }
    let length = |field: &str| member.json[field].as_array().map_or(0, Vec::len);
    // More are refused by crates.io.
    for field in ["keywords", "categories"] {
        if !(1..=5).contains(&length(field)) {
            violations.push(format!("`{}`: there must be 1 to 5 `{field}`", member.name));
        }
    }
    if let Some(readme) = member.json["readme"].as_str()
        && !root.join(&member.folder).join(readme).is_file()
    {
        violations.push(format!("`{}`: its readme `{readme}` does not exist", member.name));
    }
    violations
}

#[test]
fn published_packages_say_what_they_are() {
    let published = WORKSPACE.members.iter().filter(|member| member.published);
    assert_none(&published.flat_map(|member| violations(&root(), member)).collect::<Vec<_>>());
}

#[test]
fn both_licences_are_there() {
    for (file, words) in [("LICENSE-MIT", "The craftx authors"), ("LICENSE-APACHE", "END OF TERMS AND CONDITIONS")] {
        assert!(std::fs::read_to_string(root().join(file)).unwrap().contains(words), "{file}");
    }
}

#[test]
fn what_a_package_fails_to_say_is_found() {
    let mut good = member("craftx-json", "backends/json");
    good.json = json!({
        "description": "a", "license": "MIT", "repository": "https://example.org", "rust_version": "1.89",
        "readme": "README.md", "keywords": ["chat"], "categories": ["database"],
    });
    assert_none(&violations(&root(), &good));

    let found = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad.json[field] = value;
        violations(&root(), &bad).len()
    };
    for field in ["description", "license", "repository", "rust_version", "readme", "keywords", "categories"] {
        assert_eq!(found(field, Value::Null), 1, "{field}");
    }
    assert_eq!(found("keywords", json!(["a", "b", "c", "d", "e", "f"])), 1);
    assert_eq!(found("readme", json!("NONE.md")), 1);
    good.name = "json-for-craftx".to_owned();
    assert_eq!(violations(&root(), &good).len(), 1);
}
