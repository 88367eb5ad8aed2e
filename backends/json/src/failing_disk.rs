//! Tests: what becomes of a write when the disk fails, and how much a call asks of the disk.

use std::io;
use std::path::{Path, PathBuf};

use craftx_core::{
    Backend, Compact, Context, Error, ErrorKind, Message, MessageQuery, Outcome, Prepare, Record, Result, Retry, Role,
    SessionId, Stamp, Tenant, WriteOptions, Written,
};
use futures_executor::block_on;

use crate::file::Call::{Create, Read, Remove, Rename, SetLen, Sync, SyncDir, Write};
use crate::file::{Call, Disk};
use crate::{Durability, Json, JsonConfig};

struct Rig {
    dir: tempfile::TempDir,
    disk: Disk,
    store: Json,
    cx: Context,
}

impl Rig {
    fn new() -> Self {
        Self::with(|config| config)
    }

    fn with(change: impl FnOnce(JsonConfig) -> JsonConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let store = Json::on(&change(JsonConfig::new(dir.path())), disk.clone()).unwrap();
        let rig = Self { dir, disk, store, cx: Context::system(Tenant::default()) };
        block_on(rig.store.prepare(&rig.cx, Prepare::Migrate)).unwrap();
        rig.disk.faults.seen();
        rig
    }

    /// The same folder on a new handle. The old one must refuse to write.
    fn opened_again(self) -> Self {
        let error = self.write(100..101).unwrap_err();
        assert_error(&error, ErrorKind::Unavailable, Outcome::NotApplied);
        let store = Json::on(&JsonConfig::new(self.dir.path()), self.disk.clone()).unwrap();
        block_on(store.prepare(&self.cx, Prepare::Open)).unwrap();
        Self { store, ..self }
    }

    fn fail(&self, call: Call, skip: usize, kind: io::ErrorKind) {
        self.disk.faults.fail(call, skip, kind);
    }

    fn write(&self, ms: std::ops::Range<u64>) -> Result<Written> {
        let records: Vec<Record> = ms.map(message).collect();
        block_on(self.store.write(&self.cx, &session(), &records, &WriteOptions::fresh()))
    }

    fn texts(&self) -> Vec<String> {
        texts(&self.store, &self.cx)
    }

    /// What another process finds in the folder.
    fn texts_elsewhere(&self) -> Vec<String> {
        let other = Json::new(&JsonConfig::new(self.dir.path())).unwrap();
        block_on(other.prepare(&self.cx, Prepare::Open)).unwrap();
        texts(&other, &self.cx)
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("s.jsonl")
    }
}

fn session() -> SessionId {
    SessionId::new("s").unwrap()
}

fn message(ms: u64) -> Record {
    Record::Message(Message::new(Stamp::mint(ms, None, 0).unwrap(), Role::User, format!("text {ms}")))
}

fn texts(store: &Json, cx: &Context) -> Vec<String> {
    match block_on(store.load(cx, &session(), &MessageQuery::oldest_first().limit(1_000))) {
        Ok(messages) => messages.items.iter().map(|message| message.text().unwrap().to_owned()).collect(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            Vec::new()
        }
    }
}

