//! Everything that can go wrong, many times over, and the same way again for the same seed.
//!
//! `CRAFTX_SIM_SEED=n` repeats one run, `CRAFTX_FAULTS=long` makes 100,000.

mod client;
mod clock;
mod ledger;
mod leg;
mod world;

use crate::bug::Bug;
use world::{Report, run};

/// How many seeds are tried.
fn seeds() -> std::ops::Range<u64> {
    if let Ok(seed) = std::env::var("CRAFTX_SIM_SEED") {
        let seed = seed.parse().expect("`CRAFTX_SIM_SEED` is a number");
        return seed..seed + 1;
    }
    match std::env::var("CRAFTX_FAULTS").as_deref() {
        Ok("long") => 0..100_000,
        _ => 0..2_000,
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_whatever_fails() {
    let mut sum = Report::default();
    for seed in seeds() {
        let report = run(seed, None).unwrap_or_else(|wrong| {
            panic!("seed {seed}: {wrong}\n  try again: CRAFTX_SIM_SEED={seed} cargo test -p craftx-failover simulation")
        });
        sum.acknowledged += report.acknowledged;
        sum.reads += report.reads;
        sum.faults += report.faults;
        sum.crashes += report.crashes;
        sum.closed += report.closed;
        sum.replaced += report.replaced;
    }
    println!("{sum:?}");
    if seeds().count() > 1 {
        // A run in which nothing happens proves nothing.
        let runs = seeds().count() as u64;
        assert!(sum.acknowledged > 10 * runs && sum.reads > 2 * runs && sum.faults > 20 * runs, "{sum:?}");
        assert!(sum.crashes > runs && sum.replaced > runs / 10, "{sum:?}");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..20 {
        assert_eq!(run(seed, None), run(seed, None), "seed {seed}");
    }
}

/// How many seeds it may take to find a bug.
const PATIENCE: u64 = 2_000;

macro_rules! finds {
    ($($name:ident: $bug:ident,)*) => {$(
        #[test]
        fn $name() {
            let found = (0..PATIENCE).find_map(|seed| Some((seed, run(seed, Some(Bug::$bug)).err()?)));
            let (seed, wrong) = found.expect("the bug was not found");
            println!("{:?} was found with seed {seed}: {wrong}", Bug::$bug);
        }
    )*};
}

finds! {
    finds_marks_that_come_late: MarksLate,
    finds_marks_that_are_never_made: NeverMarks,
    finds_time_outs_that_are_forgotten: ForgetsTimeouts,
    finds_healing_in_one_direction: HealsOneWay,
    finds_deletions_that_are_not_copied: DropsTombstones,
    finds_stamps_that_are_minted_again: MintsAgain,
    finds_a_leg_that_answers_though_it_lacks_something: ReadsDirty,
    finds_marks_that_go_too_soon: ClearsTooMuch,
    finds_trust_in_a_secondary_that_has_nothing: TrustsNothing,
    finds_marks_of_an_earlier_life_that_are_not_read: IgnoresOldMarks,
    finds_a_leg_that_was_replaced_unnoticed: IgnoresIdentity,
    finds_a_secondary_that_takes_what_the_primary_refuses: WritesAtOnce,
    finds_writes_that_are_acknowledged_without_an_answer: AcknowledgesUnknown,
}
