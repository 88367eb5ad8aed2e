//! What users notice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use craftx_conformance::{JumpingClock, Plug};
use craftx_core::{
    Around, Backend, Compact, Context, DynBackend, Error, ErrorKind, Expect, Include, Memory, Message, MessageQuery,
    Operation, Outcome, Prepare, Record, Result, Role, SessionId, SessionQuery, Stamp, Surrounded, Tenant,
    WriteOptions, Written, async_trait,
};
use craftx_failover::{Failover, FailoverConfig, Mirror, Processes, Reads};
use futures_executor::block_on;

struct Pair {
    failover: Failover,
    plugs: [Arc<Plug>; 2],
    stores: [DynBackend; 2],
    cx: Context,
}

fn config() -> FailoverConfig {
    FailoverConfig::default().heal_interval_ms(0)
}

fn pair(config: FailoverConfig) -> Pair {
    let clock = Arc::new(JumpingClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
    let plugs = [Arc::new(Plug::default()), Arc::new(Plug::default())];
    let stores: [DynBackend; 2] = [Arc::new(Memory::new()), Arc::new(Memory::new())];
    let leg = |n: usize| Arc::new(Surrounded::new(Arc::clone(&plugs[n]), Arc::clone(&stores[n]))) as DynBackend;
    let builder = Failover::builder("primary", leg(0)).secondary("secondary", leg(1));
    let failover = builder.config(config).clock(clock.clone()).build().unwrap();
    let cx = Context::system(Tenant::default()).with_clock(clock);
    block_on(failover.prepare(&cx, Prepare::Migrate)).unwrap();
    Pair { failover, plugs, stores, cx }
}

/// Another life of the process, over the same legs.
fn again(pair: Pair, config: FailoverConfig) -> Pair {
    let Pair { plugs, stores, cx, .. } = pair;
    let leg = |n: usize| Arc::new(Surrounded::new(Arc::clone(&plugs[n]), Arc::clone(&stores[n]))) as DynBackend;
    let builder = Failover::builder("primary", leg(0)).secondary("secondary", leg(1));
    let failover = builder.config(config).clock(Arc::clone(&cx.clock)).build().unwrap();
    block_on(failover.prepare(&cx, Prepare::Migrate)).unwrap();
    Pair { failover, plugs, stores, cx }
}

fn session() -> SessionId {
    SessionId::new("s").unwrap()
}

fn message(n: u64) -> Record {
    Record::Message(Message::new(Stamp::mint(1_700_000_000_000 + n, None, 0).unwrap(), Role::User, "text"))
}

impl Pair {
    fn write(&self, n: u64) -> Result<Written> {
        block_on(self.failover.write(&self.cx, &session(), &[message(n)], &WriteOptions::fresh()))
    }

    fn time_of_write(&self, n: u64) -> Duration {
        let before = self.cx.clock.now();
        self.write(n).unwrap();
        self.cx.clock.now() - before
    }

    fn pull(&self, leg: usize, pulled: bool) {
        self.plugs[leg].pull(pulled);
    }

    fn sleep(&self, seconds: u64) {
        block_on(self.cx.clock.sleep(Duration::from_secs(seconds)));
    }

    /// How many messages a leg has; what a reader is told if it is `None`.
    fn count(&self, leg: Option<usize>) -> Result<usize> {
        let store: &dyn Backend = match leg {
            Some(leg) => &*self.stores[leg],
            None => &self.failover,
        };
        block_on(store.load(&self.cx, &session(), &MessageQuery::oldest_first())).map(|page| page.items.len())
    }

    fn calls(&self, leg: usize) -> u64 {
        self.plugs[leg].calls()
    }
}

#[test]
fn a_secondary_takes_over_and_the_primary_gets_it_back() {
    let pair = pair(config());
    pair.write(1).unwrap();
    block_on(pair.failover.heal(&pair.cx));
    pair.pull(0, true);
    pair.write(2).unwrap();
    assert_eq!(pair.count(None).unwrap(), 2);
    pair.pull(0, false);
    pair.sleep(6);
    // The healer asks the primary first.
    assert_eq!(block_on(pair.failover.tick(&pair.cx)).sessions, 1);
    assert_eq!((pair.count(Some(0)).unwrap(), pair.count(None).unwrap()), (2, 2));
}

#[test]
fn secondaries_are_asked_first_if_that_is_wanted_and_have_what_was_written() {
    let pair = pair(config().reads(Reads::SecondariesFirst));
    pair.write(1).unwrap();
    let asked = pair.calls(0);
    assert_eq!(pair.count(None).unwrap(), 1, "what was not mirrored yet is copied before");
    assert_eq!(pair.calls(0), asked, "it is copied from memory");
    let unknown = SessionId::new("unknown").unwrap();
    assert!(block_on(pair.failover.session(&pair.cx, &unknown)).unwrap().is_none());
    assert!(pair.calls(0) > asked, "only the primary says that there is nothing");
    pair.pull(1, true);
    assert_eq!(pair.count(None).unwrap(), 1, "the primary answers while the secondary is away");
}

#[test]
fn no_secondary_answers_where_only_the_primary_may() {
    let pair = pair(config().reads(Reads::PrimaryOnly));
    pair.write(1).unwrap();
    block_on(pair.failover.heal(&pair.cx));
    pair.pull(0, true);
    assert_eq!(pair.count(None).unwrap_err().kind(), ErrorKind::Unavailable);
    pair.write(2).unwrap();
    pair.pull(0, false);
    pair.sleep(6);
    block_on(pair.failover.tick(&pair.cx));
    assert_eq!(pair.count(None).unwrap(), 2, "writes go on, and are not hidden when it is back");
}

#[test]
fn what_this_handle_wrote_is_copied_from_memory_when_the_primary_dies() {
    let pair = pair(config());
    pair.write(1).unwrap();
    pair.pull(0, true);
    assert_eq!(pair.count(None).unwrap(), 1);
}

#[test]
fn what_only_the_primary_has_is_not_hidden_while_it_is_away() {
    let pair = pair(config());
    pair.write(1).unwrap();
    pair.pull(0, true);
    // The next life knows nothing of it.
    let pair = again(pair, config());
    let error = pair.count(None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let other = SessionId::new("never written").unwrap();
    assert_eq!(block_on(pair.failover.session(&pair.cx, &other)).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn what_a_secondary_may_have_that_was_never_read_is_not_denied() {
    let single = || config().processes(Processes::Single);
    let pair = pair(single());
    pair.pull(0, true);
    pair.write(1).unwrap();
    pair.pull(0, false);
    pair.pull(1, true);
    // The next life meets the primary alone.
    let pair = again(pair, single());
    assert_eq!(pair.count(None).unwrap_err().kind(), ErrorKind::Unavailable);
    let list = || block_on(pair.failover.sessions(&pair.cx, &SessionQuery::new()));
    assert_eq!(list().unwrap_err().kind(), ErrorKind::Unavailable);
    let other = SessionId::new("begun meanwhile").unwrap();
    block_on(pair.failover.write(&pair.cx, &other, &[message(2)], &WriteOptions::fresh())).unwrap();
    assert_eq!(list().unwrap().items.len(), 1);
    pair.pull(1, false);
    pair.sleep(6);
    block_on(pair.failover.tick(&pair.cx));
    assert_eq!((pair.count(None).unwrap(), list().unwrap().items.len()), (1, 2));
    let other = SessionId::new("never written").unwrap();
    assert!(block_on(pair.failover.session(&pair.cx, &other)).unwrap().is_none());
}

#[test]
fn a_leg_that_hangs_does_not_keep_the_others_from_opening() {
    for hangs in [0, 1] {
        let pair = pair(config());
        pair.plugs[hangs].hang(true);
        let before = pair.cx.clock.now();
        // No deadline.
        let pair = again(pair, config());
        assert_eq!(pair.cx.clock.now() - before, Duration::from_secs(5), "it costs what a call may take, once");
        pair.write(1).unwrap();
        assert!(!pair.failover.legs()[hangs].answers && pair.failover.legs()[hangs].failure.is_some());
        pair.plugs[hangs].hang(false);
        pair.sleep(6);
        block_on(pair.failover.tick(&pair.cx));
        assert_eq!((pair.count(Some(0)).unwrap(), pair.count(Some(1)).unwrap()), (1, 1));
        assert_eq!(pair.failover.legs()[hangs].failure, None);
    }
}

/// A store that cannot be opened, for this reason.
#[derive(Debug)]
struct Refuses(Mutex<Option<ErrorKind>>);

#[async_trait]
impl Around for Refuses {
    async fn around<T, F, Fut>(&self, operation: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        let refuses = *self.0.lock().unwrap();
        match refuses.filter(|_| operation == Operation::Prepare) {
            Some(kind) => Err(Error::new(kind, "a file is not what it was")),
            None => call(cx.clone()).await,
        }
    }
}

#[test]
fn a_damaged_primary_is_away_but_a_wrong_configuration_is_an_error() {
    let refuses = Arc::new(Refuses(Mutex::new(None)));
    let primary = Arc::new(Surrounded::new(Arc::clone(&refuses), Arc::new(Memory::new()))) as DynBackend;
    let secondary = Arc::new(Memory::new()) as DynBackend;
    let Pair { cx, .. } = pair(config());
    let open = |kind: Option<ErrorKind>, mode| {
        *refuses.0.lock().unwrap() = kind;
        let legs = Failover::builder("primary", Arc::clone(&primary)).secondary("secondary", Arc::clone(&secondary));
        let failover = legs.config(config()).clock(Arc::clone(&cx.clock)).build()?;
        block_on(failover.prepare(&cx, mode)).map(|_| failover)
    };
    let load = |failover: &Failover| block_on(failover.load(&cx, &session(), &MessageQuery::oldest_first()));
    let failover = open(None, Prepare::Migrate).unwrap();
    block_on(failover.write(&cx, &session(), &[message(1)], &WriteOptions::fresh())).unwrap();
    block_on(failover.heal(&cx));
    for kind in [ErrorKind::ConfigInvalid, ErrorKind::SchemaTooNew, ErrorKind::PermissionDenied] {
        assert_eq!(open(Some(kind), Prepare::Open).unwrap_err().kind(), kind);
    }
    assert_eq!(open(Some(ErrorKind::Corrupted), Prepare::Check).unwrap_err().kind(), ErrorKind::Corrupted);
    let failover = open(Some(ErrorKind::Corrupted), Prepare::Open).unwrap();
    assert_eq!(load(&failover).unwrap().items.len(), 1);
    block_on(failover.write(&cx, &session(), &[message(2)], &WriteOptions::fresh())).unwrap();
    let failure = failover.legs()[0].failure.clone().unwrap();
    assert!(failure.contains("damaged") && failure.contains("a file is not what it was"), "{failure}");
    // It was mended.
    *refuses.0.lock().unwrap() = None;
    block_on(cx.clock.sleep(Duration::from_secs(6)));
    block_on(failover.tick(&cx));
    assert_eq!(block_on(primary.load(&cx, &session(), &MessageQuery::oldest_first())).unwrap().items.len(), 2);
}

#[test]
fn a_new_conversation_can_begin_during_an_outage() {
    let pair = pair(config().processes(Processes::Single));
    pair.pull(0, true);
    assert!(block_on(pair.failover.session(&pair.cx, &session())).unwrap().is_none());
    pair.write(1).unwrap();
    assert_eq!(pair.count(None).unwrap(), 1);
}

#[test]
fn mirroring_at_once_leaves_both_with_it_before_it_is_acknowledged() {
    let pair = pair(config().mirror(Mirror::Sync));
    pair.write(1).unwrap();
    assert_eq!((pair.count(Some(0)).unwrap(), pair.count(Some(1)).unwrap()), (1, 1));
    pair.pull(1, true);
    pair.write(2).unwrap();
    assert_eq!((pair.count(Some(0)).unwrap(), pair.count(Some(1)).unwrap()), (2, 1));
}

#[test]
fn a_secondary_does_not_keep_what_the_primary_refuses() {
    let another = |n| match message(n) {
        Record::Message(mut message) => {
            message.content = "other".into();
            Record::Message(message)
        }
        other => other,
    };
    let pair = pair(config().mirror(Mirror::Sync).processes(Processes::Single));
    pair.pull(1, true);
    pair.write(1).unwrap();
    pair.pull(1, false);
    pair.sleep(6);
    // The secondary is back, and lacks the first one still.
    block_on(pair.failover.status(&pair.cx)).unwrap();
    let records = [another(1)];
    let refused = block_on(pair.failover.write(&pair.cx, &session(), &records, &WriteOptions::fresh())).unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Conflict, Outcome::NotApplied));
    block_on(pair.failover.heal(&pair.cx));
    // Now it would know better itself, and both are asked at the same time.
    let refused = block_on(pair.failover.write(&pair.cx, &session(), &records, &WriteOptions::fresh())).unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Conflict, Outcome::NotApplied));
    assert_eq!((pair.count(Some(0)).unwrap(), pair.count(Some(1)).unwrap()), (1, 1));
}