fn named(ms: std::ops::Range<u64>) -> Vec<String> {
    ms.map(|ms| format!("text {ms}")).collect()
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn assert_error(error: &Error, kind: ErrorKind, outcome: Outcome) {
    assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error:?}");
    assert_eq!(error.operation(), "write");
    assert!(error.get("session").is_some());
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_batch_loses_nothing_and_goes_on_later() {
    let rig = Rig::new();
    rig.write(0..3).unwrap();
    let before = bytes(&rig.log());
    rig.fail(Write, 0, io::ErrorKind::StorageFull);
    for _ in 0..3 {
        let error = rig.write(3..6).unwrap_err();
        assert_error(&error, ErrorKind::StorageFull, Outcome::NotApplied);
        assert_eq!(error.retry(), Retry::Later);
        assert_eq!(bytes(&rig.log()), before);
        assert_eq!(rig.texts(), named(0..3));
    }
    rig.disk.faults.heal();
    rig.write(3..6).unwrap();
    assert_eq!(rig.texts(), named(0..6));
    assert_eq!(rig.texts_elsewhere(), named(0..6));
}

#[test]
fn a_first_write_that_fails_leaves_no_file() {
    let rig = Rig::new();
    rig.fail(Write, 0, io::ErrorKind::StorageFull);
    assert_error(&rig.write(0..1).unwrap_err(), ErrorKind::StorageFull, Outcome::NotApplied);
    assert!(!rig.log().exists());
    assert!(rig.texts().is_empty());
}

#[test]
fn a_failed_sync_poisons_the_store_and_reads_go_on() {
    let rig = Rig::new();
    rig.write(0..3).unwrap();
    rig.fail(Sync, 0, io::ErrorKind::Other);
    let error = rig.write(3..4).unwrap_err();
    assert_error(&error, ErrorKind::Unavailable, Outcome::Unknown);
    assert_eq!(error.retry(), Retry::Never, "not on this store");
    rig.disk.faults.heal();
    // A sync would succeed now, and acknowledge what may never have reached the disk.
    let error = rig.write(3..4).unwrap_err();
    assert_error(&error, ErrorKind::Unavailable, Outcome::NotApplied);
    assert_eq!(error.retry(), Retry::Never);
    assert!(error.to_string().contains("open the store again"));
    assert!(block_on(rig.store.compact(&rig.cx, &Compact::new())).is_err());
    assert_eq!(rig.texts(), named(0..3));
    let again = Json::new(&JsonConfig::new(rig.dir.path())).unwrap();
    block_on(again.prepare(&rig.cx, Prepare::Open)).unwrap();
    block_on(again.write(&rig.cx, &session(), &[message(3)], &WriteOptions::fresh())).unwrap();
    assert_eq!(texts(&again, &rig.cx), named(0..4));
}

#[test]
fn a_failed_sync_of_the_folder_poisons_the_store_too() {
    let rig = Rig::new();
    rig.fail(SyncDir, 0, io::ErrorKind::Other);
    assert_error(&rig.write(0..1).unwrap_err(), ErrorKind::Unavailable, Outcome::Unknown);
    rig.disk.faults.heal();
    assert!(rig.write(0..1).is_err());
}

#[test]
fn what_cannot_be_taken_back_is_unknown_and_poisons_the_store() {
    let rig = Rig::new();
    rig.write(0..1).unwrap();
    rig.fail(Write, 0, io::ErrorKind::StorageFull);
    rig.fail(SetLen, 0, io::ErrorKind::Other);
    assert_error(&rig.write(1..2).unwrap_err(), ErrorKind::StorageFull, Outcome::Unknown);
    rig.disk.faults.heal();
    assert!(rig.write(1..2).is_err());
    assert_eq!(rig.texts_elsewhere(), named(0..1), "half a batch is not there");
}

#[test]
fn a_torn_tail_that_cannot_be_set_aside_stays_and_nothing_is_written() {
    for call in [Create, Write, Sync, SyncDir, SetLen] {
        let rig = Rig::new();
        rig.write(0..2).unwrap();
        rig.write(2..4).unwrap();
        let torn = bytes(&rig.log()).len() - 5;
        std::fs::write(rig.log(), &bytes(&rig.log())[..torn]).unwrap();
        let before = bytes(&rig.log());
        rig.fail(call, 0, io::ErrorKind::StorageFull);
        let error = rig.write(4..5).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{call:?}");
        assert_eq!(bytes(&rig.log()), before, "{call:?}");
        assert_eq!(rig.texts(), named(0..2), "{call:?}");
    }
}

#[test]
fn a_torn_tail_is_cut_off_durably_before_anything_takes_its_place_whatever_the_durability() {
    for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
        let rig = Rig::with(|config| config.durability(durability));
        rig.write(0..2).unwrap();
        rig.write(2..4).unwrap();
        let torn = bytes(&rig.log()).len() - 5;
        std::fs::write(rig.log(), &bytes(&rig.log())[..torn]).unwrap();
        rig.disk.faults.seen();
        rig.write(4..5).unwrap();
        let (calls, _) = rig.disk.faults.seen();
        let cut = calls.iter().position(|call| *call == SetLen).unwrap();
        let after: Vec<_> = calls[cut..].iter().filter(|call| matches!(call, SetLen | Sync | Write)).collect();
        assert_eq!(after[..3], [&SetLen, &Sync, &Write], "{durability:?}");
    }
}

