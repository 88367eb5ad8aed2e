//! Which member may depend on which.

use crate::assert_none;
use crate::workspace::{Dependency, Member, WORKSPACE, member};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Facade,
    Core,
    Backend,
    Middleware,
    Conformance,
    Cli,
    Plugin,
    Tests,
    Benches,
    Tasks,
}

/// The part of the house that a folder is.
fn part(folder: &str) -> Option<Part> {
    match folder.split('/').collect::<Vec<_>>()[..] {
        [""] => Some(Part::Facade),
        ["core"] => Some(Part::Core),
        ["backends", _] => Some(Part::Backend),
        ["middleware", _] => Some(Part::Middleware),
        ["integration-tests", "conformance"] => Some(Part::Conformance),
        ["cli"] => Some(Part::Cli),
        ["examples", _] => Some(Part::Plugin),
        ["integration-tests"] => Some(Part::Tests),
        ["benches"] => Some(Part::Benches),
        ["xtask"] => Some(Part::Tasks),
        _ => None,
    }
}

/// Whether what is built of `from` may use `to`.
fn allowed(from: Part, to: Part) -> bool {
    match from {
        Part::Core => false,
        Part::Backend | Part::Middleware | Part::Conformance | Part::Plugin => to == Part::Core,
        Part::Facade => matches!(to, Part::Core | Part::Backend | Part::Middleware),
        Part::Cli | Part::Tasks => to == Part::Facade,
        Part::Tests => !matches!(to, Part::Tasks | Part::Tests | Part::Benches),
        // They measure what applications hold; the servers that it is measured on are started by the tests' harness.
        Part::Benches => matches!(to, Part::Facade | Part::Tests),
    }
}

/// Whether the tests of `from` may use `to` besides: the kit is made for it. Core cannot be tested by what is built on
/// it: the kit would then link a second core.
fn allowed_in_tests(from: Part, to: Part) -> bool {
    to == Part::Conformance && from != Part::Core
}

/// The one arrow between two layers: a failover judges its legs by the same breaker as the layer does (ADR 0010).
const BETWEEN_LAYERS: (&str, &str) = ("craftx-failover", "craftx-retry");

fn violations(members: &[Member]) -> Vec<String> {
    let mut violations = Vec::new();
    for member in members {
        let Some(from) = part(&member.folder) else {
            violations.push(format!("`{}` lies in `{}`, which is no room of this house", member.name, member.folder));
            continue;
        };
        for dependency in &member.dependencies {
            let Some(target) = members.iter().find(|target| target.name == dependency.name) else { continue };
            let Some(to) = part(&target.folder) else { continue };
            let fine = allowed(from, to)
                || (dependency.dev && allowed_in_tests(from, to))
                || (member.name.as_str(), target.name.as_str()) == BETWEEN_LAYERS;
            if !fine {
                violations.push(format!("`{}` ({from:?}) must not depend on `{}` ({to:?})", member.name, target.name));
            }
        }
    }
    violations
}

#[test]
fn the_arrows_hold() {
    assert_none(&violations(&WORKSPACE.members));
}

#[test]
fn wrong_arrows_are_found() {
    let members = [
        member("craftx", ""),
        member("craftx-core", "core"),
        member("craftx-json", "backends/json"),
        member("craftx-sqlite", "backends/sqlite"),
        member("craftx-encrypt", "middleware/encrypt"),
        member("craftx-conformance", "integration-tests/conformance"),
        member("plugin", "examples/plugin"),
        member("craftx-failover", "middleware/failover"),
        member("craftx-retry", "middleware/retry"),
        member("craftx-benches", "benches"),
        member("craftx-integration-tests", "integration-tests"),
    ];
    let found = |from: usize, to: &str, dev: bool| {
        let mut members = members.clone();
        members[from].dependencies.push(Dependency { name: to.to_owned(), dev });
        violations(&members).len()
    };
    for (from, to) in [
        (0, "craftx-conformance"),
        (1, "craftx-json"),
        (2, "craftx"),
        (2, "craftx-sqlite"),
        (2, "craftx-encrypt"),
        (2, "craftx-conformance"),
        (4, "craftx-json"),
        (5, "craftx-json"),
        (6, "craftx"),
        (4, "craftx-retry"),
        (8, "craftx-failover"),
        (9, "craftx-sqlite"),
        (10, "craftx-benches"),
    ] {
        assert_eq!(found(from, to, false), 1, "{from} → {to}");
    }
    assert_eq!(found(2, "craftx-sqlite", true), 1, "not even in tests");
    assert_eq!(found(2, "craftx-conformance", true), 0, "the kit is made for tests");
    assert_eq!(found(2, "craftx-core", false), 0);
    assert_eq!(found(7, "craftx-retry", false), 0, "the one arrow between two layers");
    assert_eq!(found(9, "craftx-integration-tests", true), 0, "the servers that are measured; neither is published");
    assert_eq!(violations(&[member("craftx-other", "elsewhere")]).len(), 1);
}
