//! `docs/cli.md` is what the command does: every command stands there, every example runs, and every JSON object has
//! the shape that is shown.
#![cfg(all(feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::{Place, Run};
use serde_json::Value;

/// Members whose values differ from run to run.
const VARYING: [&str; 19] = [
    "id",
    "journal",
    "at",
    "remains",
    "version",
    "updated",
    "store",
    "name",
    "score",
    "script",
    "text",
    "bytes",
    "store_bytes",
    "erased_bytes",
    "position",
    "digest",
    "time",
    "base",
    "archive_bytes",
];

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap()
}

/// The sections of the commands: the words after `craftx`, and the text.
fn sections(page: &str) -> Vec<(String, &str)> {
    let commands = page.split("\n## Commands\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let sections = commands.split("\n### craftx ").skip(1);
    sections.map(|section| (section.lines().next().unwrap().to_owned(), section)).collect()
}

/// The blocks of code of a kind.
fn blocks<'t>(text: &'t str, kind: &str) -> Vec<&'t str> {
    let opening = format!("```{kind}\n");
    text.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The words of a line of shell, quotes removed.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for char in line.chars() {
        match (char, quote) {
            ('"' | '\'', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            (' ', None) => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (char, _) => word.push(char),
        }
    }
    words.push(word);
    words
}

/// The commands below `path`, from the help itself.
fn commands(place: &Place, path: &[&str]) -> BTreeSet<String> {
    let help = place.run_plain(&[path, &["--help"]].concat());
    let Some(listed) = help.out.split("\nCommands:\n").nth(1) else { return BTreeSet::from([path.join(" ")]) };
    let names = listed.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).and_then(|line| line.split(' ').next())
    });
    let below = names.filter(|name| *name != "help").flat_map(|name| commands(place, &[path, &[name]].concat()));
    // A command that takes words of its own runs without one below it.
    let itself = help.out.contains("\nArguments:\n").then(|| path.join(" "));
    itself.into_iter().chain(below).collect()
}

/// Whether both have the same members in the same order and, but for what varies, the same values.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            found.keys().eq(wanted.keys())
                && found.iter().zip(wanted).all(|((key, found), (_, wanted))| {
                    let varies = VARYING.contains(&key.as_str()) && !found.is_null() && !wanted.is_null();
                    same(found, wanted) || varies && std::mem::discriminant(found) == std::mem::discriminant(wanted)
                })
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| same(found, wanted))
        }
        _ => found == wanted,
    }
}

#[test]
fn every_command_is_documented_and_nothing_else_is() {
    let page = page();
    let documented: BTreeSet<String> = sections(&page).into_iter().map(|(name, _)| name).collect();
    let real = commands(&Place::new("json:x"), &[]);
    assert!(real.len() > 15, "{real:?}");
    assert_eq!(documented, real);
}

#[test]
fn every_example_runs_and_prints_what_is_shown() {
    let page = page();
    let place = Place::new("");
    place.write("craftx.toml", blocks(&page, "toml")[0]);
    place.write("guarded.toml", blocks(&page, "toml")[1]);
    place.write("sealed.toml", blocks(&page, "toml")[2]);
    place.write("conversations.jsonl", blocks(&page, "jsonl")[0]);
    for (name, section) in sections(&page) {
        let examples: Vec<&str> = blocks(section, "sh").into_iter().flat_map(str::lines).collect();
        let first: Vec<&str> = blocks(section, "sh")[0].lines().collect();
        assert!(first.iter().all(|line| line.starts_with(&format!("craftx {}", name))), "{name}");
        assert!(first.last().unwrap().ends_with(" --json"), "{name} shows no JSON");
        let mut shown = blocks(section, "json")[0].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        for line in examples {
            let words = words(line.strip_prefix("craftx ").unwrap());
            let Run { code, out, err, .. } = place.run_plain(&words.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(code, 0, "{line}: {err}");
            if line.ends_with(" --json") {
                for found in out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
                    let wanted = shown.next().unwrap_or_default();
                    assert!(same(&found, &wanted), "{line}\n found {found}\nwanted {wanted}");
                    assert_eq!(found["v"], 1, "{line}");
                }
                assert!(err.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{err}");
            }
        }
        assert_eq!(shown.next(), None, "{name} shows more than is printed");
    }
}