#[test]
fn a_failed_compaction_leaves_the_session_as_it_was() {
    for (call, kind) in [
        (Create, ErrorKind::StorageFull),
        (Write, ErrorKind::StorageFull),
        (Sync, ErrorKind::StorageFull),
        (Rename, ErrorKind::StorageFull),
        (Remove, ErrorKind::StorageFull),
    ] {
        let rig = Rig::new();
        rig.write(0..5).unwrap();
        let deletion =
            Record::Deleted { id: Stamp::mint(2, None, 0).unwrap(), stamp: Stamp::mint(9, None, 0).unwrap() };
        block_on(rig.store.write(&rig.cx, &session(), &[deletion], &WriteOptions::fresh())).unwrap();
        let before = bytes(&rig.log());
        rig.fail(call, 0, io::ErrorKind::StorageFull);
        let purge = Compact::new().purge_deleted_before(Stamp::MAX);
        assert_eq!(block_on(rig.store.compact(&rig.cx, &purge)).unwrap_err().kind(), kind, "{call:?}");
        assert_eq!(bytes(&rig.log()), before, "{call:?}");
        assert_eq!(rig.texts().len(), 4, "{call:?}");
        rig.disk.faults.heal();
        let rig = if call == Sync { rig.opened_again() } else { rig };
        assert_eq!(block_on(rig.store.compact(&rig.cx, &Compact::new())).unwrap().bodies, 1, "{call:?}");
        let names: Vec<_> =
            std::fs::read_dir(rig.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_str().unwrap().contains("tmp")), "{names:?}");
    }
}

#[test]
fn a_compaction_that_may_be_undone_by_a_loss_of_power_is_an_error() {
    let rig = Rig::new();
    rig.write(0..5).unwrap();
    let deletion = Record::Deleted { id: Stamp::mint(2, None, 0).unwrap(), stamp: Stamp::mint(9, None, 0).unwrap() };
    block_on(rig.store.write(&rig.cx, &session(), &[deletion], &WriteOptions::fresh())).unwrap();
    rig.fail(SyncDir, 0, io::ErrorKind::Other);
    assert_eq!(block_on(rig.store.compact(&rig.cx, &Compact::new())).unwrap_err().kind(), ErrorKind::Unavailable);
    rig.disk.faults.heal();
    assert!(rig.write(10..11).is_err(), "whether the old file comes back is not known");
    assert_eq!(rig.texts().len(), 4);
}

#[test]
fn what_is_cut_off_is_gone_from_the_disk_before_anything_takes_its_place() {
    let rig = Rig::new();
    rig.write(0..2).unwrap();
    let order = |rig: &Rig| {
        let (calls, _) = rig.disk.faults.seen();
        calls.into_iter().filter(|call| matches!(call, Write | SetLen | Sync | SyncDir)).collect::<Vec<_>>()
    };
    order(&rig);
    rig.fail(Write, 0, io::ErrorKind::StorageFull);
    rig.write(2..4).unwrap_err();
    assert_eq!(order(&rig), [Write, SetLen, Sync]);
    rig.disk.faults.heal();
    rig.write(2..4).unwrap();
    let torn = bytes(&rig.log()).len() - 5;
    std::fs::write(rig.log(), &bytes(&rig.log())[..torn]).unwrap();
    order(&rig);
    rig.write(4..5).unwrap();
    // What another process may have left unsynced first, then the copy of the tail, the cut, and the batch.
    assert_eq!(order(&rig), [Sync, SyncDir, Write, Sync, SyncDir, SetLen, Sync, Write, Sync]);
}

#[test]
fn one_batch_is_one_sync_and_a_new_file_syncs_its_folder() {
    let rig = Rig::new();
    let syncs = |rig: &Rig| {
        let (calls, _) = rig.disk.faults.seen();
        calls.into_iter().filter(|call| matches!(call, Sync | SyncDir)).collect::<Vec<_>>()
    };
    rig.write(0..10).unwrap();
    assert_eq!(syncs(&rig), [Sync, SyncDir]);
    rig.write(10..20).unwrap();
    assert_eq!(syncs(&rig), [Sync]);
    rig.write(0..20).unwrap();
    assert_eq!(syncs(&rig), [], "all of it is known to be on the disk");
    let weaker = Rig::with(|config| config.durability(Durability::ProcessCrash));
    weaker.write(0..10).unwrap();
    assert_eq!(syncs(&weaker), []);
}

