//! A store of a hybrid goes away while it is written to, and comes back. The writers die of `kill -9` meanwhile, and while
//! what is missing is copied. Nothing acknowledged is hidden, lost or doubled, and in the end both stores hold the same.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use craftx_core::{Backend, Prepare};
use craftx_failover::{Failover, Mirror, Processes};
use craftx_integration_tests::faults::{Dice, Hybrid, Medium, Told, open, system};
use futures_executor::block_on;
use std::sync::Arc;

use crate::ledger::{Ledger, Sums};
use crate::size::{Trial, times};
use crate::state;
use crate::worker::{Worker, run, was_killed};

/// So many times writers are killed on one hybrid before a new one is begun.
const A_STORE: u64 = 10;
/// More batches than any writer lives to write.
const FOREVER: u64 = 1_000_000;
/// How long healing may take before it counts as never.
const NEVER: Duration = Duration::from_secs(120);
/// How the ledger begins when a store refuses a call, and not when it holds something wrong.
const AWAY_NOW: [&str; 2] = ["unreadable", "cannot be written"];
/// What calls may fail with while a store is away.
const AWAY: [&str; 3] = ["unavailable", "timeout", "locked"];

/// The path of a store's folder: a link, so that it leads nowhere from one moment to the next, and back.
struct Way(PathBuf);

impl Way {
    fn new(path: PathBuf) -> Self {
        std::fs::create_dir(path.with_extension("there")).unwrap();
        let way = Self(path);
        way.open();
        way
    }

    fn open(&self) {
        self.lead_to(&self.0.with_extension("there"));
    }

    /// Every call to the operating system that goes this way fails, for the superuser too: the link leads to itself.
    fn bar(&self) {
        self.lead_to(&self.0);
    }

    fn lead_to(&self, path: &Path) {
        let link = self.0.with_extension("new");
        std::os::unix::fs::symlink(path, &link).unwrap();
        std::fs::rename(&link, &self.0).unwrap();
    }
}

/// What is wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outage {
    /// The folder of the store is not where it was.
    Away(Medium),
    /// Somebody holds the lock of the database and does not let go.
    Locked,
}

/// A hybrid, what happens to it, and what it has to hold.
struct Stage {
    hybrid: Hybrid,
    _folder: tempfile::TempDir,
    ways: [(Medium, Way); 2],
    lock: Option<rusqlite::Connection>,
    ledger: Ledger,
    dice: Dice,
    next: u64,
    sums: Sums,
}

impl Stage {
    fn new(seed: u64, processes: Processes) -> Self {
        let (folder, mut dice) = (tempfile::tempdir().unwrap(), Dice::new(seed));
        let hybrid = Hybrid {
            folder: folder.path().to_owned(),
            mirror: if dice.once_in(2) { Mirror::Sync } else { Mirror::Async },
            processes,
        };
        let ways = Hybrid::LEGS.map(|leg| (leg, Way::new(hybrid.leg(leg))));
        let ledger = Ledger::new(seed);
        Self { hybrid, _folder: folder, ways, lock: None, ledger, dice, next: 0, sums: Sums::default() }
    }

    fn begin(&mut self, outage: Option<Outage>) {
        match outage {
            None => {}
            Some(Outage::Away(medium)) => {
                self.ways.iter().filter(|(of, _)| *of == medium).for_each(|(_, way)| way.bar())
            }
            Some(Outage::Locked) => {
                let lock = rusqlite::Connection::open(Medium::Sqlite.path(&self.hybrid.leg(Medium::Sqlite))).unwrap();
                lock.busy_timeout(Duration::from_secs(20)).unwrap();
                lock.execute_batch("BEGIN IMMEDIATE").unwrap();
                self.lock = Some(lock);
            }
        }
    }

    fn end(&mut self) {
        self.ways.iter().for_each(|(_, way)| way.open());
        self.lock = None;
    }

