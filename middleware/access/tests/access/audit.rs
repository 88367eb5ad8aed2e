//! What is told to the audit log, and what happens if it cannot be.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use craftx_access::{Access, Action, AuditConfig, AuditSink, Event, FileSink, Phase, StoreSink};
use craftx_core::{
    Backend, Context, DynBackend, Error, ErrorKind, Memory, MessageQuery, Outcome, Prepare, Record, Result,
    SearchQuery, SessionQuery, Tenant, WriteOptions, async_trait,
};
use futures_executor::block_on;
use serde_json::{Value, json};

use crate::house::{House, as_one, at, grant, name, nobody, rules, system, text};

/// Keeps events in memory, or refuses them from the n-th on.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<State>);

#[derive(Debug, Default)]
struct State {
    events: Mutex<Vec<Event>>,
    refuses: AtomicBool,
    refuses_ends: AtomicBool,
}

#[async_trait]
impl AuditSink for Kept {
    async fn open(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn record(&self, _: &Context, event: &Event) -> Result<()> {
        let is_end = !matches!(event.phase, Phase::Began | Phase::Denied);
        let refuses = self.0.refuses.load(Ordering::Relaxed) || is_end && self.0.refuses_ends.load(Ordering::Relaxed);
        match refuses {
            true => Err(Error::new(ErrorKind::StorageFull, "no space")),
            false => {
                self.0.events.lock().unwrap().push(event.clone());
                Ok(())
            }
        }
    }

    async fn close(&self, _: &Context) -> Result<()> {
        Ok(())
    }
}

impl Kept {
    /// The events since the last call: operation, actions, session, rule, phase.
    fn take(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.0.events.lock().unwrap());
        let short = |event: &Event| {
            let session = event.session.as_ref().map_or("-", |session| session.as_str()).to_owned();
            format!("{} {} {session} {} {:?}", event.operation, event.actions, event.rule, event.phase)
        };
        events.iter().map(short).collect()
    }
}

fn audited(config: AuditConfig) -> (House, Kept) {
    let kept = Kept::default();
    (House::with(Access::new(rules()).unwrap().audit(kept.clone(), &config)), kept)
}

#[test]
fn everything_but_plain_reading_is_told_before_and_after() {
    let (house, kept) = audited(AuditConfig::default());
    let ann = as_one("ann");
    house.say(&ann, "s", 1).unwrap();
    assert_eq!(kept.take(), ["write append s allow.0 Began", "write append s allow.0 Done"]);
    house.read(&ann, "s").unwrap();
    block_on(house.store().sessions(&ann, &SessionQuery::new())).unwrap();
    block_on(house.store().search(&ann, &SearchQuery::new("x"))).unwrap();
    block_on(house.store().session(&ann, &name("s"))).unwrap();
    assert!(kept.take().is_empty(), "what anybody reads of their own");
    grant(&house, "ann", "s", "bob", &[Action::Read]).unwrap();
    assert_eq!(kept.take(), ["grant admin s owner Began", "grant admin s owner Done"]);
    let clear = Record::Cleared { through: at(1), stamp: at(1_800_000_000_000) };
    house.write(&ann, "s", &[clear]).unwrap_err();
    assert_eq!(
        kept.take(),
        ["write delete s owner Began", "write delete s owner Failed(InvalidInput)"],
        "validation lies below"
    );
    block_on(house.store().records(&ann, &name("s"), None, None)).unwrap();
    assert_eq!(kept.take(), ["records export s owner Began", "records export s owner Done"]);
    block_on(house.store().load(&system(), &name("s"), &MessageQuery::oldest_first())).unwrap();
    assert_eq!(kept.take(), ["load read s system Began", "load read s system Done"], "each use of the system");
}

#[test]
fn what_is_refused_is_told_once() {
    let (house, kept) = audited(AuditConfig::default());
    house.say(&as_one("ann"), "s", 1).unwrap();
    kept.take();
    house.read(&as_one("bob"), "s").unwrap_err();
    house.read(&as_one("bob"), "missing").unwrap_err();
    house.say(&nobody(), "s", 1).unwrap_err();
    block_on(house.store().tenants(&as_one("root:operator"), None)).unwrap_err();
    block_on(house.store().write(&as_one("bob"), &name("s"), &[text(1)], &WriteOptions::replay())).unwrap_err();
    let told = kept.take();
    assert_eq!(
        told,
        [
            "load read s default Denied",
            "load read missing absent Denied",
            "write append s caller Denied",
            "tenants admin - default Denied",
            "write append+admin s default Denied"
        ]
    );
}

