//! Futures that are dropped at any time: nothing is leaked, locked or half-written.

use craftx_integration_tests::faults::{Dice, Medium, Told};

use crate::ledger::Sums;
use crate::size::{Trial, times};
use crate::worker::{PROGRAM, Worker};

/// How many futures are dropped on one store.
const A_STORE: u64 = 10_000;

fn drop_on_one_store(medium: Medium, seed: u64, count: u64, bug: Option<&str>, sums: &mut Sums) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let url = medium.url(folder.path(), "durability=process-crash");
    let mut words = vec![PROGRAM.to_owned(), "drop".to_owned(), url, seed.to_string(), count.to_string()];
    words.extend(bug.map(|bug| format!("bug={bug}")));
    let (told, status) = Worker::start(&words).finish();
    if let Some(Told::Else(_, wrong)) = told.iter().find(|told| matches!(told, Told::Else(..))) {
        return Err(wrong.clone());
    }
    if !status.success() || told.last() != Some(&Told::End) {
        return Err(format!("the worker ended with {status}"));
    }
    for told in told {
        match told {
            Told::Count(name, count) if name == "open-files-left" && count > 0 => {
                return Err(format!("{count} files are open after the stores were closed"));
            }
            // Some are in use by calls that nobody waits for; more than threads would be a leak.
            Told::Count(name, count) if name == "open-files-more" && count > 64 => {
                return Err(format!("{count} files more are open than before"));
            }
            Told::Count(name, count) if name == "dropped" => sums.add("dropped", count),
            Told::Count(name, count) if name == "completed" => sums.add("completed before", count),
            Told::Count(name, count) if name == "applied" => sums.add("dropped and applied", count),
            _ => {}
        }
    }
    Ok(())
}

fn leave_nothing_behind(medium: Medium) {
    let trial = Trial::new(format!("dropped futures, {medium}"));
    let (mut sums, count) = (Sums::default(), times(20_000, 1_000_000));
    for number in 0..count / A_STORE {
        let seed = Dice::of(trial.seed, number).next();
        if let Err(wrong) = drop_on_one_store(medium, seed, A_STORE, None, &mut sums) {
            trial.fail(format_args!("store {number}"), wrong);
        }
    }
    trial.told(&sums);
    assert!(sums.get("dropped") >= count && sums.get("dropped and applied") > 0, "{sums}");
}

#[test]
fn json_is_left_as_it_was_by_dropped_futures() {
    leave_nothing_behind(Medium::Json);
}

#[test]
fn sqlite_is_left_as_it_was_by_dropped_futures() {
    leave_nothing_behind(Medium::Sqlite);
}

#[test]
fn what_dropped_futures_leave_behind_is_found_out() {
    for medium in Medium::ALL {
        for (bug, expected) in [("Piecemeal", "half-written"), ("KeepsItsLock", "locked")] {
            let trial = Trial::new(format!("dropped futures, {medium}, {bug}"));
            let wrong = drop_on_one_store(medium, trial.seed, 2_000, Some(bug), &mut Sums::default()).unwrap_err();
            trial.told(&wrong);
            assert_eq!(wrong, expected);
        }
    }
}
