//! What holds for every call: deadlines, dropped futures, closing, cursors.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use craftx_core::{
    Backend, Binding, Compact, Context, Cursor, ErrorKind, Grant, ManualClock, MessageQuery, Prepare, Record,
    SearchQuery, SessionOrder, SessionQuery, Tenant, WriteOptions,
};
use craftx_sqlite::{Sqlite, SqliteConfig};

use super::{at, close, cx, id, message, open, run, texts, write};

/// The kind of error of every call that needs an open store.
fn kinds(store: &Sqlite, cx: &Context) -> Vec<ErrorKind> {
    let a = id("a");
    run(async {
        vec![
            store.write(cx, &a, &[message(1, "a")], &WriteOptions::fresh()).await.unwrap_err().kind(),
            store.load(cx, &a, &MessageQuery::oldest_first()).await.unwrap_err().kind(),
            store.records(cx, &a, None, None).await.unwrap_err().kind(),
            store.session(cx, &a).await.unwrap_err().kind(),
            store.sessions(cx, &SessionQuery::new()).await.unwrap_err().kind(),
            store.search(cx, &SearchQuery::new("a")).await.unwrap_err().kind(),
            store.tenants(cx, None).await.unwrap_err().kind(),
            store.compact(cx, &Compact::new()).await.unwrap_err().kind(),
            store.status(cx).await.unwrap_err().kind(),
        ]
    })
}

#[test]
fn a_store_is_closed_before_it_is_prepared_and_after_it_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::new(SqliteConfig::new(folder.path().join("chat.db"))).unwrap();
    assert_eq!(kinds(&store, &cx()), [ErrorKind::Closed; 9]);
    run(store.prepare(&cx(), Prepare::Migrate)).unwrap();
    run(store.prepare(&cx(), Prepare::Open)).unwrap();
    write(&store, "a", &[message(1, "a")]).unwrap();
    run(store.close(&cx())).unwrap();
    run(store.close(&cx())).unwrap();
    assert_eq!(kinds(&store, &cx()), [ErrorKind::Closed; 9]);
    assert_eq!(run(store.prepare(&cx(), Prepare::Open)).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_deadline_that_has_passed_is_a_timeout_and_nothing_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("chat.db"));
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH));
    let late = cx().with_clock(Arc::clone(&clock) as _).with_timeout(Duration::from_secs(1));
    clock.advance(Duration::from_secs(2));
    assert_eq!(kinds(&store, &late), [ErrorKind::Timeout; 9]);
    assert!(run(store.session(&cx(), &id("a"))).unwrap().is_none());
    close(store);
}

#[test]
fn a_write_whose_future_was_dropped_happened_once_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("chat.db"));
    let session = id("a");
    let options = WriteOptions::fresh();
    for ms in 1..=200 {
        let cx = cx();
        let records = [message(ms, &ms.to_string())];
        let mut future = pin!(store.write(&cx, &session, &records, &options));
        let polled = future.as_mut().poll(&mut Task::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(_))));
    }
    for ms in (1..=200).rev() {
        write(&store, "a", &[message(ms, &ms.to_string())]).unwrap();
    }
    let expected: Vec<_> = (1..=200).map(|ms| ms.to_string()).collect();
    assert_eq!(texts(&store, "a"), expected);
    close(store);
}

#[test]
fn dropped_reads_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("chat.db"));
    write(&store, "a", &[message(1, "a")]).unwrap();
    let (cx, session, query) = (cx(), id("a"), MessageQuery::oldest_first());
    for _ in 0..500 {
        let mut future = pin!(store.load(&cx, &session, &query));
        let _ = future.as_mut().poll(&mut Task::from_waker(Waker::noop()));
    }
    assert_eq!(texts(&store, "a"), ["a"]);
    close(store);
}

#[test]
fn closing_waits_for_the_writes_that_are_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = open(&path);
    let (session, options, cx) = (id("a"), WriteOptions::fresh(), cx());
    let records: Vec<[Record; 1]> = (1..=100).map(|ms| [message(ms, "a")]).collect();
    let writes = records.iter().map(|records| store.write(&cx, &session, records, &options));
    let (results, closed) = run(futures_util::future::join(futures_util::future::join_all(writes), store.close(&cx)));
    closed.unwrap();
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(texts(&open(&path), "a").len(), 100);
}

