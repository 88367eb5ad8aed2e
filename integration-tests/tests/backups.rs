//! What `docs/operations.md` says of backups: a store that is copied while it is written gives a copy that opens and
//! holds everything that was acknowledged before the copying began.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use craftx_core::{
    Backend, Context, DynBackend, Include, Message, MessageQuery, Prepare, Record, Role, SessionId, SessionQuery,
    Stamp, Tenant, WriteOptions,
};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};
use futures_executor::block_on;

const COPIES: u64 = 15;
const SESSIONS: u64 = 4;

fn cx() -> Context {
    Context::system(Tenant::default())
}

fn session(number: u64) -> SessionId {
    SessionId::new(format!("s{}", number % SESSIONS)).unwrap()
}

fn stamp(ms: u64) -> Stamp {
    Stamp::mint(ms, None, 0).unwrap()
}

/// Writes batches of two messages until it is told to stop, deletes others, and erases them. `acknowledged` counts those that are durable.
fn write(store: &dyn Backend, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let text = format!("{number} {}", "x".repeat(usize::try_from(number * 37 % 3_000).unwrap()));
        let say = |ms: u64| Record::Message(Message::new(stamp(ms), Role::User, text.as_str()));
        let batch = [say(number * 10 + 1), say(number * 10 + 2)];
        block_on(store.write(&cx(), &session(number), &batch, &WriteOptions::fresh())).unwrap();
        let (short_lived, deletion) = (say(number * 10 + 3), stamp(number * 10 + 4));
        let deleted = Record::Deleted { id: short_lived.stamp(), stamp: deletion };
        for record in [short_lived, deleted] {
            block_on(store.write(&cx(), &session(number), &[record], &WriteOptions::fresh())).unwrap();
        }
        number += 1;
        acknowledged.store(number, Ordering::Release);
        if number.is_multiple_of(25) {
            block_on(store.compact(&cx(), &Default::default())).unwrap();
        }
    }
}

/// The numbers of the batches that a store holds; every batch must be whole.
fn batches(store: &dyn Backend) -> Vec<u64> {
    let mut found = Vec::new();
    let sessions = block_on(store.sessions(&cx(), &SessionQuery::new().include(Include::All))).unwrap().items;
    for session in sessions {
        let mut query = MessageQuery::oldest_first().limit(1_000);
        loop {
            let page = block_on(store.load(&cx(), &session.id, &query)).unwrap();
            let ids = page.items.iter().map(|message| message.id.millis());
            let mut ids = ids.filter(|id| *id < u64::from(u32::MAX) && id % 10 < 3);
            while let (Some(first), Some(second)) = (ids.next(), ids.next()) {
                assert_eq!((first % 10, second), (1, first + 1), "half of a batch");
                found.push(first / 10);
            }
            match page.items.last() {
                Some(last) if page.more => query = query.after(last.id),
                _ => break,
            }
        }
    }
    found.sort_unstable();
    found
}

/// Tells the writer to stop, also when a check has failed: the test would wait for it for ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Copies the store again and again while a thread writes it, and looks into each copy.
fn copies_are_whole(store: DynBackend, copy: impl Fn(&Path), open: impl Fn(&Path) -> DynBackend) {
    block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&*store, &stop, &acknowledged));
        let _stop = Stop(&stop);
        for copies in 1..=COPIES {
            while acknowledged.load(Ordering::Acquire) < copies * 20 && !writer.is_finished() {
                std::thread::yield_now();
            }
            let before = acknowledged.load(Ordering::Acquire);
            let folder = tempfile::tempdir().unwrap();
            copy(folder.path());
            let copied = open(folder.path());
            block_on(copied.prepare(&cx(), Prepare::Open)).unwrap();
            let found = batches(&*copied);
            assert!(found.iter().copied().take_while(|number| *number < before).eq(0..before), "{before}: {found:?}");
            // The copy can be written at once, as after a restore.
            let later = [Record::Message(Message::new(stamp(u64::from(u32::MAX)), Role::User, "later"))];
            block_on(copied.write(&cx(), &session(0), &later, &WriteOptions::fresh())).unwrap();
            block_on(copied.close(&cx())).unwrap();
        }
    });
}

#[test]
fn a_json_store_is_copied_file_by_file_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Arc::new(Json::new(&JsonConfig::new(path)).unwrap()) as DynBackend;
    let copy = |to: &Path| {
        for entry in folder.path().read_dir().unwrap() {
            let entry = entry.unwrap();
            // What is just being written beside its name is worthless, and so are the locks.
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && !entry.file_name().to_string_lossy().ends_with(".tmp") {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    };
    copies_are_whole(open(folder.path()), copy, open);
}

#[test]
fn a_sqlite_store_is_copied_by_vacuum_into_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Arc::new(Sqlite::new(SqliteConfig::new(path.join("craftx.db"))).unwrap()) as DynBackend;
    let copy = |to: &Path| {
        let from = rusqlite::Connection::open(folder.path().join("craftx.db")).unwrap();
        from.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        from.execute("VACUUM INTO ?1", [to.join("craftx.db").to_str().unwrap()]).unwrap();
    };
    copies_are_whole(open(folder.path()), copy, open);
}

/// The control: what must not be done loses what is still in the log, and is found out.
#[test]
#[should_panic]
fn a_sqlite_file_copied_without_its_log_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Arc::new(Sqlite::new(SqliteConfig::new(path.join("craftx.db"))).unwrap()) as DynBackend;
    let copy = |to: &Path| {
        std::fs::copy(folder.path().join("craftx.db"), to.join("craftx.db")).unwrap();
    };
    copies_are_whole(open(folder.path()), copy, open);
}