#[test]
fn reading_is_told_if_asked_for() {
    let (house, kept) = audited(AuditConfig::default().reads(true));
    house.say(&as_one("ann"), "s", 1).unwrap();
    kept.take();
    house.read(&as_one("ann"), "s").unwrap();
    block_on(house.store().sessions(&as_one("ann"), &SessionQuery::new())).unwrap();
    let told = kept.take();
    assert_eq!(
        told,
        [
            "load read s owner Began",
            "load read s owner Done",
            "sessions list - owner Began",
            "sessions list - owner Done"
        ]
    );
}

#[test]
fn what_cannot_be_told_is_not_done_if_the_log_fails_closed() {
    let (house, kept) = audited(AuditConfig::default().fail_closed(true).reads(true));
    house.say(&as_one("ann"), "s", 1).unwrap();
    kept.0.refuses.store(true, Ordering::Relaxed);
    let error = house.say(&as_one("ann"), "s", 2).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
    assert_eq!(house.read(&as_one("ann"), "s").unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(house.read(&as_one("bob"), "s").unwrap_err().kind(), ErrorKind::NotFound, "a denial is one");
    kept.0.refuses.store(false, Ordering::Relaxed);
    assert_eq!(house.read(&as_one("ann"), "s").unwrap(), 1, "it was not done");
    assert_eq!(house.guard().lost_events(), 3);
}

#[test]
fn what_was_done_and_could_not_be_told_has_an_unknown_outcome_if_the_log_fails_closed() {
    let (house, kept) = audited(AuditConfig::default().fail_closed(true).reads(true));
    house.say(&as_one("ann"), "s", 1).unwrap();
    kept.0.refuses_ends.store(true, Ordering::Relaxed);
    let error = house.say(&as_one("ann"), "s", 2).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    assert_eq!(house.read(&as_one("ann"), "s").unwrap_err().kind(), ErrorKind::Unavailable, "nothing is handed out");
    kept.0.refuses_ends.store(false, Ordering::Relaxed);
    let again = house.say(&as_one("ann"), "s", 2).unwrap();
    assert_eq!(again.known, Some(1), "a retry finds it done");
}

#[test]
fn without_failing_closed_what_is_lost_is_counted() {
    let (house, kept) = audited(AuditConfig::default());
    kept.0.refuses.store(true, Ordering::Relaxed);
    house.say(&as_one("ann"), "s", 1).unwrap();
    assert_eq!((house.read(&as_one("ann"), "s").unwrap(), house.guard().lost_events()), (1, 2));
}

#[test]
fn a_call_that_is_dropped_has_left_its_beginning() {
    let plug = Arc::new(craftx_conformance::Plug::default());
    let medium: DynBackend = Arc::new(craftx_core::Surrounded::new(Arc::clone(&plug), Arc::new(Memory::new())));
    let kept = Kept::default();
    let access = Access::new(rules()).unwrap().audit(kept.clone(), &AuditConfig::default());
    let store = craftx_core::Layer::apply(&access, medium).unwrap();
    let (ann, session) = (as_one("ann"), name("s"));
    block_on(store.write(&ann, &session, &[text(1)], &WriteOptions::fresh())).unwrap();
    kept.take();
    plug.hang(true);
    let (records, options) = ([text(2)], WriteOptions::fresh());
    let mut write = store.write(&ann, &session, &records, &options);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(write.as_mut().poll(&mut cx).is_pending());
    drop(write);
    // The session was written just now, so what is remembered of it is asked for first.
    plug.hang(false);
    block_on(store.load(&ann, &session, &MessageQuery::oldest_first())).unwrap();
    plug.hang(true);
    let mut write = store.write(&ann, &session, &records, &options);
    assert!(write.as_mut().poll(&mut cx).is_pending());
    drop(write);
    assert_eq!(kept.take(), ["write append s owner Began"]);
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_file_has_one_object_a_line_and_no_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    std::fs::write(&path, "{\"cut\":").unwrap();
    let access = Access::new(rules()).unwrap().audit(FileSink::new(&path).sync(true), &AuditConfig::default());
    let house = House::with(access);
    block_on(house.store().prepare(&system(), Prepare::Migrate)).unwrap();
    house.say(&as_one("ann").with_request("r-7"), "s", 4_711).unwrap();
    house.read(&as_one("bob"), "s").unwrap_err();
    block_on(house.store().close(&system())).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("4711") && text.ends_with('\n'), "{text}");
    let (cut, rest) = text.split_once('\n').unwrap();
    assert_eq!(cut, "{\"cut\":", "what was there is not touched");
    std::fs::write(&path, rest).unwrap();
    let mut told = lines(&path);
    assert_eq!(told.len(), 7, "preparing, writing and closing twice each, and a refusal");
    let (began, done) = (told[2].clone(), told[3].clone());
    assert_eq!(began["call"], done["call"]);
    for event in &mut told {
        let time: craftx_core::Time = event["time"].as_str().unwrap().parse().unwrap();
        assert!(time.has_zone());
        (event["time"], event["call"]) = (json!("…"), json!("…"));
    }
    let wanted = json!({
        "v": 1, "time": "…", "call": "…", "request": "r-7", "caller": "principal", "principal": "ann",
        "tenant": "default", "operation": "write", "action": "append", "session": "s",
        "decision": "allow", "rule": "allow.0", "outcome": "done", "error": null,
    });
    assert_eq!(told[3], wanted);
    let wanted = json!({
        "v": 1, "time": "…", "call": "…", "request": null, "caller": "principal", "principal": "bob",
        "tenant": "default", "operation": "load", "action": "read", "session": "s",
        "decision": "deny", "rule": "default", "outcome": null, "error": null,
    });
    assert_eq!(told[4], wanted);
}

