//! A disk fills up, and later there is space again: reads work all the time, writes resume on the same handle, nothing
//! is lost. The disk is a small file system in memory, which ends with the process that it was made for.

use craftx_integration_tests::faults::{Dice, Medium, Told, open, system};

use crate::ledger::{Ledger, Sums};
use crate::size::{Trial, times};
use crate::tools::has;
use crate::worker::{PROGRAM, Worker};

/// The right to mount: as the superuser, or as one within a name space of its own.
fn may_mount() -> Option<&'static str> {
    let mount = "mount -t tmpfs -o size=64k tmpfs /mnt";
    let runs = |flags: &str| {
        let child = std::process::Command::new("unshare").args([flags, "sh", "-c", mount]).output();
        child.is_ok_and(|output| output.status.success())
    };
    match ["-m", "-Urm"].into_iter().find(|flags| runs(flags)) {
        None if has("a full disk", &["unshare", "-Urm", "sh", "-c", mount]) => None,
        found => found,
    }
}

/// Fills a disk of this size so many times. What is on it at the end is copied to where it can be checked.
fn fill(medium: Medium, unshare: &str, seed: u64, kib: u64, cycles: u64, sums: &mut Sums) -> Result<(), String> {
    let (disk, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let script = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && \"$3\" fill \"$4\" \"$5\" \"$2\" \"$6\" && cp -r \"$2\"/. \"$7\"";
    let words = ["unshare".to_owned(), unshare.to_owned(), "sh".into(), "-c".into(), script.into(), "sh".into()];
    let arguments = [
        format!("{kib}k"),
        disk.path().display().to_string(),
        PROGRAM.to_owned(),
        medium.url(disk.path(), ""),
        seed.to_string(),
        cycles.to_string(),
        kept.path().display().to_string(),
    ];
    let (told, status) = Worker::start(&[&words[..], &arguments].concat()).finish();
    if !status.success() || told.last() != Some(&Told::End) {
        return Err(format!("the worker ended with {status} after {} lines", told.len()));
    }
    let mut ledger = Ledger::new(seed);
    for told in &told {
        ledger.heard(told);
        match told {
            Told::Count(_, refused) if *refused > 0 => sums.add("cycles", 1),
            Told::Failed { .. } => sums.add("refused", 1),
            _ => {}
        }
    }
    let store = open(&medium.url(kept.path(), "")).map_err(|error| format!("unreadable: {error}"))?;
    ledger.check(&*store)?;
    ledger.write_again(&store)?;
    futures_executor::block_on(store.close(&system("default"))).map_err(|error| error.to_string())?;
    sums.add_ledger(&ledger);
    Ok(())
}

fn goes_on(medium: Medium, sizes: [u64; 2]) {
    let Some(unshare) = may_mount() else { return };
    let trial = Trial::new(format!("full disk, {medium}"));
    let (mut sums, enough) = (Sums::default(), times(5, 100));
    let mut number = 0;
    while sums.get("cycles") < enough {
        let mut dice = Dice::of(trial.seed, number);
        let kib = sizes[0] + dice.below(sizes[1] - sizes[0]);
        let cycles = (enough - sums.get("cycles")).min(5);
        let before = sums.get("cycles");
        if let Err(wrong) = fill(medium, unshare, dice.next(), kib, cycles, &mut sums) {
            trial.fail(format_args!("disk {number} of {kib} KiB"), wrong);
        }
        assert!(sums.get("cycles") > before, "the disk does not fill up: {sums}");
        number += 1;
    }
    trial.told(&sums);
    assert!(sums.get("refused") >= enough && sums.get("acknowledged") >= enough, "{sums}");
}

#[test]
fn json_goes_on_after_a_full_disk() {
    goes_on(Medium::Json, [512, 4_096]);
}

#[test]
fn sqlite_goes_on_after_a_full_disk() {
    goes_on(Medium::Sqlite, [2_048, 8_192]);
}
