//! `kill -9` at any moment: nothing acknowledged is lost or doubled, everything can be read, batches are whole.

use std::path::Path;
use std::time::Duration;

use craftx_integration_tests::faults::{Dice, Medium, open};

use crate::ledger::{Ledger, Sums};
use crate::size::{Trial, times};
use crate::worker::{Worker, run, was_killed};

/// So many times a worker is killed on one store before a new one is begun.
const A_STORE: u64 = 20;
/// More batches than any worker lives to write.
const FOREVER: u64 = 1_000_000;

/// Starts a worker, lets it get somewhere, and kills it. Returns the number of the next batch.
fn live_and_die(ledger: &mut Ledger, dice: &mut Dice, url: &str, from: u64, options: &[&str]) -> Result<u64, String> {
    let mut worker = Worker::start(&run(url, ledger.work.seed, from, FOREVER, options));
    let mut next = from;
    // Some die before they have opened the store, most at a random time after some lines.
    let lines = if dice.once_in(6) { 0 } else { 1 + dice.below(30) };
    let mut hear = |ledger: &mut Ledger, told| {
        if let craftx_integration_tests::faults::Told::Trying(batch) = told {
            next = batch + 1;
        }
        ledger.heard(&told);
    };
    for _ in 0..lines {
        hear(ledger, worker.next().ok_or("the worker ended by itself")?);
    }
    std::thread::sleep(Duration::from_micros(dice.below(if lines == 0 { 30_000 } else { 3_000 })));
    worker.kill();
    let (rest, status) = worker.finish();
    rest.into_iter().for_each(|told| hear(ledger, told));
    ledger.gone();
    if was_killed(status)? { Ok(next) } else { Err("the worker ended before it was killed".to_owned()) }
}

/// Kills so many workers on a new store, and checks it each time.
fn on_one_store(medium: Medium, seed: u64, cycles: u64, options: &[&str], sums: &mut Sums) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let url = medium.url(folder.path(), "");
    let (mut ledger, mut dice) = (Ledger::new(seed), Dice::new(seed));
    let mut next = 0;
    for cycle in 0..cycles {
        let told = |wrong| format!("kill {cycle}: {wrong}");
        next = live_and_die(&mut ledger, &mut dice, &url, next, options).map_err(told)?;
        sums.add("kills", 1);
        sums.add("torn files", torn(&medium.path(folder.path())));
        let store = open(&url).map_err(|error| told(format!("unreadable: {error}")))?;
        ledger.check(&*store).map_err(told)?;
        if cycle + 1 == cycles {
            ledger.write_again(&store).map_err(told)?;
        }
        futures_executor::block_on(store.close(&craftx_integration_tests::faults::system("default"))).unwrap();
    }
    sums.add_ledger(&ledger);
    Ok(())
}

/// How many session files do not end in a line feed: cut by the kill. SQLite's log tells nothing so simple.
fn torn(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let logs = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    logs.filter(|log| std::fs::read(log).unwrap().last().is_some_and(|last| *last != b'\n')).count() as u64
}

fn survives(medium: Medium) {
    let trial = Trial::new(format!("kill -9, {medium}"));
    let mut sums = Sums::default();
    for number in 0..times(300, 10_000) / A_STORE {
        let seed = Dice::of(trial.seed, number).next();
        if let Err(wrong) = on_one_store(medium, seed, A_STORE, &["compact=16", "reopen=25"], &mut sums) {
            trial.fail(format_args!("store {number}"), wrong);
        }
    }
    trial.told(&sums);
    let kills = sums.get("kills");
    assert_eq!(kills, times(300, 10_000));
    assert!(sums.get("killed while writing") >= kills / 10, "the kills come at the wrong moments: {sums}");
    assert!(sums.get("acknowledged") >= kills, "the workers do nothing: {sums}");
}

#[test]
fn json_survives_kill_nine() {
    survives(Medium::Json);
}

#[test]
fn sqlite_survives_kill_nine() {
    survives(Medium::Sqlite);
}

/// So many of eight stores with a bug have to be found out.
fn are_found_out(medium: Medium, bug: &str, enough: usize) {
    let trial = Trial::new(format!("kill -9, {medium}, {bug}"));
    let option = format!("bug={bug}");
    let found = (0..8).filter(|number| {
        let seed = Dice::of(trial.seed, *number).next();
        let wrong = on_one_store(medium, seed, A_STORE, &[&option], &mut Sums::default()).err();
        wrong.is_some_and(|wrong| wrong.contains("missing"))
    });
    // No more are tried than it takes.
    let found = found.take(enough).count();
    trial.told(format_args!("{found} stores with this bug were found out"));
    assert_eq!(found, enough, "of 8 stores with this bug");
}

#[test]
fn an_acknowledgement_before_the_commit_is_found_out() {
    for medium in Medium::ALL {
        are_found_out(medium, "EarlyAcknowledgement", 6);
    }
}

#[test]
fn a_batch_that_is_written_in_pieces_is_found_out() {
    for medium in Medium::ALL {
        are_found_out(medium, "Piecemeal", 1);
    }
}
