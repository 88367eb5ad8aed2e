//! The layers over a store that fails as planned, and over one that keeps every promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod flaky;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use craftx_conformance::{Subject, conformance};
use craftx_core::{
    Backend, Context, DynBackend, ErrorKind, Layer, Memory, Message, MessageQuery, Outcome, Record, Retry, Role,
    SessionId, Stack, Stamp, WriteOptions,
};
use craftx_retry::{BreakerConfig, BreakerLayer, BreakerState, RetryConfig, RetryLayer, TimeoutConfig, TimeoutLayer};
use futures_executor::block_on;

use flaky::{Fault, context, flaky};

conformance!(retry_timeout_and_breaker_over_memory, || async {
    let stack = Stack::builder("memory", Arc::new(Memory::new()))
        .layer(BreakerLayer::new(BreakerConfig::default())?)
        .layer(RetryLayer::new(RetryConfig::default())?)
        .layer(TimeoutLayer::new(TimeoutConfig::default().limit_ms(60_000))?)
        .build()?;
    Ok(Subject::from(stack.backend().clone()))
});

conformance!(
    memory_that_fails_now_and_then_below_retry,
    || async {
        let mut dice = fastrand::Rng::with_seed(7);
        // A write that is known from a try whose answer got lost is counted as known, which the kit does not expect.
        let (_, store) = flaky(move |_| if dice.u8(..10) == 0 { Fault::Before } else { Fault::Nothing });
        let config = RetryConfig::default().attempts(50).min_delay_ms(0).max_delay_ms(0).budget(1.0).reserve(1_000);
        let stack = Stack::builder("flaky", store).layer(RetryLayer::new(config)?).build()?;
        Ok(Subject::from(stack.backend().clone()))
    },
    |kit| kit.cases(500).sequences(100)
);

fn session() -> SessionId {
    SessionId::new("s").unwrap()
}

fn message(n: u64) -> Record {
    Record::Message(Message::new(Stamp::mint(1_700_000_000_000 + n, None, u128::from(n)).unwrap(), Role::User, "text"))
}

fn write(store: &dyn Backend, cx: &Context, n: u64) -> craftx_core::Result<craftx_core::Written> {
    block_on(store.write(cx, &session(), &[message(n)], &WriteOptions::fresh()))
}

fn count(store: &dyn Backend) -> usize {
    let query = MessageQuery::newest_first().limit(1_000);
    block_on(store.load(&context(), &session(), &query)).map_or(0, |page| page.items.len())
}

fn retry(config: RetryConfig, store: DynBackend) -> DynBackend {
    RetryLayer::seeded(config, 1).unwrap().apply(store).unwrap()
}

#[test]
fn a_write_whose_answer_got_lost_is_there_once() {
    let (flaky, store) = flaky(|n| if n < 2 { Fault::After } else { Fault::Nothing });
    let written = write(&*retry(RetryConfig::default(), store.clone()), &context(), 1).unwrap();
    assert_eq!((written.applied, written.known), (Some(0), Some(1)));
    assert_eq!(flaky.calls.load(Ordering::Relaxed), 3);
    assert_eq!(count(&*store), 1);
}

#[test]
fn an_outcome_stays_unknown_though_a_later_try_did_not_begin() {
    let (_, store) = flaky(|n| if n == 0 { Fault::After } else { Fault::Before });
    let error = write(&*retry(RetryConfig::default(), store), &context(), 1).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    assert_eq!((error.retry(), error.get("tries")), (Retry::Exhausted, Some("3")));
}

#[test]
fn what_cannot_succeed_later_is_tried_once() {
    let (flaky, store) = flaky(|_| Fault::Refused);
    let error = write(&*retry(RetryConfig::default(), store), &context(), 1).unwrap_err();
    assert_eq!((error.kind(), error.retry(), error.get("tries")), (ErrorKind::PermissionDenied, Retry::Never, None));
    assert_eq!(flaky.calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_dead_store_sees_little_more_than_the_calls_that_are_made() {
    let (flaky, store) = flaky(|_| Fault::Before);
    let store = retry(RetryConfig::default().attempts(10), store);
    for n in 0..1_000 {
        write(&*store, &context(), n).unwrap_err();
    }
    let seen = flaky.calls.load(Ordering::Relaxed);
    assert!((1_001..=1_100).contains(&seen), "{seen}");
}

#[test]
fn retries_are_paid_for_by_successes() {
    // Every other call fails, so each one would need a retry, and only a tenth of those can be paid for.
    let (flaky, store) = flaky(|n| if n % 2 == 0 { Fault::Before } else { Fault::Nothing });
    let store = retry(RetryConfig::default(), store);
    let done = (0..1_000).filter(|n| write(&*store, &context(), *n).is_ok()).count() as u64;
    let seen = flaky.calls.load(Ordering::Relaxed);
    assert!(seen - 1_000 <= done / 10 + 10, "{done} succeeded, {seen} were seen");
}

#[test]
fn no_try_begins_after_the_deadline() {
    let (flaky, store) = flaky(|_| Fault::Before);
    let config = RetryConfig::default().attempts(100).min_delay_ms(1_000).max_delay_ms(1_000).reserve(100);
    let cx = context().with_timeout(Duration::from_secs(3));
    let error = write(&*retry(config, store), &cx, 1).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Exhausted));
    assert!(cx.remaining().unwrap() > Duration::ZERO);
    assert!(flaky.calls.load(Ordering::Relaxed) < 100);
}

