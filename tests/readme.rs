//! The README keeps its promises.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[test]
fn the_quick_start_is_short() {
    let readme = include_str!("../README.md");
    let (_, code) = readme.split_once("```rust\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let shown = code.lines().filter(|line| !line.trim_start().starts_with("# ")).count();
    assert!(shown <= 15, "{shown} lines");
}
