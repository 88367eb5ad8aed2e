//! The documentation: its pages are in the book, its links lead somewhere, its code is that of the examples.

mod book;
mod links;
mod quotes;
mod threats;

use std::path::{Path, PathBuf};

use crate::workspace::root;

/// A page, by its path relative to the root.
struct Page {
    path: String,
    text: String,
}

/// All Markdown files in a folder and its folders, in order.
fn pages_in(folder: &str) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut entries: Vec<PathBuf> =
        root().join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let path = entry.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        if entry.is_dir() {
            pages.extend(pages_in(&path));
        } else if path.ends_with(".md") {
            pages.push(page(&path));
        }
    }
    pages
}

fn page(path: &str) -> Page {
    Page { path: path.to_owned(), text: std::fs::read_to_string(root().join(path)).unwrap() }
}

/// The lines of a page that are not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of the links in a page, `[words](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)))
}

/// `path` as seen from the folder of the page at `from`, without `.` and `..`.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(path: &str) -> bool {
    root().join(Path::new(path)).exists()
}