#[test]
fn pauses_are_random_parts_of_what_doubles() {
    let pauses = |seed| {
        let (_, store) = flaky(|_| Fault::Before);
        let config = RetryConfig::default().attempts(6).min_delay_ms(100).max_delay_ms(800).reserve(100);
        let store = RetryLayer::seeded(config, seed).unwrap().apply(store).unwrap();
        let cx = context();
        let before = cx.clock.now();
        write(&*store, &cx, 1).unwrap_err();
        cx.clock.now() - before
    };
    let all: Vec<_> = (0..200).map(pauses).collect();
    let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
    assert!(*most <= Duration::from_millis(100 + 200 + 400 + 800 + 800));
    assert!(*most > Duration::from_millis(1_600) && *least < Duration::from_millis(700), "{least:?} to {most:?}");
    assert_eq!(pauses(3), pauses(3));
}

#[test]
fn many_failures_before_and_after_lose_and_double_nothing() {
    const MESSAGES: u64 = 900;
    let mut dice = fastrand::Rng::with_seed(42);
    let (flaky, store) = flaky(move |_| match dice.u8(..10) {
        0 => Fault::Before,
        1 => Fault::After,
        _ => Fault::Nothing,
    });
    let config = RetryConfig::default().attempts(20).budget(1.0).reserve(1_000);
    let layered = retry(config, store.clone());
    let written = (0..MESSAGES).map(|n| write(&*layered, &context(), n).unwrap());
    let sums = written.fold((0, 0), |sum, one| (sum.0 + one.applied.unwrap(), sum.1 + one.known.unwrap()));
    assert_eq!(u64::from(sums.0 + sums.1), MESSAGES);
    assert!(sums.1 > 0 && flaky.calls.load(Ordering::Relaxed) > MESSAGES * 11 / 10, "no fault came to pass");
    assert_eq!(count(&*layered), MESSAGES as usize);
}

#[test]
fn a_store_that_hangs_is_cut_off_and_the_outcome_is_unknown() {
    let (_, store) = flaky(|_| Fault::Hang);
    let store = TimeoutLayer::new(TimeoutConfig::default().limit_ms(700)).unwrap().apply(store).unwrap();
    let cx = context();
    let before = cx.clock.now();
    let error = write(&*store, &cx, 1).unwrap_err();
    assert_eq!((error.kind(), error.outcome(), error.retry()), (ErrorKind::Timeout, Outcome::Unknown, Retry::Later));
    assert_eq!(cx.clock.now() - before, Duration::from_millis(700));
    let error = block_on(store.session(&cx, &session())).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
}

#[test]
fn the_sooner_deadline_counts() {
    let (_, store) = flaky(|_| Fault::Hang);
    let store = TimeoutLayer::new(TimeoutConfig::default().limit_ms(700)).unwrap().apply(store).unwrap();
    let cx = context().with_timeout(Duration::from_millis(50));
    let before = cx.clock.now();
    assert_eq!(write(&*store, &cx, 1).unwrap_err().get("limit_ms"), Some("50"));
    assert_eq!(cx.clock.now() - before, Duration::from_millis(50));
    let error = write(&*store, &cx, 1).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied), "it is too late to begin");
}

#[test]
fn a_try_that_hangs_is_cut_off_and_tried_again() {
    let (_, store) = flaky(|n| if n == 0 { Fault::Hang } else { Fault::Nothing });
    let timeout = TimeoutLayer::new(TimeoutConfig::default().limit_ms(100)).unwrap().apply(store).unwrap();
    let store = retry(RetryConfig::default(), timeout);
    assert_eq!(write(&*store, &context(), 1).unwrap().applied, Some(1));
}

