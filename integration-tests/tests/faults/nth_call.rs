//! The N-th call to the operating system fails, for every N: a typed error, no panic, and nothing lost or doubled.
//!
//! `strace` makes the call fail. It looks only at calls on the files of the store, so that neither the loader of
//! programs nor the pipe to the test is hit, and counts the calls of each thread.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use craftx_integration_tests::faults::{Dice, Medium, Told, open, system};

use crate::ledger::{Ledger, Sums};
use crate::size::{Trial, is_long};
use crate::tools::has_strace;
use crate::worker::{Worker, run, was_killed};

/// What the worker does: enough for every call of a store, twice.
const BATCHES: u64 = 24;
const OPTIONS: [&str; 2] = ["compact=5", "reopen=9"];
/// How many faults are made on each medium in a short run.
const SHORT: u64 = 150;

const READS: &str = "read,pread64";
const UNREADABLE: &str = "error=EIO";

/// Calls that are one to the test, and what can become of them. `?`: not every machine has the call.
const FAULTS: [(&str, &[&str]); 7] = [
    ("write,pwrite64", &["error=EIO", "error=ENOSPC", "error=EINTR", "retval=0", "signal=SIGKILL"]),
    ("fsync,fdatasync", &["error=EIO", "error=ENOSPC", "error=EINTR", "signal=SIGKILL"]),
    ("?open,openat", &["error=EIO", "error=ENOSPC", "error=EINTR", "error=EMFILE", "signal=SIGKILL"]),
    ("ftruncate", &["error=EIO", "error=ENOSPC", "error=EINTR", "signal=SIGKILL"]),
    ("?rename,?renameat,?renameat2", &["error=EIO", "error=ENOSPC", "signal=SIGKILL"]),
    ("?unlink,?unlinkat", &["error=EIO", "error=ENOSPC", "signal=SIGKILL"]),
    (READS, &[UNREADABLE, "error=EINTR"]),
];

/// One run of the worker: the call that fails, and how.
#[derive(Debug)]
struct Point {
    calls: &'static str,
    fault: &'static str,
    number: u64,
    /// Whether all later calls fail too.
    for_ever: bool,
}

impl Point {
    fn inject(&self) -> String {
        let later = if self.for_ever { "+" } else { "" };
        format!("inject={}:{}:when={}{later}", self.calls, self.fault, self.number)
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.inject())
    }
}

/// `strace` over a worker, looking only at the files of a store.
fn strace(medium: Medium, folder: &Path, log: &Path, expression: &str) -> Vec<String> {
    // One thread for all that a JSON store does, so that there is one count of its calls.
    let mut words: Vec<String> =
        ["strace", "-E", "BLOCKING_MAX_THREADS=1", "-f", "-qq", "-o"].map(str::to_owned).into();
    words.push(log.display().to_string());
    for path in paths(medium, folder) {
        words.extend(["-P".to_owned(), path]);
    }
    words.extend(["-e".to_owned(), expression.to_owned()]);
    words
}

/// Every path that a store of the worker may use.
fn paths(medium: Medium, folder: &Path) -> Vec<String> {
    let store = medium.path(folder);
    let mut paths = vec![store.clone(), folder.to_owned()];
    match medium {
        Medium::Sqlite => {
            paths.extend(["-wal", "-shm", "-journal"].map(|end| format!("{}{end}", store.display()).into()))
        }
        Medium::Json => {
            let sessions = ["a", "%41", "t%c3%a4glich%2f1", "tenants/acme/a"];
            let ends = ["jsonl", "jsonl.tmp", "jsonl.torn-1", "jsonl.torn-2", "json"];
            paths.extend(sessions.iter().flat_map(|name| ends.map(|end| store.join(format!("{name}.{end}")))));
            paths.extend((0..65).map(|number| store.join(format!(".locks/{number:02}"))));
            paths.extend(
                ["craftx.store", "craftx.store.tmp", "tenants", "tenants/acme", ".locks"].map(|n| store.join(n)),
            );
        }
    }
    paths.iter().map(|path| path.display().to_string()).collect()
}

/// A worker under `strace` on a new store; what it told and its log.
fn observe(
    ledger: &mut Ledger,
    medium: Medium,
    folder: &Path,
    expression: &str,
    options: &[&str],
) -> Result<(Vec<Told>, String), String> {
    let log = folder.with_extension("log");
    let mut words = strace(medium, folder, &log, expression);
    words.extend(run(&medium.url(folder, ""), ledger.work.seed, 0, BATCHES, options));
    let (told, status) = Worker::start(&words).finish();
    told.iter().for_each(|told| ledger.heard(told));
    let log_text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    match was_killed(status)? {
        false if told.last() != Some(&Told::End) => Err("the worker did not come to its end".to_owned()),
        _ => Ok((told, log_text)),
    }
}

