//! The tables of features are what `Cargo.toml` says: the `## ` comment above each feature.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::path::Path;

const BEGIN: &str = "<!-- features: made by `CRAFTX_UPDATE=1 cargo test --test features` -->\n";
const END: &str = "<!-- end of features -->";
/// The README, and the page that the rustdoc and the book show.
const FILES: [&str; 2] = ["README.md", "docs/features.md"];

/// One row a feature: its name, its comment, whether it is on by default.
fn table(manifest: &str) -> String {
    let (_, section) = manifest.split_once("[features]\n").unwrap();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let (mut about, mut default, mut table) =
        (String::new(), "", "| feature | brings | default |\n|---|---|---|\n".to_owned());
    for line in lines {
        if let Some(comment) = line.strip_prefix("## ") {
            about = format!("{about} {comment}").trim_start().to_owned();
        } else if let Some(list) = line.strip_prefix("default = ") {
            default = list;
        } else if let Some((name, _)) = line.split_once(" = ") {
            let on = if default.contains(&format!("\"{name}\"")) { "yes" } else { "no" };
            table.push_str(&format!("| `{name}` | {} | {on} |\n", std::mem::take(&mut about)));
        }
    }
    table
}

#[test]
fn the_tables_of_features_are_what_the_manifest_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = table(&std::fs::read_to_string(root.join("Cargo.toml")).unwrap());
    for file in FILES {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect(file);
        let (found, after) = rest.split_once(END).expect(file);
        if std::env::var_os("CRAFTX_UPDATE").is_some() {
            std::fs::write(root.join(file), format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        } else {
            assert_eq!(found, table, "{file}: run `CRAFTX_UPDATE=1 cargo test --test features`");
        }
    }
}

#[test]
fn a_feature_is_told_with_its_comment_and_whether_it_is_on() {
    let manifest = "[features]\ndefault = [\"a\"]\n## Does\n## this.\na = []\n## Does that.\nab = [\"a\"]\n\n[dependencies]\nc = \"1\"\n";
    let rows = table(manifest);
    assert!(rows.ends_with("|---|---|---|\n| `a` | Does this. | yes |\n| `ab` | Does that. | no |\n"), "{rows}");
}
