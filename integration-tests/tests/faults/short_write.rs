//! A write that the operating system cuts short at any byte, and then refuses: what a limit of the size of files does.
//!
//! `strace` can only claim that fewer bytes were written; here some of them really are.

use craftx_integration_tests::faults::{Dice, Medium, Told, open, system};

use crate::ledger::{Ledger, Sums};
use crate::size::{Trial, times};
use crate::tools::has;
use crate::worker::{Worker, run, was_killed};

const BATCHES: u64 = 24;
/// About as many bytes as the largest file of such a worker has.
fn largest(medium: Medium) -> u64 {
    match medium {
        Medium::Json => 16_000,
        Medium::Sqlite => 260_000,
    }
}

/// One worker whose files cannot grow beyond so many bytes. Returns whether a write was refused.
fn limit_one(medium: Medium, seed: u64, bytes: u64, sums: &mut Sums) -> Result<bool, String> {
    let folder = tempfile::tempdir().unwrap();
    let url = medium.url(folder.path(), "");
    // The signal would end the process; without it the call returns what it has written, and then an error.
    let script = "trap '' XFSZ; exec prlimit \"$@\"";
    let mut words = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    words.push(format!("--fsize={bytes}"));
    words.extend(run(&url, seed, 0, BATCHES, &["compact=6", "reopen=10"]));
    let mut ledger = Ledger::new(seed);
    let (told, status) = Worker::start(&words).finish();
    told.iter().for_each(|told| ledger.heard(told));
    if was_killed(status)? || told.last() != Some(&Told::End) {
        return Err("the worker did not come to its end".to_owned());
    }
    let mut refused = false;
    for told in &told {
        if let Told::Failed { kind, .. } | Told::Else(_, kind) = told {
            refused = true;
            sums.add("typed errors", 1);
            if !["unavailable", "storage_full"].contains(&kind.as_str()) {
                return Err(format!("a file that cannot grow is `{kind}`: {told}"));
            }
        }
    }
    let store = open(&url).map_err(|error| format!("unreadable: {error}"))?;
    ledger.check(&*store)?;
    ledger.write_again(&store)?;
    futures_executor::block_on(store.close(&system("default"))).map_err(|error| error.to_string())?;
    sums.add_ledger(&ledger);
    Ok(refused)
}

fn is_survived(medium: Medium) {
    if !has("a short write", &["prlimit", "--fsize=1000000", "true"]) {
        return;
    }
    let trial = Trial::new(format!("short write, {medium}"));
    let (mut sums, mut dice, enough) = (Sums::default(), Dice::new(trial.seed), times(40, 1_000));
    for number in 0..enough * 4 {
        // More of the smaller sizes, at which more is still to come.
        let bytes = dice.below(largest(medium)).min(dice.below(largest(medium)));
        match limit_one(medium, Dice::of(trial.seed, number).next(), bytes, &mut sums) {
            Ok(true) => sums.add("workers with short writes", 1),
            Ok(false) => sums.add("workers that needed less", 1),
            Err(wrong) => trial.fail(format_args!("worker {number}, {bytes} bytes"), wrong),
        }
        if sums.get("workers with short writes") == enough {
            break;
        }
    }
    trial.told(&sums);
    assert_eq!(sums.get("workers with short writes"), enough, "{sums}");
    assert!(sums.get("acknowledged") > 0, "{sums}");
}

#[test]
fn json_survives_short_writes() {
    is_survived(Medium::Json);
}

#[test]
fn sqlite_survives_short_writes() {
    is_survived(Medium::Sqlite);
}
