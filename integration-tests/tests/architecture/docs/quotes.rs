//! That the code on the pages is the code of the examples, which is compiled and tested there.
//!
//! A page says `<!-- code: PATH: START -->`, and the block below it is the item of that file whose first line begins with
//! START, with its documentation and attributes; without `: START`, the whole file without what stands above the code.
//! `CRAFTX_UPDATE=1` writes the blocks anew.

use super::{Page, page, pages_in};
use crate::assert_none;
use crate::workspace::root;

const BEGIN: &str = "<!-- code: ";
const FENCE: &str = "```rust,ignore\n";

/// The item of a source that begins so: up to the line that closes it, moved to the left edge.
fn item(source: &str, start: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    let first = lines.iter().position(|line| line.trim_start().starts_with(start))?;
    let indent = lines[first].len() - lines[first].trim_start().len();
    let is_about_it = |line: &&&str| ["///", "#["].iter().any(|mark| line.trim_start().starts_with(mark));
    let above = lines[..first].iter().rev().take_while(is_about_it).count();
    let closing = format!("{}}}", " ".repeat(indent));
    let closes = |line: &&str| line.starts_with(&closing);
    let last = match lines[first].ends_with([';', '}']) {
        true => first,
        false => first + 1 + lines[first + 1..].iter().position(closes)?,
    };
    let moved = lines[first - above..=last].iter().map(|line| line.get(indent..).unwrap_or_default());
    Some(moved.map(|line| format!("{line}\n")).collect())
}

/// A source without its module documentation.
fn code(source: &str) -> String {
    let lines = source.lines().skip_while(|line| line.is_empty() || line.starts_with("//!"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The page with its blocks as the sources have them, or what is wrong with it.
fn quoted(page: &str, read: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut parts = page.split_inclusive('\n');
    let mut text = String::new();
    while let Some(line) = parts.next() {
        text.push_str(line);
        let Some(mark) = line.strip_prefix(BEGIN).and_then(|rest| rest.trim_end().strip_suffix(" -->")) else {
            continue;
        };
        let (path, start) = mark.split_once(": ").unwrap_or((mark, ""));
        let source = read(path).ok_or_else(|| format!("there is no `{path}`"))?;
        let code = match start {
            "" => code(&source),
            start => item(&source, start).ok_or_else(|| format!("`{path}` has no `{start}`"))?,
        };
        // The block that is there now, if any. How it is tested is up to the page.
        let fence = parts.clone().next().filter(|line| line.starts_with("```rust"));
        if fence.is_some() {
            while parts.next().is_some_and(|line| line != "```\n") {}
        }
        text.push_str(&format!("{}{code}```\n", fence.unwrap_or(FENCE)));
    }
    Ok(text)
}

#[test]
fn the_code_on_the_pages_is_that_of_the_examples() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).ok();
    let update = std::env::var_os("CRAFTX_UPDATE").is_some();
    let (mut wrong, mut quotes) = (Vec::new(), 0);
    for Page { path, text } in pages_in("docs").into_iter().chain([page("README.md")]) {
        quotes += text.matches(BEGIN).count();
        match quoted(&text, read) {
            Ok(new) if new == text => {}
            Ok(new) if update => std::fs::write(root().join(&path), new).unwrap(),
            Ok(_) => wrong.push(format!("{path}: run `CRAFTX_UPDATE=1 cargo test --test architecture quotes`")),
            Err(error) => wrong.push(format!("{path}: {error}")),
        }
    }
    assert!(quotes > 30, "{quotes} quotes");
    assert_none(&wrong);
}

#[test]
fn every_example_is_on_a_page() {
    let pages = pages_in("docs").into_iter().chain([page("README.md")]);
    let pages: String = pages.map(|page| page.text).collect();
    let examples = root().join("examples").read_dir().unwrap();
    let names = examples.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let missing = names.filter(|name| {
        // The demonstration is on the front page, as one of the two commands.
        name != "storage_demo.rs" && !pages.contains(&format!("{BEGIN}examples/{name}"))
    });
    assert_none(&missing.map(|name| format!("no page quotes `examples/{name}`")).collect::<Vec<_>>());
}

#[test]
fn an_item_is_taken_with_what_is_said_about_it_and_moved_to_the_left() {
    let source = "use a;\nimpl A {\n    /// Does it.\n    #[inline]\n    fn a(&self) {\n        b();\n    }\n}\n#[derive(B)]\npub struct B(u8);\n";
    assert_eq!(item(source, "fn a").unwrap(), "/// Does it.\n#[inline]\nfn a(&self) {\n    b();\n}\n");
    assert_eq!(item(source, "pub struct B").unwrap(), "#[derive(B)]\npub struct B(u8);\n");
    assert_eq!(item(source, "fn b"), None);
    let read = |path: &str| (path == "a.rs").then(|| source.to_owned());
    let page = "Look:\n<!-- code: a.rs: pub struct B -->\nNext.\n";
    let filled =
        "Look:\n<!-- code: a.rs: pub struct B -->\n```rust,ignore\n#[derive(B)]\npub struct B(u8);\n```\nNext.\n";
    assert_eq!(quoted(page, read).unwrap(), filled);
    assert_eq!(quoted(filled, read).unwrap(), filled);
    assert_eq!(quoted(&filled.replace("u8", "u16"), read).unwrap(), filled);
    let whole = "<!-- code: c.rs -->\n```rust,no_run\nold\n```\n";
    let read_whole = |_: &str| Some("//! Says.\n\nfn c() {}\n".to_owned());
    assert_eq!(quoted(whole, read_whole).unwrap(), whole.replace("old", "fn c() {}"));
    assert!(quoted("<!-- code: b.rs: x -->\n", read).is_err() && quoted("<!-- code: a.rs: x -->\n", read).is_err());
}