/// How often the busiest thread makes the calls of each kind, if nothing fails.
fn calls(medium: Medium, seed: u64) -> Vec<u64> {
    let count = |calls: &str| {
        let folder = tempfile::tempdir().unwrap();
        let (_, log) =
            observe(&mut Ledger::new(seed), medium, folder.path(), &format!("trace={calls}"), &OPTIONS).unwrap();
        let mut threads: BTreeMap<&str, u64> = BTreeMap::new();
        let lines = log.lines().filter(|line| line.contains('(') && !line.contains("resumed>"));
        lines.for_each(|line| *threads.entry(line.split(' ').next().unwrap()).or_default() += 1);
        threads.into_values().max().unwrap_or_default()
    };
    FAULTS.iter().map(|(calls, _)| count(calls)).collect()
}

fn points(medium: Medium, seed: u64) -> Vec<Point> {
    let mut points = Vec::new();
    for ((calls, faults), most) in FAULTS.into_iter().zip(calls(medium, seed)) {
        for (fault, number) in faults.iter().flat_map(|fault| (1..=most).map(move |number| (*fault, number))) {
            points.push(Point { calls, fault, number, for_ever: false });
            // A call that is interrupted for ever is tried for ever, and nobody is killed twice.
            if !matches!(fault, "error=EINTR" | "signal=SIGKILL") {
                points.push(Point { calls, fault, number, for_ever: true });
            }
        }
    }
    points
}

/// Tries one point, and says whether the fault came to pass.
fn try_point(medium: Medium, seed: u64, point: &Point, options: &[&str], sums: &mut Sums) -> Result<bool, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::new(seed);
    let (told, log) = observe(&mut ledger, medium, folder.path(), &point.inject(), options)?;
    ledger.gone();
    for told in &told {
        let kind = match told {
            Told::Failed { kind, .. } | Told::Else(_, kind) => kind,
            _ => continue,
        };
        sums.add("typed errors", 1);
        // File systems with checksums answer damage with EIO, so SQLite calls what it cannot read damaged.
        let is_damage =
            kind == "corrupted" && medium == Medium::Sqlite && point.calls == READS && point.fault == UNREADABLE;
        if !is_damage && !["unavailable", "storage_full"].contains(&kind.as_str()) {
            return Err(format!("a failing medium is `{kind}`: {told}"));
        }
    }
    let store = open(&medium.url(folder.path(), "")).map_err(|error| format!("unreadable: {error}"))?;
    ledger.check(&*store)?;
    ledger.write_again(&store)?;
    futures_executor::block_on(store.close(&system("default"))).map_err(|error| error.to_string())?;
    sums.add_ledger(&ledger);
    Ok(log.contains("(INJECTED)") || log.contains("SIGKILL"))
}

fn every_error_is_survived(medium: Medium) {
    if !has_strace("an error at the N-th call") {
        return;
    }
    let trial = Trial::new(format!("error at the N-th call, {medium}"));
    let mut points = points(medium, trial.seed);
    let all = points.len();
    let mut dice = Dice::new(trial.seed);
    points.sort_by_cached_key(|_| dice.next());
    let enough = if is_long() { all as u64 } else { SHORT };
    let mut sums = Sums::default();
    for point in &points {
        match try_point(medium, trial.seed, point, &OPTIONS, &mut sums) {
            Ok(true) => sums.add("faults", 1),
            // Threads do not share their work in the same way each time.
            Ok(false) => sums.add("points that were not reached", 1),
            Err(wrong) => trial.fail(point, wrong),
        }
        if sums.get("faults") == enough {
            break;
        }
    }
    trial.told(format_args!("of {all} points: {sums}"));
    assert!(sums.get("faults") * 10 >= enough * 9, "the faults do not come to pass: {sums}");
    assert!(sums.get("typed errors") > 0 && sums.get("acknowledged") > 0, "{sums}");
}

#[test]
fn json_survives_an_error_at_every_call() {
    every_error_is_survived(Medium::Json);
}

#[test]
fn sqlite_survives_an_error_at_every_call() {
    every_error_is_survived(Medium::Sqlite);
}

#[test]
fn a_batch_that_an_error_cuts_into_pieces_is_found_out() {
    if !has_strace("an error at the N-th call") {
        return;
    }
    for medium in Medium::ALL {
        let trial = Trial::new(format!("error at the N-th call, {medium}, Piecemeal"));
        // Which call a batch is cut at follows from the seed; some seeds have none among these points.
        let (mut stores, mut found) = (0, 0);
        for seed in (trial.seed..).take(20) {
            for number in (4..=60).step_by(4) {
                let point = Point { calls: FAULTS[0].0, fault: "error=EIO", number, for_ever: false };
                let tried = try_point(medium, seed, &point, &["bug=Piecemeal"], &mut Sums::default());
                stores += 1;
                found += usize::from(tried.is_err_and(|wrong| wrong.contains("messages are missing")));
            }
            if found > 0 {
                break;
            }
        }
        trial.told(format_args!("{found} of {stores} stores with this bug were found out"));
        assert!(found >= 1);
    }
}
