//! Opens what losses of power leave of a recorded run, and judges it.

use std::path::{Path, PathBuf};
use std::process::Command;

use craftx_core::DynBackend;
use craftx_integration_tests::faults::{Dice, Medium, Told, Work, keys, open, system};

use super::disk::Disk;
use super::record::{CALLS, Event, parse};
use crate::ledger::Sums;
use crate::state::{self, State};
use crate::worker::run;

/// How many batches a recorded worker writes, and how often it compacts and begins anew.
const BATCHES: u64 = 30;
const OPTIONS: [&str; 2] = ["compact=7", "reopen=11"];

/// What the disk says that it did and did not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lies {
    None,
    Syncs,
    FolderSyncs,
    /// Those of the folder while the store is open.
    LaterFolderSyncs,
}

/// A recorded run.
pub(crate) struct Worlds {
    medium: Medium,
    root: PathBuf,
    work: Work,
    events: Vec<Event>,
    /// What the store holds after each number of batches.
    states: Vec<State>,
    seed: u64,
}

impl Worlds {
    /// Runs a worker on a new store and records what it does.
    pub(crate) fn record(medium: Medium, seed: u64, url: &str, options: &[&str]) -> Self {
        Self::record_with(medium, seed, url, &[&OPTIONS, options].concat())
    }

    /// As [`Worlds::record`], with a store that is opened once.
    pub(crate) fn record_once(medium: Medium, seed: u64) -> Self {
        Self::record_with(medium, seed, "", &["compact=7"])
    }

    fn record_with(medium: Medium, seed: u64, url: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().with_extension("strace");
        let output = Command::new("strace")
            .args(["-f", "-y", "-xx", "-qq", "-s", "1000000", "-e", CALLS, "-o"])
            .arg(&log)
            .args(run(&medium.url(folder.path(), url), seed, 0, BATCHES, options))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let events = parse(&std::fs::read_to_string(&log).unwrap(), folder.path());
        std::fs::remove_file(&log).unwrap();
        let failed = events.iter().find(|event| matches!(event, Event::Told(Told::Failed { .. })));
        assert_eq!(failed, None, "nothing fails while it is recorded");
        let work = Work { seed };
        Self { medium, root: folder.path().to_owned(), work, events, states: states(work), seed }
    }

    /// Loses power after each event, in enough worlds to make so many images. Returns what is wrong with them.
    pub(crate) fn visit(&self, lies: Lies, images: u64, sums: &mut Sums) -> Vec<String> {
        let mut dice = Dice::new(self.seed);
        let mut disk = Disk::new(&self.root);
        let (mut acknowledged, mut tried, mut is_open) = (0, 0, false);
        let mut wrong = Vec::new();
        let mut left = images;
        for (at, event) in self.events.iter().enumerate() {
            match event {
                Event::Sync { path } => {
                    sums.add("syncs", 1);
                    let believed = match lies {
                        Lies::None => true,
                        Lies::Syncs => false,
                        Lies::FolderSyncs => !self.is_folder(path),
                        Lies::LaterFolderSyncs => !is_open || !self.is_folder(path),
                    };
                    if believed {
                        disk.follow(event);
                    }
                }
                Event::Told(told) => {
                    match told {
                        Told::Trying(_) => tried += 1,
                        Told::Acknowledged(_) => acknowledged += 1,
                        Told::Open => is_open = true,
                        _ => {}
                    }
                    continue;
                }
                other => disk.follow(other),
            }
            // Evenly over all events, and no more than a few of each.
            let here = left.div_ceil((self.events.len() - at) as u64).min(6);
            for _ in 0..here {
                left -= 1;
                sums.add("images", 1);
                let again = dice.once_in(4);
                match self.image(&disk, &mut dice, acknowledged..=tried, again) {
                    Ok(count) if count < tried => sums.add("images without the batch that was being written", 1),
                    Ok(_) if acknowledged < tried => sums.add("images with it", 1),
                    Ok(_) => {}
                    Err(error) => {
                        wrong.push(format!("after {at} events, {acknowledged} acknowledged, {tried} tried: {error}"));
                    }
                }
            }
        }
        sums.add("acknowledged", acknowledged as u64);
        wrong
    }

    /// Any name that was never created as a file.
    fn is_folder(&self, path: &Path) -> bool {
        !self.events.iter().any(|event| match event {
            Event::Create { path: file } | Event::Rename { to: file, .. } => file == path,
            _ => false,
        })
    }

    /// Makes one image and judges it: it can be read, and holds what some number of batches within `allowed` make.
    /// Returns that number.
    fn image(
        &self,
        disk: &Disk,
        dice: &mut Dice,
        allowed: std::ops::RangeInclusive<usize>,
        again: bool,
    ) -> Result<usize, String> {
        let folder = scratch();
        disk.lose_power(dice, folder.path());
        let url = self.medium.url(folder.path(), "durability=process-crash");
        let store = open(&url).map_err(|error| format!("cannot be opened: {error}"))?;
        let judged = self.judge(&store, allowed, again);
        futures_executor::block_on(store.close(&system("default"))).unwrap();
        drop(store);
        let count = judged?;
        if self.medium == Medium::Sqlite {
            integrity(&self.medium.path(folder.path()))?;
        }
        Ok(count)
    }

    fn judge(
        &self,
        store: &DynBackend,
        allowed: std::ops::RangeInclusive<usize>,
        again: bool,
    ) -> Result<usize, String> {
        let found = state::read(&**store).map_err(|error| format!("cannot be read: {error}"))?;
        let Some(count) = allowed.clone().rev().find(|count| self.states[*count] == found) else {
            if let Some(count) = (0..*allowed.start()).rev().find(|count| self.states[*count] == found) {
                return Err(format!("batch {} is lost", count + 1));
            }
            let expected = &self.states[*allowed.end()];
            let differences: Vec<_> = keys()
                .into_iter()
                .filter(|key| found[key] != expected[key])
                .map(|key| format!("{key:?}: {}", state::difference(&found[&key], &expected[&key])))
                .collect();
            return Err(format!("holds what no number of batches makes: {}", differences.join("; ")));
        };
        // Work goes on, and what was not acknowledged can be written again.
        if again && count < self.states.len() - 1 {
            let batch = self.work.batch(count as u64).unwrap();
            batch.write(store).map_err(|error| format!("cannot be written: {error}"))?;
            let after = state::read(&**store).map_err(|error| format!("cannot be read: {error}"))?;
            if after != self.states[count + 1] {
                return Err("does not hold what was written to it".to_owned());
            }
        }
        Ok(count)
    }
}

/// What a correct store holds after each number of batches.
fn states(work: Work) -> Vec<State> {
    let store: DynBackend = std::sync::Arc::new(craftx_core::Memory::new());
    let mut states = vec![state::read(&*store).unwrap()];
    for number in 0..BATCHES {
        work.batch(number).unwrap().write(&store).unwrap();
        states.push(state::read(&*store).unwrap());
    }
    states
}

/// A folder in memory where there is one: what is judged there needs no disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn integrity(path: &Path) -> Result<(), String> {
    let conn = rusqlite::Connection::open(path).map_err(|error| error.to_string())?;
    let found: String =
        conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(|error| error.to_string())?;
    if found == "ok" { Ok(()) } else { Err(format!("is corrupt: {found}")) }
}
