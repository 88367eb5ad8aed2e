//! A run: processes, legs, and everything that happens to them.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use craftx_core::{Backend, Clock, Context, Include, MAX_PAGE, Memory, Prepare, Record, SessionQuery, Stamp, Tenant};
use futures_executor::block_on;

use super::client::Client;
use super::clock::SimClock;
use super::ledger::{Ledger, Place, fold};
use super::leg::{Contents, Leg, Mode, Shared};
use crate::bug::Bug;
use crate::{Failover, FailoverConfig, Mirror, Processes, Reads};

type Task = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// What the tasks of a run share.
pub(crate) struct World {
    shared: Arc<Shared>,
    legs: Vec<Arc<Leg>>,
    config: FailoverConfig,
    bug: Option<Bug>,
    /// Whether several processes may use the legs.
    pub(crate) shared_legs: bool,
    /// Whether a single session is written to all the time, nobody crashes and every write has an answer: what a copy
    /// forgets is not found again by the next life, or by reading all of the session.
    pub(crate) busy: bool,
    ledger: Mutex<Ledger>,
    work: AtomicU64,
    /// Until then a leg may have been replaced without anybody knowing.
    blind: Mutex<Duration>,
    broken: Mutex<Option<String>>,
    reads: AtomicU64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) acknowledged: u64,
    pub(crate) reads: u64,
    pub(crate) faults: u64,
    pub(crate) crashes: u64,
    pub(crate) closed: u64,
    pub(crate) replaced: u64,
    pub(crate) trace: u64,
}

impl World {
    pub(crate) fn clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.shared.clock)
    }

    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.shared.below(limit)
    }

    pub(crate) fn note(&self, what: u64) {
        self.shared.note(what);
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        self.shared.tell(what);
    }

    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub(crate) fn take_work(&self) -> bool {
        self.work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    pub(crate) fn is_blind(&self) -> bool {
        self.shared.clock.elapsed() < *self.blind.lock().unwrap()
    }

    /// What anybody was told is there, while a handle cannot know that there is nothing: the primary is away, or a leg whose
    /// marks it has never read may be.
    pub(crate) fn told_while_unsure(&self, place: &Place, failover: &Failover) -> Vec<Stamp> {
        let is_down = *self.legs[0].mode.lock().unwrap() == Mode::Down;
        let unread = !failover.0.state().identities.all_marks_read();
        if (is_down || unread) && !self.is_blind() { self.ledger().owed(place, None) } else { Vec::new() }
    }

    /// The deadline law.
    pub(crate) fn in_time(&self, cx: &Context, began: Duration) {
        let late = cx.deadline.is_some_and(|deadline| self.shared.clock.now() > deadline + Duration::from_millis(1));
        if late {
            let took = self.shared.clock.elapsed() - began;
            self.broken.lock().unwrap().get_or_insert(format!("a call took {took:?}, longer than its deadline"));
        }
    }

    fn cx(&self) -> Context {
        Context::system(Tenant::default()).with_clock(self.clock())
    }

    fn failover(&self) -> Failover {
        let mut legs = self.legs.iter().enumerate();
        let (_, primary) = legs.next().unwrap();
        let builder = Failover::builder("primary", Arc::clone(primary) as _);
        let builder = legs.fold(builder, |all, (n, leg)| all.secondary(format!("leg {n}"), Arc::clone(leg) as _));
        let seeded = builder.config(self.config.clone()).clock(self.clock()).seeded(self.below(u64::MAX));
        seeded.with_bug(self.bug).build().unwrap()
    }
}

/// One process, from start to crash.
struct Process {
    failover: Failover,
    tasks: Vec<Task>,
    spawned: Arc<Mutex<Vec<Task>>>,
}

impl Process {
    fn start(world: &Arc<World>, life: u64) -> Self {
        let failover = world.failover();
        let spawned: Arc<Mutex<Vec<Task>>> = Arc::default();
        let main = start(Arc::clone(world), failover.clone(), life, Arc::clone(&spawned));
        Self { failover, tasks: vec![Box::pin(main)], spawned }
    }

    /// Lets every task go on once. True if one has ended.
    fn poll(&mut self, world: &World) -> Result<bool, String> {
        self.tasks.append(&mut self.spawned.lock().unwrap());
        let mut cx = std::task::Context::from_waker(Waker::noop());
        let mut ended = false;
        let mut rest = std::mem::take(&mut self.tasks);
        while !rest.is_empty() {
            let mut task = rest.swap_remove(world.below(rest.len() as u64) as usize);
            match task.as_mut().poll(&mut cx) {
                Poll::Pending => self.tasks.push(task),
                Poll::Ready(result) => {
                    result?;
                    ended = true;
                }
            }
        }
        Ok(ended || !self.spawned.lock().unwrap().is_empty())
    }
}