#[test]
fn what_a_dead_process_left_unsynced_is_synced_before_it_is_acknowledged() {
    let rig = Rig::new();
    let other = Json::new(&JsonConfig::new(rig.dir.path()).durability(Durability::ProcessCrash)).unwrap();
    block_on(other.prepare(&rig.cx, Prepare::Open)).unwrap();
    block_on(other.write(&rig.cx, &session(), &[message(0)], &WriteOptions::fresh())).unwrap();
    rig.disk.faults.seen();
    assert_eq!(rig.write(0..1).unwrap().known, Some(1));
    let (calls, _) = rig.disk.faults.seen();
    assert!(calls.contains(&Sync) && calls.contains(&SyncDir), "{calls:?}");

    block_on(other.write(&rig.cx, &session(), &[message(1)], &WriteOptions::fresh())).unwrap();
    rig.disk.faults.seen();
    rig.write(2..3).unwrap();
    let (calls, _) = rig.disk.faults.seen();
    let order: Vec<_> = calls.into_iter().filter(|call| matches!(call, Sync | Write)).collect();
    assert_eq!(order, [Sync, Write, Sync], "the batch of the other process must not be torn by this one");
}

#[test]
fn an_append_and_the_last_messages_ask_as_much_of_the_disk_at_any_length() {
    let cost = |messages: u64| {
        let rig = Rig::with(|config| config.durability(Durability::ProcessCrash));
        for start in (0..messages).step_by(1_000) {
            rig.write(start..messages.min(start + 1_000)).unwrap();
        }
        let last = |rig: &Rig| {
            let query = MessageQuery::newest_first().limit(20);
            block_on(rig.store.load(&rig.cx, &session(), &query)).unwrap().items.len()
        };
        rig.disk.faults.seen();
        rig.write(1_000_000..1_000_001).unwrap();
        let append = rig.disk.faults.seen();
        assert_eq!(last(&rig), 20);
        (append, rig.disk.faults.seen())
    };
    let (short_append, short_last) = cost(100);
    let (long_append, long_last) = cost(100_000);
    assert_eq!(short_append.0, long_append.0);
    assert_eq!(short_last.0, long_last.0);
    // The numbers in the texts are longer.
    assert!(long_append.1 <= short_append.1 + 100, "{} and {} bytes", short_append.1, long_append.1);
    assert!(long_last.1 <= short_last.1 + 200, "{} and {} bytes", short_last.1, long_last.1);
    assert!(long_last.0.iter().filter(|call| **call == Read).count() < 30);
}

#[test]
fn sessions_that_were_dropped_from_memory_are_read_again() {
    let rig = Rig::with(|config| config.cache_entries(20));
    let id = |number: u64| SessionId::new(format!("session {number}")).unwrap();
    for round in 0..3 {
        for number in 0..10 {
            block_on(rig.store.write(&rig.cx, &id(number), &[message(round)], &WriteOptions::fresh())).unwrap();
        }
    }
    for number in 0..10 {
        let messages = block_on(rig.store.load(&rig.cx, &id(number), &MessageQuery::oldest_first())).unwrap();
        assert_eq!(messages.items.len(), 3);
    }
}

#[test]
fn what_another_process_is_about_to_sync_is_synced_before_it_is_shown() {
    // It never syncs, so what it has written is as if it were about to.
    let writer = Rig::with(|config| config.durability(Durability::ProcessCrash));
    writer.write(1..2).unwrap();
    let disk = Disk::default();
    let reader = Json::on(&JsonConfig::new(writer.dir.path()), disk.clone()).unwrap();
    block_on(reader.prepare(&writer.cx, Prepare::Open)).unwrap();
    let syncs = || disk.faults.seen().0.into_iter().filter(|call| *call == Sync).count();
    assert_eq!(texts(&reader, &writer.cx), ["text 1"]);
    assert_eq!(syncs(), 0, "nobody is writing");

    writer.write(2..3).unwrap();
    let held = hold_locks(&writer);
    assert_eq!(texts(&reader, &writer.cx), ["text 1", "text 2"]);
    assert_eq!(syncs(), 1, "a writer may be about to sync it");
    assert_eq!(texts(&reader, &writer.cx), ["text 1", "text 2"]);
    assert_eq!(syncs(), 0, "nothing has come since");

    drop(held);
    writer.write(3..4).unwrap();
    let _held = hold_locks(&writer);
    disk.faults.fail(Sync, 0, io::ErrorKind::StorageFull);
    for _ in 0..2 {
        let error = block_on(reader.load(&writer.cx, &session(), &MessageQuery::oldest_first())).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::StorageFull, Retry::Never), "{error}");
    }
}

/// As a process does that is writing.
fn hold_locks(rig: &Rig) -> Vec<std::fs::File> {
    let locks = std::fs::read_dir(rig.dir.path().join(".locks")).unwrap();
    let locks: Vec<_> = locks.map(|entry| std::fs::File::open(entry.unwrap().path()).unwrap()).collect();
    locks.iter().for_each(|lock| lock.lock().unwrap());
    locks
}
