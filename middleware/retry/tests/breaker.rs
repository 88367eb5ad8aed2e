//! The breaker against a model of it that is as plain as can be, over random sequences on a clock that stands still.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use craftx_core::ErrorKind;
use craftx_retry::{Breaker, BreakerConfig, BreakerState, Permit, Verdict};

const SEQUENCES: u64 = 100_000;
const STEPS: u64 = 40;

/// What a breaker should do, in milliseconds since the beginning: it remembers every call for ever.
struct Model {
    config: BreakerConfig,
    phase: Phase,
    period: u64,
    /// When the window began, and when which calls ended.
    began: Option<u64>,
    calls: Vec<(u64, bool)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Closed,
    Open(u64),
    HalfOpen { running: u32, answered: u32 },
}

impl Model {
    fn new(config: BreakerConfig) -> Self {
        Self { config, phase: Phase::Closed, period: 0, began: None, calls: Vec::new() }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.period += 1;
        self.began = None;
        self.calls.clear();
    }

    fn admit(&mut self, now: u64) -> Option<u64> {
        if matches!(self.phase, Phase::Open(until) if until <= now) {
            self.enter(Phase::HalfOpen { running: 0, answered: 0 });
        }
        match &mut self.phase {
            Phase::Closed => Some(self.period),
            Phase::Open(_) => None,
            Phase::HalfOpen { running, answered } => {
                let room = *running + *answered < self.config.probes;
                *running += u32::from(room);
                room.then_some(self.period)
            }
        }
    }

    fn end(&mut self, period: u64, now: u64, verdict: Option<Verdict>) {
        if period != self.period {
            return;
        }
        match (self.phase, verdict) {
            (Phase::Closed, Some(verdict)) => {
                let began = *self.began.get_or_insert(now);
                self.calls.push((now, verdict == Verdict::Failed));
                // A window of ten parts: what happened in the last ten of them counts.
                let part = |at: u64| (at - began) * 10 / self.config.window_ms;
                let newest = part(now);
                let recent: Vec<_> = self.calls.iter().filter(|(at, _)| part(*at) + 10 > newest).collect();
                let failures = recent.iter().filter(|(_, failed)| *failed).count() as f64;
                let enough = recent.len() >= self.config.min_calls as usize;
                if enough && failures >= self.config.failure_ratio * recent.len() as f64 {
                    self.enter(Phase::Open(now + self.config.open_ms));
                }
            }
            (Phase::HalfOpen { .. }, Some(Verdict::Failed)) => self.enter(Phase::Open(now + self.config.open_ms)),
            (Phase::HalfOpen { running, answered }, verdict) => {
                let answered = answered + u32::from(verdict.is_some());
                self.phase = Phase::HalfOpen { running: running - 1, answered };
                if answered == self.config.probes {
                    self.enter(Phase::Closed);
                }
            }
            _ => {}
        }
    }

    fn state(&self, now: u64) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open(until) if now < until => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }
}

#[test]
fn every_edge_is_that_of_the_model() {
    let mut reached = [0_u64; 9];
    for seed in 0..SEQUENCES {
        let mut dice = fastrand::Rng::with_seed(seed);
        let config = BreakerConfig::default()
            .window_ms([10, 100, 1_000][dice.usize(..3)])
            .min_calls(dice.u32(1..6))
            .failure_ratio([0.25, 0.5, 1.0][dice.usize(..3)])
            .open_ms(dice.u64(1..200))
            .probes(dice.u32(1..4));
        let (breaker, mut model) = (Breaker::new(config.clone()).unwrap(), Model::new(config));
        let start = Instant::now();
        let mut now = 0;
        let mut under_way: Vec<(Permit<'_>, u64)> = Vec::new();
        let fails = dice.u64(..101);
        for step in 0..STEPS {
            now += [0, 1, dice.u64(..20), dice.u64(..300)][dice.usize(..4)];
            let at = start + Duration::from_millis(now);
            let before = model.state(now);
            if dice.bool() || under_way.is_empty() {
                match (breaker.admit(at), model.admit(now)) {
                    (Ok(permit), Some(period)) => under_way.push((permit, period)),
                    (Err(wait), None) => assert!(wait > Duration::ZERO, "seed {seed}, step {step}"),
                    (real, _) => panic!("seed {seed}, step {step}: the model does not agree with {real:?}"),
                }
            } else {
                let (permit, period) = under_way.swap_remove(dice.usize(..under_way.len()));
                if dice.u8(..10) == 0 {
                    drop(permit);
                    model.end(period, now, None);
                } else {
                    let verdict = if dice.u64(..100) < fails { Verdict::Failed } else { Verdict::Answered };
                    permit.done(at, verdict);
                    model.end(period, now, Some(verdict));
                }
            }
            let after = model.state(now);
            assert_eq!(breaker.state(at), after, "seed {seed}, step {step}");
            reached[before as usize * 3 + after as usize] += 1;
        }
    }
    let [closed, closed_open, _, _, open, _, half_closed, half_open, half] = reached;
    // From open to half-open it goes by itself, between two steps.
    for edge in [closed, closed_open, open, half_closed, half_open, half] {
        assert!(edge > 1_000, "an edge that is hardly ever taken: {reached:?}");
    }
}

#[test]
fn flapping_makes_one_switch_a_period() {
    let config = BreakerConfig::default().min_calls(1).probes(1).open_ms(1_000);
    let breaker = Breaker::new(config).unwrap();
    let start = Instant::now();
    let mut switches = 0;
    let mut last = BreakerState::Closed;
    for ms in 0..60_000 {
        let now = start + Duration::from_millis(ms);
        if let Ok(permit) = breaker.admit(now) {
            permit.done(now, if ms % 3 == 0 { Verdict::Failed } else { Verdict::Answered });
        }
        let state = breaker.state(now);
        switches += u64::from(state == BreakerState::Open && last != BreakerState::Open);
        last = state;
    }
    assert!((30..=60).contains(&switches), "{switches}");
}

#[test]
fn what_makes_no_breaker_is_refused_by_name() {
    let config = BreakerConfig::default;
    for (config, key) in [
        (config().window_ms(9), "`window_ms`"),
        (config().min_calls(0), "`min_calls`"),
        (config().failure_ratio(0.0), "`failure_ratio`"),
        (config().failure_ratio(f64::NAN), "`failure_ratio`"),
        (config().open_ms(0), "`open_ms`"),
        (config().probes(0), "`probes`"),
    ] {
        let error = Breaker::new(config).unwrap_err();
        assert_eq!((error.kind(), error.get("key")), (ErrorKind::ConfigInvalid, Some(key)));
    }
}