/// Prepares, then lets users in.
async fn start(world: Arc<World>, failover: Failover, life: u64, spawn: Arc<Mutex<Vec<Task>>>) -> Result<(), String> {
    loop {
        let cx = world.cx().with_timeout(Duration::from_secs(4));
        match failover.prepare(&cx, Prepare::Migrate).await {
            Ok(_) => break,
            Err(_) => world.clock().sleep(Duration::from_millis(300)).await,
        }
    }
    let mut spawn = spawn.lock().unwrap();
    for _ in 0..if world.busy { 4 } else { 2 } {
        let client = Client { world: Arc::clone(&world), failover: failover.clone(), life };
        spawn.push(Box::pin(client.run()));
    }
    spawn.push(Box::pin(heal(world.clone(), failover)));
    Ok(())
}

/// What the background thread does.
async fn heal(world: Arc<World>, failover: Failover) -> Result<(), String> {
    loop {
        failover.tick(&world.cx()).await;
        let pause = 50 + world.below(800);
        world.clock().sleep(Duration::from_millis(pause)).await;
    }
}

/// Everything that happens to the legs and the processes.
struct Fate {
    world: Arc<World>,
    processes: Vec<Process>,
    lives: u64,
    until: Vec<Option<Duration>>,
    backups: Vec<Option<(Contents, u64)>>,
    replacements: u64,
    calm: bool,
    report: Report,
}

impl Fate {
    fn strike(&mut self) -> Result<(), String> {
        let now = self.world.clock().elapsed();
        for (leg, until) in self.world.legs.iter().zip(&mut self.until) {
            if until.is_some_and(|until| until <= now) {
                *until = None;
                *leg.mode.lock().unwrap() = Mode::Up;
            }
        }
        if self.calm {
            let mut handles = self.processes.iter().map(|process| process.failover.0.state());
            self.calm = !handles.all(|state| state.identities.all_marks_read());
            return Ok(());
        }
        if self.world.below(25) > 0 {
            return Ok(());
        }
        let which = self.world.below(self.world.legs.len() as u64) as usize;
        match self.world.below(16) {
            0..=7 => self.fault(which, now),
            8 | 9 if !self.world.busy => {
                let process = self.world.below(self.processes.len() as u64) as usize;
                if self.may_crash() {
                    self.end_life(process)?;
                }
            }
            10 => {
                let clock = self.world.clock();
                let hour = Duration::from_secs(3_600);
                let wall = clock.wall();
                clock.set_wall(if self.world.below(2) == 0 { wall + hour } else { wall - hour });
            }
            11 => self.backups[which] = Some(self.world.legs[which].backup()),
            12 | 13 if self.replacements > 0 => {
                self.replacements -= 1;
                self.replace(which, now);
            }
            _ => {}
        }
        Ok(())
    }

    fn fault(&mut self, which: usize, now: Duration) {
        let mode = match self.world.below(6) {
            0..=2 => Mode::Down,
            3 if !self.world.busy => Mode::Hangs,
            _ => Mode::Slow(Duration::from_millis(self.world.below(if self.world.busy { 150 } else { 1_500 }))),
        };
        self.world.shared.tell(|| format!("leg {which} is {mode:?}"));
        *self.world.legs[which].mode.lock().unwrap() = mode;
        self.until[which] = Some(now + Duration::from_millis(self.world.below(15_000)));
    }

    /// What a process wrote to a leg that was replaced under it has no mark there. Until the process has noticed, nobody
    /// else can know of it: that is not promised. A process that is alone leaves the leg a stranger, which is enough.
    fn may_crash(&self) -> bool {
        self.processes.len() == 1 || !self.world.is_blind()
    }

    /// A process ends: it crashes, or it stops whatever its users are waiting for and closes its stores. That takes time, in
    /// which nobody else goes on, so only one that is alone does it.
    fn end_life(&mut self, process: usize) -> Result<(), String> {
        if self.processes.len() == 1 && self.world.below(2) == 0 {
            self.report.closed += 1;
            self.world.shared.tell(|| format!("END of process {process}"));
            let ending = &mut self.processes[process];
            ending.tasks.clear();
            ending.spawned.lock().unwrap().clear();
            let failover = ending.failover.clone();
            // What cannot be closed in time is closed by the end of the process.
            let _ = self.drive(failover.close(&self.world.cx().with_timeout(Duration::from_secs(4))))?;
        }
        self.crash(process);
        Ok(())
    }

    fn crash(&mut self, process: usize) {
        self.report.crashes += 1;
        self.lives += 1;
        self.world.shared.tell(|| format!("CRASH of process {process}, now life {}", self.lives));
        self.processes[process] = Process::start(&self.world, self.lives);
    }

