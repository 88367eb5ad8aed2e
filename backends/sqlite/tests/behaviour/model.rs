//! Random histories, hostile ones among them, give what the reference store in memory gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use craftx_core::union::SessionSet;
use craftx_core::{
    Backend, Compact, Context, Cursor, Error, Expect, Grant, Include, ManualClock, Memory, Message, MessageQuery, Page,
    Record, Result, Role, Scope, Session, SessionId, SessionOrder, SessionQuery, Stamp, Tenant, WriteOptions, json,
};
use craftx_sqlite::{Durability, Sqlite, SqliteConfig};
use proptest::prelude::*;
use proptest::sample::select;

use super::{at, open_with, run};

/// Few stamps, so that records meet; more of them than pages have entries.
fn stamp() -> impl Strategy<Value = Stamp> {
    (1..14u64).prop_map(at)
}

fn record() -> impl Strategy<Value = Record> {
    let value = || {
        select(vec!["null", "1", "1.0", "-0.0", "\"a\"", "{\"a\":1,\"b\":2}", "[]"])
            .prop_map(|text| json::parse(text).unwrap())
    };
    let key = || select(vec!["a", "b", "c\0"]).prop_map(str::to_owned);
    let name = || select(vec!["ann", "bob", "editors"]).prop_map(str::to_owned);
    let grant = (name(), prop::collection::vec(Just("read".to_owned()), 0..2));
    prop_oneof![
        6 => (stamp(), select(vec!["\"a\"", "\"b\\u0000\"", "[]"])).prop_map(|(id, content)| {
            Record::Message(Message::new(id, Role::User, json::parse(content).unwrap()))
        }),
        3 => (stamp(), prop::collection::btree_map(key(), prop::option::of(value()), 0..3))
            .prop_map(|(stamp, set)| Record::Session { stamp, set }),
        2 => (stamp(), prop::option::of(name()), prop::collection::vec(grant, 0..3)).prop_map(|(stamp, owner, grants)| {
            let grants = grants.into_iter().map(|(to, actions)| Grant { to, actions }).collect();
            Record::Acl { stamp, owner, grants }
        }),
        // The stamps of tombstones need not be greater than what they cover: `Validate` sees to that, not the backend.
        2 => (stamp(), stamp()).prop_map(|(id, stamp)| Record::Deleted { id, stamp }),
        1 => (stamp(), stamp()).prop_map(|(through, stamp)| Record::Cleared { through, stamp }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Write { session: usize, records: Vec<Record>, replay: bool, expect: Expect },
    Repeat,
    Compact { session: Option<usize>, purge: Option<Stamp> },
}

fn step() -> impl Strategy<Value = Step> {
    let expect = prop_oneof![
        6 => Just(Expect::Anything),
        1 => Just(Expect::New),
        2 => stamp().prop_map(Expect::Version),
    ];
    prop_oneof![
        12 => (0..2usize, prop::collection::vec(record(), 0..5), any::<bool>(), expect)
            .prop_map(|(session, records, replay, expect)| Step::Write { session, records, replay, expect }),
        2 => Just(Step::Repeat),
        1 => (prop::option::of(0..2usize), prop::option::of(stamp()))
            .prop_map(|(session, purge)| Step::Compact { session, purge }),
    ]
}

/// What can be compared of an error: everything but its words about the medium.
fn told(error: &Error) -> (String, String, String) {
    (format!("{:?}", error.kind()), format!("{:?}", error.outcome()), error.to_string())
}

fn same<T: PartialEq + std::fmt::Debug>(ours: Result<T>, theirs: Result<T>) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.map_err(|error| told(&error)), theirs.map_err(|error| told(&error)));
    Ok(())
}

/// The whole set of a session, read by small pages.
pub(crate) fn set(store: &dyn Backend, cx: &Context, session: &SessionId) -> Vec<Record> {
    let mut set = SessionSet::new();
    let mut given = Vec::new();
    let mut from: Option<Cursor> = None;
    loop {
        let changes = run(store.records(cx, session, from.as_ref(), Some(2))).unwrap();
        for record in &changes.items {
            set.replay(record, record.identity(), Message::clone);
        }
        given.extend(changes.items);
        from = Some(changes.next);
        if changes.done {
            break;
        }
    }
    let mut records = set.to_records();
    // Keys may have arrived in other groups than those of the set; everything else is given as it is in the set.
    given.retain(|record| !matches!(record, Record::Session { .. }));
    assert!(given.iter().all(|record| records.contains(record)), "something is not canonical");
    // Variants of one message have no order.
    records.sort_by_key(Record::encode);
    records
}

fn ids(page: Page<Session>) -> Vec<Session> {
    assert!(page.next.is_none());
    page.items
}

