//! What a published package says of itself.

use std::path::Path;

use serde_json::{Value, json};

use crate::assert_none;
use crate::workspace::{Member, WORKSPACE, member, root};

/// Those of <https://crates.io/category_slugs> that fit.
const CATEGORIES: [&str; 3] = ["command-line-utilities", "database", "development-tools::testing"];

/// All texts in the lists `field` of some objects.
fn texts_of<'a>(objects: &'a Value, field: &'a str) -> impl Iterator<Item = &'a str> {
    let objects = objects.as_array().into_iter().flatten();
    objects.flat_map(move |object| object[field].as_array().into_iter().flatten().filter_map(Value::as_str))
}

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
    // What crates.io would refuse or pass over in silence.
    let texts = |field: &str| member.json[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let wrong = texts("categories").filter(|category| !CATEGORIES.contains(category));
    violations.extend(wrong.map(|category| format!("`{}`: `{category}` is no category of ours", member.name)));
    let wrong = texts("keywords").filter(|keyword| {
        keyword.len() > 20
            || !keyword.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    });
    violations.extend(wrong.map(|keyword| format!("`{}`: `{keyword}` is no keyword", member.name)));
    let is_library = texts_of(&member.json["targets"], "kind").any(|kind| kind == "lib");
    if is_library && member.json["metadata"]["docs"]["rs"]["all-features"] != true {
        violations.push(format!("`{}`: docs.rs would leave out what needs a feature", member.name));
    }
    let readme = member.json["readme"].as_str().map(|readme| root.join(&member.folder).join(readme));
    let says_something = |path| std::fs::read_to_string(path).is_ok_and(|text| text.lines().count() > 1);
    if readme.is_some_and(|path| !says_something(path)) {
        violations.push(format!("`{}`: its readme does not exist, or is but a title", member.name));
    }
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        // A link to the one at the root; the package gets a copy.
        if !root.join(&member.folder).join(file).is_file() {
            violations.push(format!("`{}`: `{file}` is missing", member.name));
        }
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
        "targets": [{ "kind": ["lib"] }], "metadata": { "docs": { "rs": { "all-features": true } } },
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
    assert_eq!(found("keywords", json!(["Two words"])), 1);
    assert_eq!(found("categories", json!(["chatting"])), 1);
    assert_eq!(found("metadata", Value::Null), 1);
    assert_eq!(found("readme", json!("NONE.md")), 1);
    good.folder = "integration-tests".to_owned();
    good.json["readme"] = json!("../README.md");
    assert_eq!(violations(&root(), &good).len(), 2, "no licences");
    good.folder = "backends/json".to_owned();
    good.json["readme"] = json!("README.md");
    good.name = "json-for-craftx".to_owned();
    assert_eq!(violations(&root(), &good).len(), 1);
}
