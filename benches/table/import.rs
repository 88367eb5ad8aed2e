//! Bulk import: its time, and the memory that it takes at most.

use std::path::{Path, PathBuf};
use std::process::Command;

use craftx::{Storage, WriteOptions};
use futures_executor::block_on;

use crate::raw::Raw;
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

/// The messages of a session, and of a batch.
pub(crate) const BATCH: usize = 500;
const MESSAGES: usize = 1_000_000;

/// Imports the sessions `begin..end`, a batch each, one after the other.
pub(crate) fn import(storage: &Storage, begin: usize, end: usize) -> Outcome<()> {
    let (backend, options) = (storage.stack().backend(), WriteOptions::replay());
    for session in begin..end {
        let records: Vec<_> = (session * BATCH..(session + 1) * BATCH).map(messages::record).collect();
        block_on(backend.write(&storage.context(), &messages::session(session), &records, &options))?;
    }
    Ok(())
}

pub(crate) fn time_of(settings: &Settings) -> Outcome<Row> {
    let folder = settings.folder()?;
    let open = |name| block_on(Storage::open(&messages::url("sqlite", folder.path(), name)));
    block_on(open("raw.db")?.close())?;
    let storage = open("craftx.db")?;
    let mut raw = Raw::open(&folder.path().join("raw.db"))?;
    let rounds = settings.rounds(20);
    let each = settings.scaled(MESSAGES) / BATCH / rounds;
    let pairs = Pairs::measure(
        rounds,
        |round| timed(|| import(&storage, round * each, (round + 1) * each)),
        |round| {
            timed(|| {
                (round * each..(round + 1) * each).try_for_each(|session| {
                    let sid = raw.add_session(messages::session(session).as_str())?;
                    raw.import(sid, session * BATCH..(session + 1) * BATCH)
                })
            })
        },
    )?;
    block_on(storage.close())?;
    let (craftx, by_hand) = pairs.totals();
    Ok(Row::Measured {
        what: format!("SQLite, import of {} messages in batches of {BATCH}", rounds * each * BATCH),
        craftx: time(craftx),
        baseline: format!("raw rusqlite, one transaction a batch: {}", time(by_hand)),
        value: Value::Times(pairs.total_a_over_b()),
        goal: Goal::AtMost(Value::Times(1.5)),
    })
}

/// An import in a process of its own, whose memory is measured.
#[derive(Debug)]
pub(crate) struct Child {
    path: PathBuf,
    sessions: usize,
}

const CHILD_PATH: &str = "CRAFTX_BENCH_CHILD_PATH";
const CHILD_SESSIONS: &str = "CRAFTX_BENCH_CHILD_SESSIONS";

impl Child {
    /// The work of this process, if it is such a child.
    pub(crate) fn of_environment() -> Option<Self> {
        let path = std::env::var_os(CHILD_PATH)?.into();
        Some(Self { path, sessions: std::env::var(CHILD_SESSIONS).ok()?.parse().ok()? })
    }

    /// Imports, and prints the peak of the memory in KiB after a tenth and at the end.
    pub(crate) fn run(&self) {
        let storage =
            block_on(Storage::open(&format!("sqlite:{}?search=false", self.path.display()))).expect("the store opens");
        let tenth = self.sessions.div_ceil(10);
        import(&storage, 0, tenth).expect("the import succeeds");
        let early = peak_memory();
        import(&storage, tenth, self.sessions).expect("the import succeeds");
        block_on(storage.close()).expect("the store closes");
        println!("{early} {}", peak_memory());
    }

    fn measure(&self) -> Outcome<(u64, u64)> {
        let output = Command::new(std::env::current_exe()?)
            .env(CHILD_PATH, &self.path)
            .env(CHILD_SESSIONS, self.sessions.to_string())
            .output()?;
        let printed = String::from_utf8(output.stdout)?;
        let (early, end) = printed.trim().split_once(' ').ok_or_else(|| {
            format!("the child failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr))
        })?;
        Ok((early.parse()?, end.parse()?))
    }
}

/// The peak of the resident memory of this process in KiB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

pub(crate) fn memory(settings: &Settings) -> Outcome<Row> {
    let sessions = (settings.scaled(MESSAGES) / BATCH).max(1);
    let what = format!("SQLite, peak memory of the import of {} messages", sessions * BATCH);
    if !Path::new("/proc/self/status").exists() {
        return Ok(Row::Skipped { what, reason: "this system does not tell the peak of the memory".into() });
    }
    let folder = settings.folder()?;
    let (early, end) = Child { path: folder.path().join("craftx.db"), sessions }.measure()?;
    let mib = |kib: u64| kib as f64 / 1_024.0;
    Ok(Row::Measured {
        what,
        craftx: format!("{:.0} MiB", mib(end)),
        baseline: format!("craftx, after a tenth of them: {:.0} MiB", mib(early)),
        value: Value::MiB(mib(end)),
        goal: Goal::AtMost(Value::MiB(200.0)),
    })
}
