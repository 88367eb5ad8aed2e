//! Everything that can go wrong, many times over, and the same way again for the same seed.
//!
//! `CRAFTX_SIM_SEED=n` repeats one run, `CRAFTX_FAULTS=long` makes 100,000.

mod client;
mod clock;
mod leg;
mod ledger;
mod world;


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
    let mut failed = Vec::new();
    for seed in seeds() {
        match run(seed, None) {
            Ok(report) => {
                sum.acknowledged += report.acknowledged;
                sum.reads += report.reads;
                sum.faults += report.faults;
                sum.crashes += report.crashes;
                sum.replaced += report.replaced;
            }
            Err(wrong) => failed.push(format!("seed {seed}: {wrong}")),
        }
        if failed.len() >= 10 {
            break;
        }
    }
    assert!(failed.is_empty(), "{}\n  try again: CRAFTX_SIM_SEED=n cargo test -p craftx-failover", failed.join("\n"));
    println!("{sum:?}");
}
