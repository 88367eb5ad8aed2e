//! `cargo xtask test`

use std::collections::BTreeSet;
use std::process::ExitCode;

use crate::metadata::{Example, Workspace};
use crate::run::Cargo;
use crate::tools;

/// Runs every test, then the examples that no test runs, then the compatibility packages. Stops after the first step that fails. The
/// last lines say what was skipped, and how many tests passed and failed.
pub(crate) fn run(workspace: &Workspace) -> ExitCode {
    let mut tally = Tally::default();
    let result = all(workspace, &mut tally);
    if result.is_err() {
        // A test program that could not be built, or crashed, printed no result.
        tally.failed = tally.failed.max(1);
    }
    let code = crate::told(result);
    println!();
    for skip in &tally.skips {
        println!("{skip}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    code
}

fn all(workspace: &Workspace, tally: &mut Tally) -> Result<(), String> {
    tools::install_missing();
    let tests = Cargo::new(&workspace.root).args("test --workspace --all-features --no-fail-fast -- --show-output");
    tests.run_watched(|line| tally.add(line))?;
    // A test of the facade runs its examples, and compares what they print.
    let others = workspace.packages.iter().filter(|package| package.name != "craftx");
    for example in others.flat_map(|package| &package.examples) {
        Cargo::new(&workspace.root).args(&command_of(example)).run()?;
        tally.passed += 1;
    }
    for manifest in workspace.compat_manifests()? {
        compat(workspace, &manifest).run_watched(|line| tally.add(line))?;
    }
    Ok(())
}

/// The same command that a reader of the README types.
fn command_of(example: &Example) -> String {
    let features = match example.required_features.as_slice() {
        [] => String::new(),
        some => format!(" --features {}", some.join(",")),
    };
    format!("run --quiet --example {}{features}", example.name)
}

/// These packages share the workspace's build folder, so that what they have in common is built once.
fn compat(workspace: &Workspace, manifest: &str) -> Cargo {
    let test = Cargo::new(&workspace.root).args("test --manifest-path").arg(manifest).arg("--target-dir");
    test.arg(&workspace.target.to_string_lossy()).args("-- --show-output")
}

/// What the test programs said of themselves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    /// What tests printed that found something missing: `skipped: …`.
    skips: BTreeSet<String>,
    among_successes: bool,
}

impl Tally {
    /// Takes in a line of a test program, and says whether it is worth showing. What tests that passed have printed is
    /// not, save what they skipped.
    fn add(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.among_successes = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.among_successes = false;
        }
        if line.starts_with("skipped: ") {
            return self.skips.insert(line.to_owned());
        }
        self.count(line);
        !self.among_successes
    }

    /// Adds up lines such as `test result: ok. 4 passed; 0 failed; 0 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some((_, result)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for part in result.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_test_programs_are_added_up() {
        let mut tally = Tally::default();
        tally.add("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s");
        tally.add("a test that prints 7 passed; 7 failed; is not counted");
        assert_eq!((tally.passed, tally.failed), (6, 3));
    }

    #[test]
    fn of_what_passed_only_skips_are_shown() {
        let mut tally = Tally::default();
        let output = "test a ... ok
successes:
---- a stdout ----
chatter
skipped: no server
skipped: no server
failures:
---- b stdout ----
the reason";
        let shown: Vec<&str> = output.lines().filter(|line| tally.add(line)).collect();
        assert_eq!(shown, ["test a ... ok", "skipped: no server", "failures:", "---- b stdout ----", "the reason"]);
        assert_eq!(tally.skips.into_iter().collect::<Vec<_>>(), ["skipped: no server"]);
    }

    #[test]
    fn an_example_is_run_as_the_readme_says() {
        let mut example = Example { name: "storage_demo".to_owned(), required_features: Vec::new() };
        assert_eq!(command_of(&example), "run --quiet --example storage_demo");
        example.required_features = vec!["json".to_owned(), "sqlite".to_owned()];
        assert_eq!(command_of(&example), "run --quiet --example storage_demo --features json,sqlite");
    }
}
