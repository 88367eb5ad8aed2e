//! What is committed.

use std::process::Command;

use crate::assert_none;
use crate::workspace::root;

/// Marks of work that was put off, spelt so that this file has none.
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// The files that `git ls-files` names; `None` where this is no git checkout.
fn tracked(arguments: &[&str]) -> Option<Vec<String>> {
    let output = Command::new("git").arg("ls-files").args(arguments).current_dir(root()).output().ok()?;
    let names = output.status.success().then(|| String::from_utf8(output.stdout).unwrap())?;
    Some(names.lines().map(str::to_owned).collect())
}

fn marks(name: &str, text: &str) -> Vec<String> {
    let marked = |line: &str| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| MARKS.contains(&word))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| marked(line));
    lines.map(|(index, line)| format!("{name}:{}: {}", index + 1, line.trim())).collect()
}

fn is_source(name: &str) -> bool {
    [".rs", ".toml", ".md", ".yml", ".sql"].iter().any(|ending| name.ends_with(ending)) || name == ".ci/run"
}

#[test]
fn no_work_is_put_off_in_the_sources() {
    let Some(names) = tracked(&[]) else {
        eprintln!("skipped: this is no git checkout");
        return;
    };
    let mut violations = Vec::new();
    for name in names.iter().filter(|name| is_source(name)) {
        // A file that was just deleted is still tracked.
        if let Ok(text) = std::fs::read_to_string(root().join(name)) {
            violations.extend(marks(name, &text));
        }
    }
    assert_none(&violations);
}

#[test]
fn nothing_that_a_build_makes_is_committed() {
    let Some(names) = tracked(&["--cached", "--ignored", "--exclude-standard"]) else {
        eprintln!("skipped: this is no git checkout");
        return;
    };
    assert_none(&names);
}

#[test]
fn a_mark_is_found() {
    let text = format!("fine\n// {}: later\nthe todo lint\n", MARKS[0]);
    assert_eq!(marks("a.rs", &text), [format!("a.rs:2: // {}: later", MARKS[0])]);
    assert!(is_source("core/src/lib.rs") && !is_source("data/hostile.jsonl"));
}
