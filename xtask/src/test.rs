//! `cargo xtask test`

use std::path::Path;

use crate::metadata::{Example, Workspace};
use crate::run::Cargo;

/// Runs every test, then every example, then the compatibility packages. Stops after the first step that fails; the
/// last line says how many tests passed and failed.
pub(crate) fn run(workspace: &Workspace) -> Result<(), String> {
    let mut count = Count::default();
    let result = all(workspace, &mut count);
    if let Err(error) = &result {
        eprintln!("\nxtask: {error}");
        // A test program that could not be built, or crashed, printed no result.
        count.failed = count.failed.max(1);
    }
    println!("\n{} passed, {} failed", count.passed, count.failed);
    result.map_err(|_| "the tests failed".to_owned())
}

fn all(workspace: &Workspace, count: &mut Count) -> Result<(), String> {
    let tests = Cargo::new(&workspace.root).args("test --workspace --all-features --no-fail-fast");
    tests.run_watched(|line| count.add(line))?;
    for example in workspace.packages.iter().flat_map(|package| &package.examples) {
        Cargo::new(&workspace.root).args(&command_of(example)).run()?;
        count.passed += 1;
    }
    for package in workspace.compat_packages()? {
        compat(&workspace.target, &package).run_watched(|line| count.add(line))?;
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
fn compat(target: &Path, package: &Path) -> Cargo {
    Cargo::new(package).args("test --target-dir").arg(&target.to_string_lossy())
}

/// How many tests passed and failed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    /// Adds up lines such as `test result: ok. 4 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
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
        let mut count = Count::default();
        count.add("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        count.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s");
        count.add("a test that prints 7 passed; 7 failed; is not counted");
        assert_eq!(count, Count { passed: 6, failed: 3 });
    }

    #[test]
    fn an_example_is_run_as_the_readme_says() {
        let mut example = Example { name: "storage_demo".to_owned(), required_features: Vec::new() };
        assert_eq!(command_of(&example), "run --quiet --example storage_demo");
        example.required_features = vec!["json".to_owned(), "sqlite".to_owned()];
        assert_eq!(command_of(&example), "run --quiet --example storage_demo --features json,sqlite");
    }
}
