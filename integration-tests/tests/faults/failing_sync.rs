//! A sync fails: from then on nothing is acknowledged on that handle, because nobody knows what is on the disk. A sync
//! that is tried again may succeed without having written anything.

use craftx_integration_tests::faults::{Dice, Medium, Told, open, system};

use crate::ledger::{Ledger, Sums};
use crate::size::{Trial, times};
use crate::tools::has_strace;
use crate::worker::{Worker, run};

/// More batches than there are syncs before the failure.
const BATCHES: u64 = 24;

/// One worker, any sync of which fails, once. Returns whether it did.
fn fail_one(medium: Medium, seed: u64, options: &[&str], sums: &mut Sums) -> Result<bool, String> {
    // The first syncs create the store; half of the workers begin on one that is there.
    let mut dice = Dice::new(seed);
    let (is_new, number) = (dice.once_in(2), 1 + dice.below(BATCHES - 4));
    let error = if dice.once_in(3) { "ENOSPC" } else { "EIO" };
    fail_nth(medium, seed, is_new, number, error, options, sums)
}

/// One worker whose N-th sync fails, once. Returns whether it did.
fn fail_nth(
    medium: Medium,
    seed: u64,
    is_new: bool,
    number: u64,
    error: &str,
    options: &[&str],
    sums: &mut Sums,
) -> Result<bool, String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().with_extension("log");
    let url = medium.url(folder.path(), "");
    if !is_new {
        futures_executor::block_on(open(&url).unwrap().close(&system("default"))).unwrap();
    }
    let mut words: Vec<String> =
        ["strace", "-E", "BLOCKING_MAX_THREADS=1", "-f", "-y", "-qq"].map(str::to_owned).into();
    words.extend(["-o".to_owned(), log.display().to_string(), "-e".to_owned()]);
    words.push(format!("inject=fsync,fdatasync:error={error}:when={number}"));
    words.extend(["-e".to_owned(), "trace=fsync,fdatasync,write".to_owned()]);
    words.extend(run(&url, seed, 0, BATCHES, options));
    let mut ledger = Ledger::new(seed);
    let (told, status) = Worker::start(&words).finish();
    told.iter().for_each(|told| ledger.heard(told));
    let calls = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    if !status.success() || told.last() != Some(&Told::End) {
        return Err(format!("the worker ended with {status}"));
    }
    // SQLite takes no notice if it cannot sync the folder of its log; see the test of power loss that is about this.
    let is_hidden = |line: &&str| medium == Medium::Sqlite && line.contains(&format!("{}>)", folder.path().display()));
    let failed = |line: &&str| line.contains("(INJECTED)") && !is_hidden(line);
    let fired = calls.lines().any(|line| failed(&line));
    if fired {
        let after = calls.lines().skip_while(|line| !failed(line));
        let acknowledged = after.filter(|line| line.contains("\"acknowledged ")).count();
        if acknowledged > 0 {
            return Err(format!("{acknowledged} batches were acknowledged after a sync had failed"));
        }
        sums.add("failed syncs", 1);
    }
    let store = open(&url).map_err(|error| format!("unreadable: {error}"))?;
    ledger.check(&*store)?;
    ledger.write_again(&store)?;
    futures_executor::block_on(store.close(&system("default"))).map_err(|error| error.to_string())?;
    sums.add_ledger(&ledger);
    Ok(fired)
}

fn nothing_is_acknowledged_afterwards(medium: Medium) {
    if !has_strace("a sync that fails") {
        return;
    }
    let trial = Trial::new(format!("failing sync, {medium}"));
    let mut sums = Sums::default();
    let enough = times(100, 1_000);
    for number in 0..enough * 2 {
        let seed = Dice::of(trial.seed, number).next();
        if let Err(wrong) = fail_one(medium, seed, &["compact=6"], &mut sums) {
            trial.fail(format_args!("worker {number}"), wrong);
        }
        if sums.get("failed syncs") == enough {
            break;
        }
    }
    trial.told(&sums);
    assert_eq!(sums.get("failed syncs"), enough, "the faults do not come to pass: {sums}");
    assert!(sums.get("acknowledged") >= enough, "{sums}");
}

#[test]
fn json_acknowledges_nothing_after_a_failed_sync() {
    nothing_is_acknowledged_afterwards(Medium::Json);
}

#[test]
fn sqlite_acknowledges_nothing_after_a_failed_sync() {
    nothing_is_acknowledged_afterwards(Medium::Sqlite);
}

/// A sync fails while SQLite switches its log on, after it has said that the log is on.
#[test]
fn a_sync_that_fails_while_a_store_is_created_is_told() {
    if !has_strace("a sync that fails") {
        return;
    }
    for medium in Medium::ALL {
        let trial = Trial::new(format!("failing sync while a store is created, {medium}"));
        let mut sums = Sums::default();
        for number in 1..=14 {
            if let Err(wrong) = fail_nth(medium, trial.seed, true, number, "EIO", &[], &mut sums) {
                trial.fail(format_args!("sync {number}"), wrong);
            }
        }
        trial.told(&sums);
        assert!(sums.get("failed syncs") >= 10);
    }
}

#[test]
fn a_store_that_forgets_a_failed_sync_is_found_out() {
    if !has_strace("a sync that fails") {
        return;
    }
    for medium in Medium::ALL {
        let trial = Trial::new(format!("failing sync, {medium}, ForgetsFailures"));
        let found = (0..20).filter(|number| {
            let seed = Dice::of(trial.seed, *number).next();
            let wrong = fail_one(medium, seed, &["bug=ForgetsFailures"], &mut Sums::default()).err();
            wrong.is_some_and(|wrong| wrong.contains("acknowledged after a sync"))
        });
        // No more are tried than it takes.
        let found = found.take(5).count();
        trial.told(format_args!("{found} stores with this bug were found out"));
        assert_eq!(found, 5, "of 20 stores with this bug");
    }
}
