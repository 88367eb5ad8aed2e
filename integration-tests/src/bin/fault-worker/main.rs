//! Works on a store and tells what it does, until it is done or killed. Started by the fault tests.

mod dropped;
mod fill;
mod migrate;
mod mixed;
mod run;

use std::io::Write;
use std::process::ExitCode;

use craftx_integration_tests::faults::Told;

pub(crate) const USAGE: &str = "usage:
  fault-worker run URL SEED FROM COUNT [step=N] [compact=N] [reopen=N] [bug=NAME]
  fault-worker fill URL SEED FOLDER CYCLES
  fault-worker drop URL SEED COUNT [bug=NAME]
  fault-worker migrate FROM TO JOURNAL [bug=NAME]
  fault-worker mixed URL SEED WHO HISTORY SECONDS [bug=NAME]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((task, rest)) if task == "run" => run::Run::parse(rest).and_then(|run| run.work()),
        Some((task, rest)) if task == "fill" => fill::fill(rest),
        Some((task, rest)) if task == "drop" => dropped::drop_futures(rest),
        Some((task, rest)) if task == "migrate" => migrate::migrate(rest),
        Some((task, rest)) if task == "mixed" => mixed::mixed(rest),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Tells the test, with one call to the operating system, so that a line is there whole or not at all.
///
/// # Errors
/// If nobody listens any more.
pub(crate) fn tell(told: &Told) -> Result<(), String> {
    let line = format!("{told}\n");
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes()).and_then(|()| output.flush()).map_err(|error| error.to_string())
}
