//! That the book has every page, once. `mdbook` would leave out what is not in the summary, and say nothing.

use std::collections::BTreeSet;

use super::{exists, links, page, pages_in, resolve};
use crate::assert_none;

const SUMMARY: &str = "docs/SUMMARY.md";

/// What is wrong with a summary of these pages.
fn violations(summary: &str, pages: &BTreeSet<String>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut listed = BTreeSet::new();
    for target in links(summary) {
        let path = resolve(SUMMARY, target);
        if !pages.contains(&path) {
            violations.push(format!("`{path}` is in the summary, and is no page"));
        }
        if !listed.insert(path.clone()) {
            violations.push(format!("`{path}` is in the summary twice"));
        }
    }
    violations.extend(pages.difference(&listed).map(|path| format!("`{path}` is not in `{SUMMARY}`")));
    violations
}

#[test]
fn the_book_has_every_page_once() {
    let pages = pages_in("docs").into_iter().map(|page| page.path).filter(|path| path != SUMMARY).collect();
    assert_none(&violations(&page(SUMMARY).text, &pages));
}

#[test]
fn the_book_is_made_of_the_docs_as_they_lie() {
    let config = std::fs::read_to_string(crate::workspace::root().join("docs/book.toml")).unwrap();
    assert!(config.lines().any(|line| line == "src = \".\""), "{config}");
    assert!(exists("docs/SUMMARY.md"));
}

#[test]
fn every_kind_of_error_is_on_its_page() {
    let source = std::fs::read_to_string(crate::workspace::root().join("core/src/error.rs")).unwrap();
    let (_, names) = source.split_once("pub const fn as_str").unwrap();
    let names = names.lines().take_while(|line| *line != "    }").filter_map(|line| line.split('"').nth(1));
    let page = page("docs/guide/errors.md").text;
    let missing: Vec<_> = names.clone().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(names.count() > 15 && missing.is_empty(), "{missing:?}");
}

#[test]
fn a_page_that_is_missing_or_forgotten_is_found() {
    let pages = ["docs/a.md", "docs/guide/b.md"].map(str::to_owned).into();
    assert_none(&violations("[A](a.md)\n- [B](guide/b.md)\n", &pages));
    assert_eq!(violations("[A](a.md)\n", &pages), ["`docs/guide/b.md` is not in `docs/SUMMARY.md`"]);
    assert_eq!(violations("[A](a.md) [B](guide/b.md) [C](c.md) [A](./a.md)\n", &pages).len(), 2);
}
