//! Every example says what it is for and what it prints, and prints that.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// How an example begins that has nothing to show without a server.
const NEEDS: &str = "needs the URL of";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of examples, by name.
fn examples() -> Vec<PathBuf> {
    let files = root().join("examples").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut examples: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect();
    examples.sort();
    examples
}

/// The last lines that an example prints, as its documentation tells them: a block `text`.
fn told(source: &str) -> Option<String> {
    let (_, rest) = source.split_once("//! ```text\n")?;
    let (block, _) = rest.split_once("//! ```\n")?;
    let lines = block.lines().map(|line| line.strip_prefix("//! ").unwrap_or_default());
    Some(lines.map(|line| format!("{line}\n")).collect())
}

/// Builds and runs an example as a reader does, but in an empty folder.
fn run(name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "craftx", "--all-features", "--example", name]);
    // This test is `TARGET/debug/deps/examples-…`.
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    command.arg("--manifest-path").arg(root().join("Cargo.toml")).arg("--target-dir").arg(target);
    command.current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_example_prints_what_it_says() {
    let examples = examples();
    assert!(examples.len() > 10, "{}", examples.len());
    for path in examples {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let told = told(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|| panic!("{name} does not say"));
        let printed = run(name);
        if printed.starts_with(NEEDS) {
            // The tests of that server run it with one.
            continue;
        }
        assert!(!told.trim().is_empty() && printed.ends_with(&told), "{name} says\n{told}\nand prints\n{printed}");
    }
}

#[test]
fn every_example_says_in_one_line_what_it_is_for() {
    for path in examples() {
        let source = std::fs::read_to_string(&path).unwrap();
        let purpose = source.lines().next().unwrap();
        let second = source.lines().nth(1).unwrap();
        assert!(purpose.starts_with("//! ") && purpose.ends_with('.'), "{}: {purpose}", path.display());
        assert_eq!(second, "//!", "{}: the purpose is one line", path.display());
    }
}

#[test]
fn what_an_example_says_is_read_from_its_documentation() {
    assert_eq!(told("//! Adds.\n//!\n//! ```text\n//! 1\n//!\n//! 2\n//! ```\nfn main() {}\n").unwrap(), "1\n\n2\n");
    assert_eq!(told("//! Adds.\nfn main() {}\n"), None);
}
