//! Loss of power: what was synced is there; of what was not, any part may be.
//!
//! `strace` records what a worker does to its files. The record is replayed into a model of a disk; after every call
//! power is lost in several other worlds, and what is left there has to be a store that holds every acknowledged batch.
//! The JSON backend does the same inside of its own tests, for each call of its file layer.

mod disk;
mod images;
mod record;

use craftx_integration_tests::faults::{Dice, Medium};

use crate::ledger::Sums;
use crate::size::{Trial, times};
use crate::tools::has_strace;
use images::{Lies, Worlds};

fn survives(medium: Medium) {
    if !has_strace("loss of power") {
        return;
    }
    let trial = Trial::new(format!("power loss, {medium}"));
    let mut sums = Sums::default();
    let enough = times(2_000, 20_000);
    for number in 0.. {
        let seed = Dice::of(trial.seed, number).next();
        let worlds = Worlds::record(medium, seed, "", &[]);
        let wrong = worlds.visit(Lies::None, enough - sums.get("images"), &mut sums);
        if let Some(wrong) = wrong.first() {
            trial.fail(format_args!("recording {number}"), wrong);
        }
        if sums.get("images") >= enough {
            break;
        }
    }
    trial.told(&sums);
    for name in ["images without the batch that was being written", "images with it"] {
        assert!(sums.get(name) * 100 > enough, "the losses are too much alike: {sums}");
    }
    assert!(sums.get("syncs") > 0 && sums.get("acknowledged") > 0, "{sums}");
}

#[test]
fn json_survives_loss_of_power() {
    survives(Medium::Json);
}

#[test]
fn sqlite_survives_loss_of_power() {
    survives(Medium::Sqlite);
}

/// SQLite takes no notice if it cannot sync the folder of its log, so the backend has done it before.
#[test]
fn sqlite_does_not_need_the_folder_syncs_whose_failure_it_hides() {
    if !has_strace("loss of power") {
        return;
    }
    let trial = Trial::new("power loss, sqlite, hidden failures");
    let mut sums = Sums::default();
    let recorded = Worlds::record_once(Medium::Sqlite, trial.seed);
    if let Some(wrong) = recorded.visit(Lies::LaterFolderSyncs, times(400, 2_000), &mut sums).first() {
        trial.fail("the only recording", wrong);
    }
    trial.told(&sums);
    assert!(sums.get("images") >= 200);
}

/// What is found out of up to 400 images of a store or a disk with something wrong; at least one in so many has to be.
/// Of the store, options of the URL and of the worker.
fn found_out(medium: Medium, name: &str, store: [&str; 2], lies: Lies, one_in: usize) -> Vec<String> {
    let [url, option] = store;
    let options: Vec<&str> = (!option.is_empty()).then_some(option).into_iter().collect();
    let trial = Trial::new(format!("power loss, {medium}, {name}"));
    let mut sums = Sums::default();
    let wrong = Worlds::record(medium, trial.seed, url, &options).visit(lies, 400, &mut sums);
    let images = sums.get("images") as usize;
    trial.told(format_args!("{} of {images} images were found out", wrong.len()));
    if images < 200 || wrong.len() * one_in < images {
        trial.fail(name, "too few were found out");
    }
    wrong
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    for medium in Medium::ALL.into_iter().filter(|_| has_strace("loss of power")) {
        found_out(medium, "no sync", ["", ""], Lies::Syncs, 10);
    }
}

#[test]
fn a_store_that_does_not_sync_its_folder_is_found_out() {
    for medium in Medium::ALL.into_iter().filter(|_| has_strace("loss of power")) {
        found_out(medium, "no sync of folders", ["", ""], Lies::FolderSyncs, 100);
    }
}

#[test]
fn an_acknowledgement_before_the_sync_is_found_out() {
    for medium in Medium::ALL.into_iter().filter(|_| has_strace("loss of power")) {
        found_out(medium, "early", ["", "bug=EarlyAcknowledgement"], Lies::None, 100);
    }
}

/// What this weaker level promises: of SQLite, that the file is intact whatever is lost of it.
#[test]
fn durability_process_crash_loses_acknowledged_writes_and_keeps_sqlite_intact() {
    for medium in Medium::ALL.into_iter().filter(|_| has_strace("loss of power")) {
        let wrong = found_out(medium, "process-crash", ["durability=process-crash", ""], Lies::None, 10);
        if medium == Medium::Sqlite {
            assert!(wrong.iter().all(|wrong| wrong.contains("is lost")), "{wrong:?}");
        }
    }
}
