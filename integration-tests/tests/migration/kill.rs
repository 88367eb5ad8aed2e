//! `kill -9` while a migration runs.

use std::path::Path;
use std::time::Duration;

use craftx_core::random_bits;
use craftx_integration_tests::faults::{Dice, Medium, Told};
use craftx_integration_tests::servers::{Postgres, PostgresOptions, postgres_is_there};

use crate::size::{Trial, times};
use crate::stores::{Content, bytes, content, fill};
use crate::worker::{PROGRAM, Worker, was_killed};

/// So many times one migration is killed at most before it may end.
const A_MIGRATION: u64 = 8;

/// A source, and what it holds.
struct Source {
    url: String,
    content: Content,
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    bytes: std::collections::BTreeMap<String, Vec<u8>>,
}

impl Source {
    fn new(medium: Medium, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = medium.url(folder.path(), "");
        fill(&url, seed);
        let (content, path) = (content(&url), medium.path(folder.path()));
        let bytes = bytes(&path);
        Self { url, content, _folder: folder, path, bytes }
    }

    fn is_unchanged(&self) -> bool {
        // The file of SQLite alone: a reader that is killed leaves its shared memory beside it.
        bytes(&self.path) == self.bytes
    }
}

fn command(from: &str, to: &str, journal: &Path, options: &[&str]) -> Vec<String> {
    let words = [PROGRAM, "migrate", from, to, journal.to_str().unwrap()];
    words.iter().chain(options).map(|word| (*word).to_owned()).collect()
}

/// What became of a worker.
enum End {
    Killed {
        /// It had copied something and not all.
        midway: bool,
    },
    Done,
}

/// Starts a migration, lets it say so many lines, and kills it.
fn live_and_die(command: &[String], lines: u64, linger: Duration) -> Result<End, String> {
    let mut worker = Worker::start(command);
    let mut copied = 0;
    let mut hear = |told: Told| match told {
        Told::Count(name, count) if name == "records" => copied = count,
        Told::Count(name, count) if name == "failures" && count > 0 => panic!("sessions failed"),
        _ => {}
    };
    for _ in 0..lines {
        match worker.next() {
            Some(told) => hear(told),
            None => break,
        }
    }
    std::thread::sleep(linger);
    worker.kill();
    let (rest, status) = worker.finish();
    let done = rest.contains(&Told::End);
    rest.into_iter().for_each(&mut hear);
    match was_killed(status)? {
        true => Ok(End::Killed { midway: copied > 0 && !done }),
        false => Ok(End::Done),
    }
}

/// Runs a migration to its end.
fn run_to_the_end(command: &[String]) -> Result<(u64, u64), String> {
    let (rest, status) = Worker::start(command).finish();
    if was_killed(status)? || rest.last() != Some(&Told::End) {
        return Err("a migration that nobody killed did not end".to_owned());
    }
    if rest.contains(&Told::Count("failures".into(), 1)) {
        return Err("sessions failed".to_owned());
    }
    let applied = rest.iter().find_map(|told| match told {
        Told::Count(name, count) if name == "applied" => Some(*count),
        _ => None,
    });
    Ok((rest.len() as u64, applied.unwrap_or_default()))
}

/// What was done.
#[derive(Debug, Default)]
struct Sums {
    kills: u64,
    midway: u64,
    migrations: u64,
}

/// One migration, killed again and again, and then run to its end.
fn migrate(
    source: &Source,
    to: &str,
    options: &[&str],
    dice: &mut Dice,
    lines: u64,
    sums: &mut Sums,
) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let killed = command(&source.url, to, &journal, options);
    for _ in 0..2 + dice.below(A_MIGRATION) {
        let linger = Duration::from_micros(dice.below(3_000));
        // A run that goes on has less to say than a whole one.
        match live_and_die(&killed, dice.below(lines / 3), linger)? {
            End::Killed { midway } => {
                sums.kills += 1;
                sums.midway += u64::from(midway);
            }
            End::Done => break,
        }
    }
    let whole = command(&source.url, to, &journal, &[]);
    run_to_the_end(&whole)?;
    if content(to) != source.content {
        return Err("the stores are not equal".to_owned());
    }
    if !source.is_unchanged() {
        return Err("the source was changed".to_owned());
    }
    // All of it once more, as if there were no journal: nothing is new.
    sums.migrations += 1;
    match run_to_the_end(&whole)? {
        (_, 0) => Ok(()),
        (_, applied) => Err(format!("a second run applied {applied} records")),
    }
}

fn survives(name: &str, from: Medium, target: impl Fn(&Path) -> String) {
    let trial = Trial::new(format!("kill -9, migration from {name}"));
    let source = Source::new(from, trial.seed);
    let mut dice = Dice::new(trial.seed);
    // How much a migration says that nobody kills.
    let folder = tempfile::tempdir().unwrap();
    let whole = command(&source.url, &target(folder.path()), &folder.path().join("journal"), &[]);
    let (lines, _) = run_to_the_end(&whole).unwrap();
    let mut sums = Sums::default();
    while sums.kills < times(50, 500) {
        let folder = tempfile::tempdir().unwrap();
        if let Err(wrong) = migrate(&source, &target(folder.path()), &[], &mut dice, lines, &mut sums) {
            trial.fail(format_args!("migration {}", sums.migrations), wrong);
        }
    }
    trial.told(format_args!("{sums:?}"));
    assert!(sums.midway >= sums.kills / 8, "the kills come at the wrong moments: {sums:?}");
}

#[test]
fn from_json_to_sqlite_nothing_is_lost() {
    survives("JSON to SQLite", Medium::Json, |folder| Medium::Sqlite.url(folder, ""));
}

#[test]
fn from_sqlite_to_json_nothing_is_lost() {
    survives("SQLite to JSON", Medium::Sqlite, |folder| Medium::Json.url(folder, ""));
}

#[test]
fn from_sqlite_to_postgres_nothing_is_lost() {
    if !postgres_is_there("migration to PostgreSQL") {
        return;
    }
    let servers = Postgres::start(&PostgresOptions { fsync: true, ..PostgresOptions::default() });
    survives("SQLite to PostgreSQL", Medium::Sqlite, |_| {
        format!("{}?schema=m{:x}&connections=4", servers.url(), random_bits() as u64)
    });
}

/// A journal that runs ahead of the target loses records.
#[test]
fn an_acknowledgement_before_the_commit_is_found_out() {
    let trial = Trial::new("kill -9, migration to a store that acknowledges too early");
    let source = Source::new(Medium::Json, trial.seed);
    let mut dice = Dice::new(trial.seed);
    let found = (0..40).any(|_| {
        let folder = tempfile::tempdir().unwrap();
        let to = Medium::Sqlite.url(folder.path(), "");
        let ran = migrate(&source, &to, &["bug=EarlyAcknowledgement"], &mut dice, 60, &mut Sums::default());
        ran.is_err_and(|wrong| wrong.contains("not equal"))
    });
    trial.told(if found { "found out" } else { "not found out" });
    assert!(found);
}