/// Lets writes go on only when both legs have been asked.
#[derive(Debug)]
struct Together(AtomicU64);

#[async_trait]
impl Around for Together {
    async fn around<T, F, Fut>(&self, operation: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        if operation == Operation::Write && cx.tenant == Tenant::default() {
            self.0.fetch_add(1, Ordering::Relaxed);
            poll_fn(|task| {
                task.waker().wake_by_ref();
                if self.0.load(Ordering::Relaxed) < 2 { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        }
        call(cx.clone()).await
    }
}

#[test]
fn legs_that_are_equal_are_written_at_the_same_time() {
    let together = Arc::new(Together(AtomicU64::new(0)));
    let leg = || Arc::new(Surrounded::new(Arc::clone(&together), Arc::new(Memory::new()))) as DynBackend;
    let config = config().mirror(Mirror::Sync).processes(Processes::Single);
    let failover = Failover::builder("primary", leg()).secondary("secondary", leg()).config(config).build().unwrap();
    let cx = Context::system(Tenant::default());
    block_on(failover.prepare(&cx, Prepare::Migrate)).unwrap();
    block_on(failover.write(&cx, &session(), &[message(1)], &WriteOptions::fresh())).unwrap();
    assert_eq!(failover.legs().iter().map(|leg| leg.lacks).sum::<usize>(), 0);
}

#[test]
fn a_secondary_that_hangs_costs_its_share_once_where_it_is_written_at_the_same_time() {
    let mut pair = pair(config().mirror(Mirror::Sync).processes(Processes::Single));
    pair.plugs[1].hang(true);
    pair.cx = pair.cx.with_timeout(Duration::from_secs(4));
    let took = [1, 2, 3].map(|n| pair.time_of_write(n));
    assert_eq!(took, [Duration::from_secs(2), Duration::ZERO, Duration::ZERO]);
}

#[test]
fn a_session_is_marked_once_and_not_for_every_write() {
    let pair = pair(config());
    let calls = |n| {
        let before = pair.calls(0);
        pair.write(n).unwrap();
        pair.calls(0) - before
    };
    assert_eq!((calls(1), calls(2), calls(3)), (2, 1, 1), "the mark and the write, then writes alone");
}

#[test]
fn a_session_has_one_mark_in_a_leg_for_as_long_as_it_is_written_to() {
    let marks = |pair: &Pair, leg: usize| {
        let ours = pair.cx.clone().with_tenant(Tenant::new("craftx.failover").unwrap());
        let query = SessionQuery::new().prefix("marks-").include(Include::All);
        let owners = block_on(pair.stores[leg].sessions(&ours, &query)).unwrap().items;
        let records = |owner: &SessionId| block_on(pair.stores[leg].records(&ours, owner, None, None)).unwrap().items;
        // Deletions count too: each write to the session of the marks is a sync.
        owners.iter().map(|owner| records(&owner.id).len()).sum::<usize>()
    };
    for (mirror, held) in [(Mirror::Async, (1, 0)), (Mirror::Sync, (1, 1))] {
        let pair = pair(config().mirror(mirror).processes(Processes::Single));
        for n in 1..=90 {
            pair.write(n).unwrap();
            // Shorter than a mark lingers; the healer copies, and looks for marks to take away.
            pair.sleep(1);
            block_on(pair.failover.tick(&pair.cx));
            assert_eq!((marks(&pair, 0), marks(&pair, 1)), held, "{mirror:?}, write {n}");
        }
        assert_eq!(pair.count(Some(1)).unwrap(), 90);
    }
}

#[test]
fn without_any_leg_nothing_is_half_done() {
    let pair = pair(config());
    pair.pull(0, true);
    pair.pull(1, true);
    let error = pair.write(1).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
    pair.pull(0, false);
    pair.pull(1, false);
    pair.sleep(6);
    pair.write(2).unwrap();
    assert_eq!(pair.count(None).unwrap(), 1);
}

#[test]
fn a_leg_that_hangs_costs_its_share_of_the_deadline_once() {
    let mut pair = pair(config());
    pair.plugs[0].hang(true);
    pair.cx = pair.cx.with_timeout(Duration::from_secs(4));
    let took = [1, 2, 3].map(|n| pair.time_of_write(n));
    assert_eq!(took, [Duration::from_secs(2), Duration::ZERO, Duration::ZERO]);
}

#[test]
fn a_leg_that_flaps_is_switched_to_once_in_a_breaker_period() {
    let pair = pair(config());
    let mut asked = Vec::new();
    for n in 0..20 {
        pair.pull(0, n % 2 == 0);
        let before = pair.calls(0);
        pair.write(n).unwrap();
        asked.push(pair.calls(0) > before);
        block_on(pair.failover.tick(&pair.cx));
    }
    assert_eq!(asked.iter().filter(|asked| **asked).count(), 1, "the first write alone found the primary away");
}

#[test]
fn expectations_are_answered_by_the_primary_alone() {
    let pair = pair(config());
    let first = block_on(pair.failover.write(
        &pair.cx,
        &session(),
        &[message(1)],
        &WriteOptions::fresh().expecting(Expect::New),
    ));
    let version = first.unwrap().version.unwrap();
    pair.pull(0, true);
    let expecting = |n| {
        let options = WriteOptions::fresh().expecting(Expect::Version(version));
        block_on(pair.failover.write(&pair.cx, &session(), &[message(n)], &options))
    };
    let error = expecting(2).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
    pair.write(3).unwrap();
    pair.pull(0, false);
    pair.sleep(6);
    block_on(pair.failover.tick(&pair.cx));
    assert_eq!(expecting(4).unwrap_err().kind(), ErrorKind::Conflict, "the primary has heard of the third");
}

#[test]
fn deletions_are_forgotten_only_while_all_legs_are_equal() {
    let pair = pair(config());
    pair.write(1).unwrap();
    pair.pull(1, true);
    let purge = || block_on(pair.failover.compact(&pair.cx, &Compact::new().purge_deleted_before(Stamp::MAX)));
    assert_eq!(purge().unwrap_err().kind(), ErrorKind::Unavailable);
    pair.pull(1, false);
    pair.sleep(6);
    block_on(pair.failover.tick(&pair.cx));
    purge().unwrap();
    assert_eq!(pair.count(Some(1)).unwrap(), 1);
}

#[test]
fn marks_are_hidden_and_go_when_the_legs_are_equal() {
    let pair = pair(config());
    pair.write(1).unwrap();
    let ours = pair.cx.clone().with_tenant(Tenant::new("craftx.failover").unwrap());
    let marks = |leg: usize| {
        let page = block_on(pair.stores[leg].sessions(&ours, &SessionQuery::new().prefix("marks-"))).unwrap();
        page.items.len()
    };
    assert_eq!((marks(0), marks(1)), (1, 0));
    let tenants = block_on(pair.failover.tenants(&pair.cx, None)).unwrap().items;
    assert_eq!(tenants, [Tenant::default()]);
    assert!(block_on(pair.failover.sessions(&ours, &SessionQuery::new())).unwrap().items.is_empty());
    let anybody = Context::new(ours.tenant.clone()).with_clock(pair.cx.clock.clone());
    let refused = block_on(pair.failover.sessions(&anybody, &SessionQuery::new())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(block_on(pair.failover.heal(&pair.cx)).done);
    assert_eq!((marks(0), marks(1)), (0, 0));
}

#[test]
fn a_cursor_belongs_to_the_leg_that_gave_it() {
    let pair = pair(config().processes(Processes::Single));
    for n in 1..4 {
        let session = SessionId::new(format!("s{n}")).unwrap();
        block_on(pair.failover.write(&pair.cx, &session, &[message(n)], &WriteOptions::fresh())).unwrap();
    }
    block_on(pair.failover.heal(&pair.cx));
    let query = SessionQuery::new().limit(1);
    let cursor = block_on(pair.failover.sessions(&pair.cx, &query)).unwrap().next;
    pair.pull(0, true);
    // The first call finds out, and the cursor is of a leg that does not answer any more.
    let query = query.cursor(cursor);
    assert_eq!(block_on(pair.failover.sessions(&pair.cx, &query)).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(block_on(pair.failover.sessions(&pair.cx, &query)).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(block_on(pair.failover.sessions(&pair.cx, &query.cursor(None))).unwrap().items.len(), 1);
}

#[test]
fn legs_and_comparison_tell_what_is_missing() {
    let pair = pair(config());
    pair.pull(1, true);
    pair.write(1).unwrap();
    let legs = pair.failover.legs();
    assert_eq!((legs[0].holds, legs[1].lacks, legs[0].lacks), (1, 1, 0));
    assert!(legs[0].oldest_mark.is_some() && &*legs[1].name == "secondary");
    let compared = block_on(pair.failover.compare(&pair.cx));
    assert_eq!(
        (compared.sessions, compared.unread.len(), compared.differing.len()),
        (1, 1, 0),
        "nobody to compare with"
    );
    pair.pull(1, false);
    pair.sleep(6);
    block_on(pair.failover.status(&pair.cx)).unwrap();
    let direct = [message(9)];
    block_on(pair.stores[1].write(&pair.cx, &session(), &direct, &WriteOptions::fresh())).unwrap();
    block_on(pair.failover.tick(&pair.cx));
    let compared = block_on(pair.failover.compare(&pair.cx));
    assert_eq!(compared.differing[0].legs, [Arc::from("secondary")], "what was written past the failover is found");
}

#[test]
fn a_closed_failover_is_closed() {
    let pair = pair(config());
    pair.write(1).unwrap();
    block_on(pair.failover.close(&pair.cx)).unwrap();
    block_on(pair.failover.close(&pair.cx)).unwrap();
    assert_eq!(pair.write(2).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn the_thread_mirrors_by_itself() {
    let secondary: DynBackend = Arc::new(Memory::new());
    let builder = Failover::builder("primary", Arc::new(Memory::new())).secondary("secondary", Arc::clone(&secondary));
    let failover = builder.config(FailoverConfig::default().heal_interval_ms(10)).build().unwrap();
    let cx = Context::system(Tenant::default());
    block_on(failover.prepare(&cx, Prepare::Migrate)).unwrap();
    block_on(failover.write(&cx, &session(), &[message(1)], &WriteOptions::fresh())).unwrap();
    // The kit fails a test that takes minutes; a copy takes microseconds.
    while block_on(secondary.load(&cx, &session(), &MessageQuery::oldest_first())).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let build = |config| {
        let memory = || Arc::new(Memory::new()) as DynBackend;
        Failover::builder("a", memory()).secondary("b", memory()).config(config).build()
    };
    for (config, key) in [
        (FailoverConfig::default().timeout_ms(0), "`timeout_ms`"),
        (FailoverConfig::default().mark_lease_ms(10_000), "`mark_lease_ms`"),
    ] {
        let error = build(config).unwrap_err();
        assert_eq!((error.kind(), error.get("key")), (ErrorKind::ConfigInvalid, Some(key)));
    }
    assert!(build(FailoverConfig::default().mark_lease_ms(10_000).processes(Processes::Single)).is_ok());
    let alone = Failover::builder("a", Arc::new(Memory::new())).build();
    assert_eq!(alone.unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

#[test]
fn a_breaker_of_which_one_key_is_given_is_still_that_of_a_leg() {
    let config: FailoverConfig = serde_json::from_str(r#"{"breaker":{"open_ms":1000}}"#).unwrap();
    assert_eq!(config, FailoverConfig::default().breaker(FailoverConfig::default().breaker.open_ms(1_000)));
    assert!(serde_json::from_str::<FailoverConfig>(r#"{"breaker":{"open":1}}"#).is_err());
}