#[test]
#[cfg(unix)]
fn only_its_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    block_on(FileSink::new(&path).open(&system())).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_keeps_the_order_of_each_of_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let access = Access::new(rules()).unwrap().audit(FileSink::new(&path), &AuditConfig::default());
    let house = Arc::new(House::with(access));
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let house = Arc::clone(&house);
            std::thread::spawn(move || {
                for n in 1..=20 {
                    house.say(&as_one(&format!("p{task}")), &format!("s{task}"), n).unwrap();
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
    let told = lines(&path);
    assert_eq!(told.len(), 32 * 20 * 2);
    for task in 0..32 {
        let own: Vec<_> = told.iter().filter(|event| event["principal"] == format!("p{task}")).collect();
        for pair in own.chunks(2) {
            assert_eq!(pair[0]["call"], pair[1]["call"]);
            assert_eq!((&pair[0]["outcome"], &pair[1]["outcome"]), (&Value::Null, &json!("done")));
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_refuses_to_prepare() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::new(rules()).unwrap().audit(FileSink::new(folder.path()), &AuditConfig::default());
    let error = block_on(House::with(access).store().prepare(&system(), Prepare::Migrate)).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, "prepare"));
}

#[test]
fn a_store_keeps_the_log_as_a_session_in_order() {
    let log: Arc<Memory> = Arc::new(Memory::new());
    let tenant = Tenant::new("audit").unwrap();
    let told = || {
        let cx = Context::system(tenant.clone());
        let page = block_on(log.load(&cx, &name("log"), &MessageQuery::oldest_first())).unwrap();
        page.items.iter().map(|message| serde_json::to_value(&message.content).unwrap()).collect::<Vec<Value>>()
    };
    // Two lives of a process; the clock of the second is far behind.
    for (life, clock) in [(1, 2_000_000_000), (2, 1_000_000_000)] {
        let clock = craftx_core::ManualClock::new(std::time::UNIX_EPOCH + std::time::Duration::from_secs(clock));
        let sink = StoreSink::new(Arc::clone(&log) as DynBackend, tenant.clone(), name("log"));
        let house = House::with(Access::new(rules()).unwrap().audit(sink, &AuditConfig::default()));
        let clock: Arc<dyn craftx_core::Clock> = Arc::new(clock);
        block_on(house.store().prepare(&system().with_clock(Arc::clone(&clock)), Prepare::Migrate)).unwrap();
        house.say(&as_one("ann").with_clock(clock), &format!("s{life}"), 1).unwrap();
    }
    let told = told();
    let sessions: Vec<_> = told.iter().filter_map(|event| event["session"].as_str()).collect();
    assert_eq!(sessions, ["s1", "s1", "s2", "s2"], "{told:?}");
    assert_eq!(told.last().unwrap()["outcome"], "done");
}
