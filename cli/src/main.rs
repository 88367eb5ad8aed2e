//! The `craftx` command. Data goes to stdout, talk to stderr; the exit code says what happened.

mod append;
mod args;
mod exit;
mod export;
mod import;
mod list;
mod output;
mod rm;
mod search;
mod show;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::{Exit, Failure};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(format_args!("cannot start: {error}"));
            return Exit::Other.into();
        }
    };
    match runtime.block_on(run(args)) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}

async fn run(args: Args) -> Result<Exit, Failure> {
    let Args { global, command } = args;
    match command {
        Command::Append(append) => append::run(&global, append).await,
        Command::Show(show) => show::run(&global, show).await,
        Command::List(list) => list::run(&global, list).await,
        Command::Search(search) => search::run(&global, search).await,
        Command::Rm(rm) => rm::run(&global, rm).await,
        Command::Import(import) => import::run(&global, import).await,
        Command::Export(export) => export::run(&global, export).await,
    }
}
