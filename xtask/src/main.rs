//! The tasks of a developer of craftx: `cargo xtask test`, `cargo xtask lint`, `cargo xtask doc`, `cargo xtask package`.
//!
//! `.ci/run` runs the first three, so what is green here is green there.

mod doc;
mod lint;
mod metadata;
mod package;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

use metadata::Workspace;

const USAGE: &str = "usage: cargo xtask COMMAND

commands:
  test     run every test: unit, integration, conformance, property, command line, doctests, examples, compatibility
  lint     check the formatting, then clippy with all features, with none, and with each alone, then what is published
  doc      build the documentation; a warning is an error
  package  build every published package as its users get it, and upload nothing; minutes, for before a release";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let command: fn(&Workspace) -> ExitCode = match arguments.as_slice() {
        ["test"] => test::run,
        ["lint"] => |workspace| told(lint::run(workspace)),
        ["doc"] => |workspace| told(doc::run(workspace)),
        ["package"] => |workspace| told(package::run(workspace)),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match Workspace::load() {
        Ok(workspace) => command(&workspace),
        Err(error) => told(Err(error)),
    }
}

/// Says what failed, if anything.
fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}