    /// The leg is replaced by an empty one or by an old backup; half the time nobody is told.
    fn replace(&mut self, which: usize, now: Duration) {
        let legs = &self.world.legs;
        if let Some((_, position)) = &self.backups[which] {
            // A backup is known by its position, once the others have heard of a later one.
            let mut others = legs.iter().enumerate().filter(|(leg, _)| *leg != which);
            if !others.all(|(_, other)| other.remembers(&legs[which]) > Some(*position)) {
                return;
            }
        }
        self.report.replaced += 1;
        self.world.shared.tell(|| format!("leg {which} is REPLACED, backup {}", self.backups[which].is_some()));
        // What is still on its way to another leg arrives before.
        legs.iter().for_each(|leg| leg.arrive(true));
        let left = |place: &Place| {
            let others = legs.iter().enumerate().filter(|(leg, _)| *leg != which);
            others.flat_map(|(_, leg)| leg.records_of(&place.0, &place.1)).collect::<Vec<Record>>()
        };
        self.world.ledger().forgive(left);
        let backup = self.backups[which].take();
        match &backup {
            Some(backup) => legs[which].restore(backup),
            None => legs[which].wipe(1_000 + u128::from(self.report.replaced)),
        }
        if backup.is_some() {
            // A backup is found out only by its position, so nobody may write to it before the legs have met.
            self.calm();
        }
        if backup.is_some() || self.world.below(2) == 0 {
            (0..self.processes.len()).for_each(|process| self.crash(process));
        } else {
            *self.world.blind.lock().unwrap() = now + Duration::from_secs(25);
        }
    }

    /// Nothing fails for a while.
    fn calm(&mut self) {
        self.world.shared.noise.store(0, Ordering::Relaxed);
        self.calm = true;
        for (leg, until) in self.world.legs.iter().zip(&mut self.until) {
            *until = None;
            *leg.mode.lock().unwrap() = Mode::Up;
        }
    }

    /// Everybody goes on until the work is done.
    fn live(&mut self) -> Result<(), String> {
        let mut steps = 0;
        while self.world.work.load(Ordering::Relaxed) > 0 {
            steps += 1;
            if steps > 200_000 {
                return Err("the run comes to no end".to_owned());
            }
            self.strike()?;
            let before = self.world.shared.progress.load(Ordering::Relaxed);
            let mut ended = false;
            for process in &mut self.processes {
                ended |= process.poll(&self.world)?;
            }
            if let Some(broken) = self.world.broken.lock().unwrap().take() {
                return Err(broken);
            }
            let idle = !ended && self.world.shared.progress.load(Ordering::Relaxed) == before;
            if idle && !self.world.clock().advance_to_next() {
                return Err("nobody goes on".to_owned());
            }
            self.world.legs.iter().for_each(|leg| leg.arrive(false));
        }
        Ok(())
    }

    /// All faults end. Whatever is left of the processes heals, and the legs must be equal.
    fn end(&mut self) -> Result<(), String> {
        self.world.shared.tell(|| "END of all faults".to_owned());
        self.world.shared.noise.store(0, Ordering::Relaxed);
        for leg in &self.world.legs {
            *leg.mode.lock().unwrap() = Mode::Up;
        }
        if !self.world.busy && self.world.below(2) == 0 && self.may_crash() {
            (0..self.processes.len()).for_each(|process| self.crash(process));
        }
        for process in &mut self.processes {
            process.tasks.clear();
            process.spawned.lock().unwrap().clear();
        }
        self.world.legs.iter().for_each(|leg| leg.arrive(true));
        for process in &self.processes {
            // Breakers may be open still.
            let mut tries = 0..10;
            while let Err(error) = self.drive(process.failover.prepare(&self.world.cx(), Prepare::Migrate))? {
                tries.next().ok_or_else(|| format!("it cannot be prepared in the end: {error:?}"))?;
                self.world.clock().advance(Duration::from_secs(1));
            }
        }
        let mut done = false;
        for _ in 0..60 {
            done = true;
            for process in &self.processes {
                done &= self.drive(process.failover.tick(&self.world.cx()))?.done;
            }
            if done {
                break;
            }
            self.world.clock().advance(Duration::from_secs(2));
        }
        if !done {
            let state: Vec<_> = self.processes.iter().map(|process| process.failover.legs()).collect();
            return Err(format!("it is not healed in the end: {state:?}"));
        }
        self.compare()
    }

