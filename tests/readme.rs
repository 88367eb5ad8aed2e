//! The README keeps its promises.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[test]
fn the_quick_start_is_short() {
    let readme = include_str!("../README.md");
    let (_, code) = readme.split_once("```rust,no_run\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let shown = code.lines().count();
    assert!(shown <= 15, "{shown} lines");
}