#[test]
fn a_cursor_of_another_store_has_expired_and_one_of_another_session_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = (open(&folder.path().join("a.db")), open(&folder.path().join("b.db")));
    for store in [&store, &other] {
        write(store, "a", &[message(1, "a"), message(2, "b"), message(3, "c")]).unwrap();
    }
    let first = run(store.records(&cx(), &id("a"), None, Some(2))).unwrap();
    assert!(!first.done && first.items.len() == 2);
    let rest = run(store.records(&cx(), &id("a"), Some(&first.next), None)).unwrap();
    assert_eq!((rest.items, rest.done), (vec![message(3, "c")], true));
    let error = run(other.records(&cx(), &id("a"), Some(&first.next), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = run(store.records(&cx(), &id("b"), Some(&first.next), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let elsewhere = cx().with_tenant(Tenant::new("x").unwrap());
    let error = run(store.records(&elsewhere, &id("a"), Some(&first.next), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // An older copy of the file comes back from a backup: its numbers will be given to other records.
    let store_id = run(store.status(&cx())).unwrap().store;
    let binding = Binding::new("records", &Tenant::default(), ["a"]);
    let future = Cursor::new(&binding, format_args!("{store_id}.99"));
    assert_eq!(run(store.records(&cx(), &id("a"), Some(&future), None)).unwrap_err().kind(), ErrorKind::Conflict);
    for store in [store, other] {
        close(store);
    }
}

#[test]
fn sessions_are_listed_by_pages_in_both_orders() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.db"));
    let names = ["a", "B", "ä", "a b", "aa", "\u{10ffff}", "a\u{10ffff}b"];
    for (name, ms) in names.iter().zip(1..) {
        write(&store, name, &[message(ms, "x")]).unwrap();
    }
    let list = |query: SessionQuery| {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = run(store.sessions(&cx(), &query.clone().limit(2).cursor(cursor))).unwrap();
            found.extend(page.items.into_iter().map(|session| session.id.as_str().to_owned()));
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(list(SessionQuery::new()), sorted);
    let newest: Vec<_> = names.iter().rev().copied().collect();
    assert_eq!(list(SessionQuery::new().order(SessionOrder::RecentFirst)), newest);
    assert_eq!(list(SessionQuery::new().prefix("a")), ["a", "a b", "aa", "a\u{10ffff}b"]);
    assert_eq!(list(SessionQuery::new().prefix("%")), Vec::<String>::new());
    write(&store, "a", &[message(100, "x")]).unwrap();
    assert_eq!(list(SessionQuery::new().order(SessionOrder::RecentFirst).prefix("a"))[0], "a");
    close(store);
}

#[test]
fn who_loses_a_grant_is_forgotten_by_the_index_of_lists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path);
    let acl = |ms, to: &str| Record::Acl {
        stamp: at(ms),
        owner: Some("ann".into()),
        grants: vec![Grant { to: to.into(), actions: vec!["read".into()] }],
    };
    write(&store, "a", &[acl(1, "bob")]).unwrap();
    write(&store, "a", &[acl(2, "eve"), acl(3, "joe")]).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    let mut select = raw.prepare("SELECT name FROM visible_to ORDER BY name").unwrap();
    let names: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(names, ["ann", "joe"]);
    close(store);
}

#[test]
fn only_the_system_is_told_of_other_tenants_and_of_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.db"));
    write(&store, "a", &[message(1, "x")]).unwrap();
    let tenant = Tenant::new("b").unwrap();
    let other = Context::new(tenant.clone());
    run(store.write(&other, &id("a"), &[message(1, "y")], &WriteOptions::fresh())).unwrap();
    let status = run(store.status(&other)).unwrap();
    assert_eq!((status.sessions, status.bytes), (Some(1), None));
    assert_eq!(run(store.tenants(&other, None)).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(run(store.tenants(&cx(), None)).unwrap().items, [tenant, Tenant::default()]);
    assert_eq!(texts(&store, "a"), ["x"]);
    close(store);
}