    /// Writers begin, a store goes away and comes back, and the writers die: each during the outage or after it.
    fn cycle(&mut self, options: &[&str]) -> Result<(), String> {
        let outage = match self.dice.below(8) {
            0..=2 => Some(Outage::Away(Medium::Sqlite)),
            3 | 4 => Some(Outage::Away(Medium::Json)),
            5 if self.next > 0 && self.dice.once_in(3) => Some(Outage::Locked),
            _ => None,
        };
        // What takes long by its nature waits for a lock for longer than this test can.
        let (options, is_locked) = match outage {
            Some(Outage::Locked) => (&[][..], true),
            _ => (options, false),
        };
        let shares = self.hybrid.processes == Processes::Shared && self.dice.once_in(2);
        let (step, from_the_start) = (if shares { 2 } else { 1 }, self.next > 0 && !is_locked && self.dice.once_in(3));
        if from_the_start {
            self.begin(outage);
        }
        let step_option = format!("step={step}");
        let options = [&[step_option.as_str()], options].concat();
        let start = |worker| {
            let from = self.next + worker;
            Worker::start(&run(&self.hybrid.to_string(), self.ledger.work.seed, from, FOREVER, &options))
        };
        let mut workers: Vec<Worker> = (0..step).map(start).collect();
        self.listen(&mut workers, 1, 12)?;
        if !from_the_start {
            self.begin(outage);
        }
        let most = if is_locked { 4 } else { 30 };
        self.listen(&mut workers, 1, most)?;
        let late: Vec<Worker> =
            workers.into_iter().filter_map(|worker| self.die_or_stay(worker).transpose()).collect::<Result<_, _>>()?;
        if outage.is_some() {
            self.sums.add("outages", 1);
            self.sums.add("kills during an outage", step - late.len() as u64);
        }
        self.end();
        if !late.is_empty() {
            std::thread::sleep(Duration::from_millis(self.dice.below(100)));
        }
        let died_late = outage.is_some() && !late.is_empty();
        late.into_iter().try_for_each(|worker| self.die(worker))?;
        self.ledger.gone();
        self.sums.add("cycles", 1);
        if outage.is_some() && !self.are_equal()? {
            self.sums.add("left with unequal stores", 1);
            self.sums.add("kills before the stores were equal again", u64::from(died_late));
        }
        Ok(())
    }

