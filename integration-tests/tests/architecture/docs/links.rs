//! That links lead somewhere, wherever a page is read: on a forge, in the book, in the rustdoc.

use std::collections::BTreeSet;

use super::{Page, exists, links, page, pages_in, prose, resolve};
use crate::assert_none;
use crate::workspace::{WORKSPACE, root};

/// Pages that are compiled into the rustdoc, or lie beside others there, name the repository.
const REPOSITORY: &str = "https://github.com/craftx/craftx/";

/// The name by which a heading can be linked to.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn slugs(text: &str) -> BTreeSet<String> {
    prose(text).filter_map(|line| Some(slug(line.trim_start_matches('#').strip_prefix(' ')?))).collect()
}

fn violations(page: &Page) -> Vec<String> {
    let mut violations = Vec::new();
    for link in links(&page.text) {
        let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
        let path = match target.strip_prefix(REPOSITORY) {
            Some(rest) => rest.splitn(3, '/').nth(2).unwrap_or_default().to_owned(),
            None if target.contains(':') => continue,
            None if target.is_empty() => page.path.clone(),
            None => resolve(&page.path, target),
        };
        if !exists(&path) {
            violations.push(format!("{}: there is no `{path}`", page.path));
        } else if !anchor.is_empty() && path.ends_with(".md") {
            let text = std::fs::read_to_string(root().join(&path)).unwrap();
            if !slugs(&text).contains(anchor) {
                violations.push(format!("{}: `{path}` has no heading `{anchor}`", page.path));
            }
        }
    }
    violations
}

/// The pages that Rust sources include, as `include_str!("../docs/….md")`, by their paths.
fn included(source: &str, path: &str) -> Vec<String> {
    let parts = source.split("include_str!(\"").skip(1).filter_map(|rest| rest.split_once("\")"));
    parts.map(|(target, _)| resolve(path, target)).filter(|target| target.ends_with(".md")).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut pages = pages_in("docs");
    pages.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(page));
    for member in WORKSPACE.members.iter().filter(|member| !member.folder.is_empty()) {
        let readme = format!("{}/README.md", member.folder);
        pages.extend(exists(&readme).then(|| page(&readme)));
    }
    assert!(pages.len() > 20);
    assert_none(&pages.iter().flat_map(violations).collect::<Vec<_>>());
}

#[test]
fn pages_in_the_rustdoc_have_no_relative_links() {
    let source = std::fs::read_to_string(root().join("src/_documentation.rs")).unwrap();
    let pages = included(&source, "src/_documentation.rs");
    assert!(pages.len() >= 4, "{pages:?}");
    let relative = |page: Page| {
        let links: Vec<String> = links(&page.text).filter(|link| !link.contains(':')).map(str::to_owned).collect();
        links.into_iter().map(move |link| format!("{}: `{link}` is relative", page.path))
    };
    assert_none(&pages.iter().flat_map(|path| relative(page(path))).collect::<Vec<_>>());
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let found = |text: &str| violations(&Page { path: "docs/guide/a.md".to_owned(), text: text.to_owned() }).len();
    assert_eq!(found("[a](../operations.md#backup) [b](https://example.org/x) [c](../../README.md)"), 0);
    assert_eq!(found("[a](https://github.com/craftx/craftx/blob/main/docs/formats.md#2-records)"), 0);
    assert_eq!(found("```\n[a](no.md)\n```"), 0);
    assert_eq!(found("[a](no.md) [b](../operations.md#no) [c](#no)"), 3);
    assert_eq!(found("[a](https://github.com/craftx/craftx/blob/main/docs/no.md)"), 1);
    assert_eq!(included("#[doc = include_str!(\"../docs/a.md\")]", "src/x.rs"), ["docs/a.md"]);
}
