//! The `craftx` command. Data goes to stdout, talk to stderr; the exit code says what happened.

mod access;
mod append;
mod args;
mod ask;
mod backup;
mod completions;
mod config;
mod doctor;
mod exit;
mod export;
mod global;
mod heal;
mod import;
mod interrupt;
mod keys;
mod legs;
mod list;
mod man;
mod migrate;
mod output;
mod profiles;
mod progress;
mod resolve;
mod rm;
mod schema;
mod search;
mod show;
mod stats;
mod status;
mod stdin;
mod taken;

use std::pin::pin;
use std::process::ExitCode;

use clap::Parser;
use futures_util::future::{Either, select};

use args::{Args, Command};
use exit::{Exit, Failure};
use global::Global;
use interrupt::Interrupt;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    if args.global.json {
        output::speak_json();
    }
    let started = Interrupt::listen().and_then(|interrupt| {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok((interrupt, runtime))
    });
    let (interrupt, runtime) = match started {
        Ok(started) => started,
        Err(error) => return Failure::file("cannot start", error).report().into(),
    };
    let exit = runtime.block_on(async {
        match interruptible(args, interrupt).await {
            Ok(exit) => exit,
            Err(failure) => failure.report(),
        }
    });
    exit.into()
}

/// Runs a command; if somebody interrupts, gives it up and closes what it opened.
async fn interruptible(args: Args, mut interrupt: Interrupt) -> Result<Exit, Failure> {
    let Args { global, command } = args;
    {
        let running = pin!(run(&global, command));
        let pressed = pin!(interrupt.pressed());
        if let Either::Left((result, _)) = select(running, pressed).await {
            return result;
        }
    }
    for storage in global.opened() {
        // What was acknowledged is stored, whether closing succeeds or not.
        let _ = storage.with_timeout(Some(interrupt::CLOSES / 2)).close().await;
    }
    Err(Failure::Interrupted)
}

async fn run(global: &Global, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Append(append) => append::run(global, append).await,
        Command::Show(show) => show::run(global, show).await,
        Command::List(list) => list::run(global, list).await,
        Command::Search(search) => search::run(global, search).await,
        Command::Rm(rm) => rm::run(global, rm).await,
        Command::Import(import) => import::run(global, import).await,
        Command::Export(export) => export::run(global, export).await,
        Command::Backup(backup) => backup::run(global, backup).await,
        Command::Restore(restore) => backup::restore(global, restore).await,
        Command::Migrate(migrate) => migrate::run(global, migrate).await,
        Command::Stats(stats) => stats::run(global, stats).await,
        Command::Status => status::run(global).await,
        Command::Doctor => doctor::run(global).await,
        Command::Heal => heal::run(global).await,
        Command::Schema(schema) => schema::run(global, schema).await,
        Command::Access(access) => access::run(global, access).await,
        Command::Keys(keys) => keys::run(global, keys).await,
        Command::Config(configuration) => config::run(global, configuration),
        Command::Profiles => profiles::run(global),
        Command::Completions(completions) => completions::run(global, completions),
        Command::Man(man) => man::run(global, man),
    }
}