#[test]
fn a_breaker_spares_a_dead_store_and_finds_out_that_it_is_back() {
    let (flaky, store) = flaky(|n| if n < 25 { Fault::Before } else { Fault::Nothing });
    let layer = BreakerLayer::new(BreakerConfig::default()).unwrap();
    let store = layer.apply(store).unwrap();
    let cx = context();
    for n in 0..1_000 {
        let error = write(&*store, &cx, n).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
    }
    assert_eq!(flaky.calls.load(Ordering::Relaxed), 20);
    assert_eq!(layer.breaker().state(cx.clock.now()), BreakerState::Open);
    // Probes that fail open it again, one in each period.
    for calls in 21..=25 {
        block_on(cx.clock.sleep(Duration::from_secs(5)));
        (0..10).for_each(|n| drop(write(&*store, &cx, n).unwrap_err()));
        assert_eq!(flaky.calls.load(Ordering::Relaxed), calls);
    }
    block_on(cx.clock.sleep(Duration::from_secs(5)));
    (0..3).for_each(|n| drop(write(&*store, &cx, n).unwrap()));
    assert_eq!(layer.breaker().state(cx.clock.now()), BreakerState::Closed);
}

#[test]
fn errors_that_are_answers_do_not_open_a_breaker() {
    let (flaky, store) = flaky(|_| Fault::Refused);
    let store = BreakerLayer::new(BreakerConfig::default()).unwrap().apply(store).unwrap();
    (0..100).for_each(|n| drop(write(&*store, &context(), n).unwrap_err()));
    assert_eq!(flaky.calls.load(Ordering::Relaxed), 100);
}

#[test]
fn a_caller_in_a_hurry_does_not_open_a_breaker_for_all() {
    let (flaky, store) = flaky(|_| Fault::Hang);
    let store = TimeoutLayer::new(TimeoutConfig::default()).unwrap().apply(store).unwrap();
    let store = BreakerLayer::new(BreakerConfig::default().min_calls(1)).unwrap().apply(store).unwrap();
    for n in 0..100 {
        let cx = context().with_timeout(Duration::from_millis(49));
        assert_eq!(write(&*store, &cx, n).unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!(flaky.calls.load(Ordering::Relaxed), 100);
    let cx = context().with_timeout(Duration::from_millis(51));
    assert_eq!(write(&*store, &cx, 0).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(write(&*store, &cx, 0).unwrap_err().kind(), ErrorKind::Timeout, "its deadline has passed");
    assert_eq!(write(&*store, &context(), 0).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_call_that_is_dropped_leaves_room_for_another_probe() {
    let (_, store) = flaky(|n| [Fault::Before, Fault::Hang, Fault::Nothing][n as usize]);
    let layer = BreakerLayer::new(BreakerConfig::default().min_calls(1).probes(1)).unwrap();
    let store = layer.apply(store).unwrap();
    let cx = context();
    write(&*store, &cx, 1).unwrap_err();
    block_on(cx.clock.sleep(Duration::from_secs(5)));
    {
        let (session, records, options) = (session(), [message(1)], WriteOptions::fresh());
        let mut probe = store.write(&cx, &session, &records, &options);
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(probe.as_mut().poll(&mut task).is_pending());
        assert_eq!(write(&*store, &cx, 1).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(write(&*store, &cx, 1).unwrap().applied, Some(1));
    assert_eq!(layer.breaker().state(cx.clock.now()), BreakerState::Closed);
}

#[test]
fn layers_in_a_wrong_order_are_refused() {
    let builder = || Stack::builder("memory", Arc::new(Memory::new()));
    let (retry, timeout) = (RetryLayer::new(RetryConfig::default()).unwrap(), TimeoutConfig::default());
    let error = builder().layer(TimeoutLayer::new(timeout).unwrap()).layer(retry.clone()).build().unwrap_err();
    assert_eq!(error.get("outer"), Some("`timeout` (timeout)"));
    let breaker = BreakerLayer::new(BreakerConfig::default()).unwrap();
    assert_eq!(builder().layer(retry).layer(breaker).build().unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    for (config, key) in [
        (RetryConfig::default().attempts(0), "`attempts`"),
        (RetryConfig::default().min_delay_ms(2_000), "`min_delay_ms`"),
        (RetryConfig::default().budget(1.5), "`budget`"),
    ] {
        let error = RetryLayer::new(config).unwrap_err();
        assert_eq!((error.kind(), error.get("key")), (ErrorKind::ConfigInvalid, Some(key)));
    }
    let error = TimeoutLayer::new(TimeoutConfig::default().limit_ms(0)).unwrap_err();
    assert_eq!(error.get("key"), Some("`limit_ms`"));
}