    fn listen(&mut self, workers: &mut [Worker], least: u64, most: u64) -> Result<(), String> {
        for _ in 0..least + self.dice.below(most) {
            for worker in &mut *workers {
                let told = worker.next().ok_or("a writer ended by itself")?;
                self.hear(&told)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, told: &Told) -> Result<(), String> {
        match told {
            Told::Trying(batch) => self.next = self.next.max(batch + 1),
            Told::Failed { kind, .. } => self.sums.add("refused", u64::from(is_away(kind)?)),
            Told::Else(call, kind) if call == "prepare" => return Err(format!("it cannot be opened: {kind}")),
            Told::Else(_, kind) => self.sums.add("other calls refused", u64::from(is_away(kind)?)),
            _ => {}
        }
        self.ledger.heard(told);
        Ok(())
    }

    fn die_or_stay(&mut self, worker: Worker) -> Result<Option<Worker>, String> {
        if self.dice.once_in(2) { self.die(worker).map(|()| None) } else { Ok(Some(worker)) }
    }

    fn die(&mut self, mut worker: Worker) -> Result<(), String> {
        worker.kill();
        let (rest, status) = worker.finish();
        rest.iter().try_for_each(|told| self.hear(told))?;
        self.sums.add("kills", 1);
        if was_killed(status)? { Ok(()) } else { Err("a writer ended before it was killed".to_owned()) }
    }

    /// Whether the stores hold the same, each looked at alone.
    fn are_equal(&self) -> Result<bool, String> {
        let [one, other] = Hybrid::LEGS.map(|leg| {
            let store = open(&self.hybrid.url(leg)).map_err(|error| format!("{leg} cannot be opened: {error}"))?;
            let state = state::read(&*store).map_err(|error| format!("{leg} is unreadable: {error}"))?;
            block_on(store.close(&system("default"))).map_err(|error| format!("{leg} cannot be closed: {error}"))?;
            Ok::<_, String>(state)
        });
        Ok(one? == other?)
    }

    /// Nobody is killed any more, and everything is there: the hybrid has what it must at once, both stores once they are
    /// healed, and whatever was refused can be written again.
    fn check(&mut self) -> Result<(), String> {
        let wrong = |error: craftx_core::Error| error.to_string();
        let hybrid = self.hybrid.build(|leg| leg).map_err(wrong)?;
        block_on(hybrid.prepare(&system("default"), Prepare::Migrate)).map_err(wrong)?;
        patiently(|| self.ledger.check(&hybrid)).map_err(|wrong| format!("at once: {wrong}"))?;
        heal(&hybrid)?;
        patiently(|| self.ledger.check(&hybrid)).map_err(|wrong| format!("healed: {wrong}"))?;
        let store = Arc::new(hybrid.clone()) as craftx_core::DynBackend;
        patiently(|| self.ledger.write_again(&store))?;
        heal(&hybrid)?;
        let compared = block_on(hybrid.compare(&system("default")));
        if !compared.differing.is_empty() || !compared.unread.is_empty() {
            return Err(format!("the stores differ: {compared:?}"));
        }
        let verified = block_on(hybrid.verify(&system("default"))).map_err(wrong)?;
        if !verified.is_clean() {
            return Err(format!("it is not sound: {verified:?}"));
        }
        block_on(hybrid.close(&system("default"))).map_err(wrong)?;
        for leg in Hybrid::LEGS {
            let store = open(&self.hybrid.url(leg)).map_err(wrong)?;
            self.ledger.check(&*store).map_err(|wrong| format!("{leg} alone: {wrong}"))?;
            block_on(store.close(&system("default"))).map_err(wrong)?;
        }
        if self.are_equal()? { Ok(()) } else { Err("the stores are not the same".to_owned()) }
    }
}

/// Other failures have nothing to do with a store that is away.
fn is_away(kind: &str) -> Result<bool, String> {
    if AWAY.contains(&kind) { Ok(true) } else { Err(format!("a call failed with `{kind}`")) }
}

/// Tries again while nothing is wrong but that a store took too long, which makes it one that is away for a moment.
fn patiently(mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(wrong) if began.elapsed() < NEVER && AWAY_NOW.iter().any(|away| wrong.starts_with(away)) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

fn heal(hybrid: &Failover) -> Result<(), String> {
    let began = Instant::now();
    while !block_on(hybrid.heal(&system("default"))).done {
        if began.elapsed() > NEVER {
            return Err(format!("it is never healed: {:?}", hybrid.legs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Kills writers so many times on a new hybrid, then checks it.
fn on_one_hybrid(
    seed: u64,
    processes: Processes,
    cycles: u64,
    options: &[&str],
    sums: &mut Sums,
) -> Result<(), String> {
    let mut stage = Stage::new(seed, processes);
    let told = |stage: &Stage, wrong| format!("{}, after {} batches: {wrong}", stage.hybrid, stage.next);
    for cycle in 0..cycles {
        stage.cycle(options).map_err(|wrong| told(&stage, format!("cycle {cycle}: {wrong}")))?;
    }
    stage.check().map_err(|wrong| told(&stage, wrong))?;
    stage.sums.add_ledger(&stage.ledger);
    sums.add_all(&stage.sums);
    Ok(())
}

fn keeps_everything(processes: Processes, cycles: u64) {
    let trial = Trial::new(format!("outages, sqlite and json, {processes:?}"));
    let mut sums = Sums::default();
    for number in 0..cycles / A_STORE {
        let seed = Dice::of(trial.seed, number).next();
        if let Err(wrong) = on_one_hybrid(seed, processes, A_STORE, &["compact=16", "reopen=25"], &mut sums) {
            trial.fail(format_args!("hybrid {number}"), wrong);
        }
    }
    trial.told(&sums);
    assert_eq!(sums.get("cycles"), cycles);
    assert!(sums.get("acknowledged") >= cycles, "the writers do nothing: {sums}");
    assert!(sums.get("kills during an outage") >= cycles / 8, "they die too late: {sums}");
    assert!(sums.get("kills before the stores were equal again") >= cycles / 20, "they die too early: {sums}");
}

#[test]
fn a_hybrid_keeps_everything_while_its_stores_go_away_and_its_writer_dies() {
    keeps_everything(Processes::Single, times(140, 3_500));
}

#[test]
fn a_hybrid_of_several_processes_keeps_everything_while_its_stores_go_away_and_they_die() {
    keeps_everything(Processes::Shared, times(60, 1_500));
}

#[test]
fn marks_that_are_not_written_are_found_out() {
    let trial = Trial::new("outages, ForgetsMarks");
    let found = (0..8).filter(|number| {
        let seed = Dice::of(trial.seed, *number).next();
        let options = ["bug=ForgetsMarks"];
        let wrong = on_one_hybrid(seed, Processes::Single, A_STORE, &options, &mut Sums::default()).err();
        wrong.is_some_and(|wrong| wrong.contains("missing") || wrong.contains("differ"))
    });
    // No more are tried than it takes.
    let found = found.take(3).count();
    trial.told(format_args!("{found} hybrids with this bug were found out"));
    assert_eq!(found, 3, "of 8 hybrids with this bug");
}