fn queries() -> Vec<MessageQuery> {
    let oldest = MessageQuery::oldest_first;
    vec![
        oldest(),
        oldest().limit(2),
        MessageQuery::newest_first().limit(3),
        oldest().after(at(3)).before(at(9)),
        MessageQuery::newest_first().before(at(8)).limit(1),
        oldest().after(at(9)).before(at(3)),
        oldest().ids([at(5), at(2), at(5), at(11), at(13)]).limit(2),
        MessageQuery::newest_first().ids([at(5), at(2), at(7)]).after(at(2)),
        oldest().limit(0),
    ]
}

fn lists() -> Vec<SessionQuery> {
    let all = || SessionQuery::new().include(Include::All);
    let visible = |principals: &[&str], roles: &[&str]| Scope::Visible {
        principals: principals.iter().map(|name| (*name).to_owned()).collect(),
        roles: roles.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut lists = vec![
        SessionQuery::new(),
        all(),
        all().order(SessionOrder::RecentFirst),
        SessionQuery::new().order(SessionOrder::RecentFirst).prefix("s"),
        all().prefix("s1"),
        all().prefix("t"),
        all().scope(visible(&["ann"], &[])),
        all().scope(visible(&["bob"], &["editors"])),
        all().scope(visible(&[], &[])),
    ];
    for value in ["null", "1", "1.0", "0.0", "\"a\"", "{\"b\":2,\"a\":1}", "[]"] {
        lists.push(SessionQuery::new().metadata("a", json::parse(value).unwrap()));
    }
    lists.push(SessionQuery::new().metadata("c\0", 1).metadata("a", 1));
    lists
}

fn compare(ours: &Sqlite, theirs: &Memory, cx: &Context, sessions: &[SessionId]) -> Result<(), TestCaseError> {
    for session in sessions {
        prop_assert_eq!(set(ours, cx, session), set(theirs, cx, session));
        same(run(ours.session(cx, session)), run(theirs.session(cx, session)))?;
        for query in queries() {
            same(run(ours.load(cx, session, &query)), run(theirs.load(cx, session, &query)))?;
        }
    }
    for query in lists() {
        same(run(ours.sessions(cx, &query)).map(ids), run(theirs.sessions(cx, &query)).map(ids))?;
    }
    let (ours, theirs) = (run(ours.status(cx)).unwrap(), run(theirs.status(cx)).unwrap());
    prop_assert_eq!(ours.sessions, theirs.sessions);
    Ok(())
}

fn history(ours: &Sqlite, steps: Vec<Step>) -> Result<(), TestCaseError> {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let tenant = Tenant::new(format!("case {}", CASES.fetch_add(1, Ordering::Relaxed))).unwrap();
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_000)));
    let cx = Context::system(tenant).with_clock(Arc::clone(&clock) as _);
    let theirs = Memory::new();
    let sessions = ["s0", "s1"].map(|name| SessionId::new(name).unwrap());
    let mut last: Option<(usize, Vec<Record>, WriteOptions)> = None;
    for step in steps {
        clock.advance(Duration::from_millis(7));
        match step {
            Step::Write { session, records, replay, expect } => {
                let options = if replay { WriteOptions::replay() } else { WriteOptions::fresh() };
                let options = options.expecting(expect);
                let session_id = &sessions[session];
                same(
                    run(ours.write(&cx, session_id, &records, &options)),
                    run(theirs.write(&cx, session_id, &records, &options)),
                )?;
                last = Some((session, records, options));
            }
            Step::Repeat => {
                if let Some((session, records, options)) = &last {
                    let session_id = &sessions[*session];
                    same(
                        run(ours.write(&cx, session_id, records, options)),
                        run(theirs.write(&cx, session_id, records, options)),
                    )?;
                }
            }
            Step::Compact { session, purge } => {
                let mut what = Compact::new();
                if let Some(session) = session {
                    what = what.session(sessions[session].clone());
                }
                if let Some(before) = purge {
                    what = what.purge_deleted_before(before);
                }
                let (ours, theirs) = (run(ours.compact(&cx, &what)).unwrap(), run(theirs.compact(&cx, &what)).unwrap());
                prop_assert_eq!(ours.tombstones, theirs.tombstones);
            }
        }
    }
    compare(ours, &theirs, &cx, &sessions)
}

#[test]
fn every_history_gives_what_the_memory_backend_gives() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("model.db")).durability(Durability::ProcessCrash);
    let store = open_with(config);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner.run(&prop::collection::vec(step(), 1..12), |steps| history(&store, steps)).unwrap();
    run(store.close(&super::cx())).unwrap();
}
