//! That what the threat model says is shown: every test that it names is there, and every row names one or says that none can
//! show it.

use super::{page, prose};
use crate::assert_none;
use crate::workspace::{Member, WORKSPACE, root};

const PAGE: &str = "docs/threat-model.md";
/// Where the checks of the kit are, which are no tests by themselves.
const KIT: &str = "integration-tests/conformance/src/checks/";

/// The tests that a text names, as `PATH::NAME`.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| {
        let (path, name) = code.rsplit_once("::")?;
        path.ends_with(".rs").then_some((path, name))
    })
}

/// Whether a source has a test of this name, or a check of the kit.
fn shows(source: &str, name: &str, is_kit: bool) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let (plain, asynchronous) = (format!("fn {name}("), format!("async fn {name}("));
    let begins = |line: &str| line.starts_with(&plain) || line.starts_with(&asynchronous);
    let Some(at) = lines.iter().position(|line| begins(line)) else { return false };
    let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let is_test = attributes.into_iter().any(|line| ["#[test]", "#[tokio::test]"].contains(line));
    // A check that is in no table is never run.
    let listed = format!("{name} [");
    let is_listed = lines.iter().any(|line| line.starts_with(&listed));
    is_test || is_kit && is_listed
}

fn violations(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut violations = Vec::new();
    for (path, name) in named(text) {
        match read(path) {
            None => violations.push(format!("there is no `{path}`")),
            Some(source) if !shows(&source, name, path.starts_with(KIT)) => {
                violations.push(format!("`{path}` has no test `{name}`"));
            }
            Some(_) => {}
        }
    }
    let mut tells = false;
    for line in prose(text) {
        tells = line.starts_with('|') && (tells || line.ends_with("| shown by |"));
        let is_row = tells && line.starts_with("| ") && !line.ends_with("| shown by |");
        if is_row && !line.ends_with("| – |") && named(line).next().is_none() {
            violations.push(format!("no test shows this: {line}"));
        }
    }
    violations
}

#[test]
fn every_test_of_the_threat_model_is_there() {
    let text = page(PAGE).text;
    assert!(named(&text).count() > 60, "{}", named(&text).count());
    assert_none(&violations(&text, |path| std::fs::read_to_string(root().join(path)).ok()));
}

/// Packages that would write to a log wherever the application has one.
fn loggers(member: &Member) -> Vec<String> {
    let used = member.dependencies.iter().filter(|dependency| !dependency.dev);
    let loggers = used.filter(|dependency| ["log", "tracing"].contains(&dependency.name.as_str()));
    loggers.map(|logger| format!("`{}` uses `{}`: say in {PAGE} what it writes", member.name, logger.name)).collect()
}

#[test]
fn no_published_package_writes_logs() {
    let published = WORKSPACE.members.iter().filter(|member| member.published);
    assert_none(&published.flat_map(loggers).collect::<Vec<_>>());
    let mut chatty = crate::workspace::member("craftx-x", "x");
    let tracing = |dev| crate::workspace::Dependency { name: "tracing".to_owned(), dev };
    chatty.dependencies = vec![tracing(false), tracing(true)];
    assert_eq!(loggers(&chatty).len(), 1);
}

#[test]
fn a_test_that_is_not_there_and_a_row_without_one_are_found() {
    let read = |path: &str| {
        match path {
        "a.rs" => Some("#[test]\n// Because.\nfn a() {}\nfn helper() {}\n#[tokio::test]\nasync fn b() {}\n".to_owned()),
        "integration-tests/conformance/src/checks/k.rs" => {
            Some("checks! {\n    listed [] => \"x\";\n}\nasync fn listed(bench: Bench) {}\nasync fn forgotten(b: Bench) {}\n".to_owned())
        }
        _ => None,
    }
    };
    let found = |text: &str| violations(text, read).len();
    assert_eq!(found("`a.rs::a` `a.rs::b` `integration-tests/conformance/src/checks/k.rs::listed` `craftx::x`"), 0);
    assert_eq!(
        found("`a.rs::c` `b.rs::a` `a.rs::helper` `integration-tests/conformance/src/checks/k.rs::forgotten`"),
        4
    );
    let table = "| x | shown by |\n|---|---|\n";
    assert_eq!(found(&format!("{table}| x | `a.rs::a` |\n| x | – |\n")), 0);
    assert_eq!(found(&format!("{table}| x | yes |\n")), 1);
}