    /// Runs one call alone.
    fn drive<T>(&self, call: impl Future<Output = T>) -> Result<T, String> {
        let mut call = Box::pin(call);
        let mut cx = std::task::Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            let before = self.world.shared.progress.load(Ordering::Relaxed);
            if let Poll::Ready(answer) = call.as_mut().poll(&mut cx) {
                return Ok(answer);
            }
            if self.world.shared.progress.load(Ordering::Relaxed) == before && !self.world.clock().advance_to_next() {
                return Err("a call never ends".to_owned());
            }
        }
        Err("a call comes to no end".to_owned())
    }

    fn compare(&self) -> Result<(), String> {
        let ledger = self.world.ledger();
        for (number, leg) in self.world.legs.iter().enumerate() {
            ledger.check_leg(number, |place| leg.records_of(&place.0, &place.1))?;
            let marks = marks_in(&leg.memory(), &self.world.cx());
            if marks > 0 {
                return Err(format!("leg {number} has {marks} sessions with marks in the end"));
            }
        }
        for place in ledger.places() {
            let lines = |leg: &Arc<Leg>| {
                let set = fold(&leg.records_of(&place.0, &place.1));
                let mut lines: Vec<_> = set.to_records().iter().map(|record| record.encode().into_string()).collect();
                lines.sort();
                lines
            };
            let first = lines(&self.world.legs[0]);
            if let Some(other) = self.world.legs.iter().position(|leg| lines(leg) != first) {
                return Err(format!("leg {other} differs from the primary in {place:?}"));
            }
        }
        Ok(())
    }
}

fn marks_in(memory: &Memory, cx: &Context) -> usize {
    let cx = cx.clone().with_tenant(Tenant::new("craftx.failover").unwrap());
    let query = SessionQuery::new().include(Include::Live).prefix("marks-").limit(MAX_PAGE);
    block_on(memory.sessions(&cx, &query)).unwrap().items.len()
}

/// Runs the world of a seed.
pub(crate) fn run(seed: u64, bug: Option<Bug>) -> Result<Report, String> {
    let shared = Arc::new(Shared {
        clock: Arc::new(SimClock::new()),
        dice: Mutex::new(fastrand::Rng::with_seed(seed)),
        progress: AtomicU64::new(0),
        noise: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        tells: std::env::var_os("CRAFTX_SIM_SEED").is_some(),
        trace: AtomicU64::new(seed),
    });
    shared.noise.store([0, 10, 30, 80][shared.below(4) as usize], Ordering::Relaxed);
    let legs = if shared.below(4) == 0 { 3 } else { 2 };
    let processes = if shared.below(4) == 0 { 2 } else { 1 };
    let busy = shared.below(4) == 0;
    if busy {
        shared.noise.store(0, Ordering::Relaxed);
    }
    let shared_legs = processes > 1 || shared.below(3) == 0;
    shared.tell(|| format!("{legs} legs, {processes} processes, shared {shared_legs}"));
    let breaker = FailoverConfig::default().breaker.open_ms(2_000);
    // Some wait until half of the calls have failed.
    let breaker = if shared.below(4) == 0 { breaker.failure_ratio(0.5) } else { breaker };
    let config = FailoverConfig::default()
        .mirror(if shared.below(if busy { 2 } else { 3 }) == 0 { Mirror::Sync } else { Mirror::Async })
        .processes(if shared_legs { Processes::Shared } else { Processes::Single })
        // What other processes wrote a moment ago may be missing where secondaries are asked first.
        .reads(if !shared_legs && shared.below(3) == 0 { Reads::SecondariesFirst } else { Reads::PrimaryFirst })
        .timeout_ms(1_000)
        .heal_interval_ms(0)
        .refresh_ms(3_000)
        .linger_ms(500)
        .settle_ms(10_000)
        .mark_lease_ms(20_000)
        .breaker(breaker);
    let world = Arc::new(World {
        legs: (0..legs).map(|number| Arc::new(Leg::new(Arc::clone(&shared), number))).collect(),
        shared,
        config,
        bug,
        shared_legs,
        busy,
        ledger: Mutex::default(),
        work: AtomicU64::new(0),
        blind: Mutex::default(),
        broken: Mutex::default(),
        reads: AtomicU64::new(0),
    });
    world.work.store(20 + world.below(80), Ordering::Relaxed);
    let mut fate = Fate {
        processes: (0..processes).map(|life| Process::start(&world, life)).collect(),
        lives: processes,
        until: vec![None; world.legs.len()],
        backups: (0..world.legs.len()).map(|_| None).collect(),
        replacements: u64::from(!busy && world.below(3) == 0),
        calm: false,
        report: Report::default(),
        world: Arc::clone(&world),
    };
    fate.live()?;
    fate.end()?;
    Ok(Report {
        acknowledged: world.ledger().acknowledged,
        reads: world.reads.load(Ordering::Relaxed),
        faults: world.shared.faults.load(Ordering::Relaxed),
        trace: world.shared.trace.load(Ordering::Relaxed),
        ..fate.report
    })
}
