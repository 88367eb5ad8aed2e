//! Which files are opened, and what is kept in them.

use std::path::{Path, PathBuf};

use craftx_core::{Backend, Capabilities, ErrorKind, Message, Outcome, Prepare, Record, Result, Role};
use craftx_sqlite::{Sqlite, SqliteConfig};
use rusqlite::Connection;
use serde_json::json;

use super::{at, close, cx, id, message, open, run, texts, write};

fn prepare(path: &Path, mode: Prepare) -> Result<Capabilities> {
    let store = Sqlite::new(SqliteConfig::new(path)).unwrap();
    run(store.prepare(&cx(), mode))
}

/// Every file of a folder with its bytes. No store of this process may be open there.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/chat.db");
    let store = open(&path);
    write(&store, "a", &[message(1, "hi"), message(2, "ho")]).unwrap();
    let before = run(store.status(&cx())).unwrap();
    close(store);
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "closing leaves the database alone");
    let store = open(&path);
    assert_eq!(texts(&store, "a"), ["hi", "ho"]);
    let after = run(store.status(&cx())).unwrap();
    assert_eq!((after.store, after.position, after.schema), (before.store, Some(2), Some(2)));
    assert!(after.bytes.unwrap() > 0);
    close(store);
}

#[test]
fn a_store_that_was_dropped_without_closing_has_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    for ms in 1..20 {
        let store = open(&path);
        write(&store, "a", &[message(ms, "hi")]).unwrap();
        drop(store);
    }
    assert_eq!(texts(&open(&path), "a").len(), 19);
}

#[test]
fn every_character_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = open(&path);
    let all: String = (0..=0x10_ffff_u32).filter_map(char::from_u32).collect();
    let told = Message::new(at(1), Role::User, all.as_str())
        .with_metadata("\0", json!({"z": "\0", "a": [1.0, -0.0, 1, u64::MAX, i64::MIN, 5e-324, null]}));
    let set = [("k\0a".to_owned(), Some(json!("\0"))), ("k\0b".to_owned(), Some(json!({"b": 1, "a": 1})))];
    let keys = Record::Session { stamp: at(2), set: set.clone().into() };
    write(&store, "ü/../ x", &[Record::Message(told.clone()), keys]).unwrap();
    close(store);
    let store = open(&path);
    let found = run(store.load(&cx(), &id("ü/../ x"), &craftx_core::MessageQuery::oldest_first())).unwrap();
    assert_eq!(found.items, [told]);
    let session = run(store.session(&cx(), &id("ü/../ x"))).unwrap().unwrap();
    let metadata: Vec<_> = session.metadata.into_iter().map(|(key, value)| (key, Some(value))).collect();
    assert_eq!(metadata, set);
    assert_eq!(metadata[1].1.as_ref().unwrap().to_string(), r#"{"b":1,"a":1}"#, "the order of keys is kept");
    close(store);
}

#[test]
fn a_store_that_is_not_there_is_not_created_by_looking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    for mode in [Prepare::Check, Prepare::Open] {
        let error = prepare(&path, mode).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.get("path").unwrap().contains(&path.display().to_string()), "{error}");
    }
    assert!(snapshot(folder.path()).is_empty());
    std::fs::write(&path, "").unwrap();
    assert_eq!(prepare(&path, Prepare::Open).unwrap_err().kind(), ErrorKind::NotFound, "an empty file is no store");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    prepare(&path, Prepare::Migrate).unwrap();
}

#[test]
fn a_check_changes_nothing_and_leaves_the_store_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a name with spaces?&%41#.db");
    close(open(&path));
    let before = snapshot(folder.path());
    let store = Sqlite::new(SqliteConfig::new(&path)).unwrap();
    run(store.prepare(&cx(), Prepare::Check)).unwrap();
    assert_eq!(run(store.status(&cx())).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(snapshot(folder.path()), before);
    assert_eq!(before.len(), 1);
}

#[test]
fn the_file_of_another_program_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("text"), "dear diary").unwrap();
    std::fs::write(path("long text"), "dear diary ".repeat(1_000)).unwrap();
    std::fs::write(path("zeros"), vec![0; 10_000]).unwrap();
    // What the Python original left behind has tables with names like ours.
    let legacy = Connection::open(path("legacy")).unwrap();
    legacy.execute_batch("CREATE TABLE sessions (id TEXT); CREATE TABLE conversations (id TEXT)").unwrap();
    let wal = Connection::open(path("wal")).unwrap();
    wal.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); PRAGMA application_id = 7").unwrap();
    // The tables of this one are in its log only: it was left by a process that was killed.
    let live = Connection::open(path("live")).unwrap();
    live.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
    for name in ["live", "live-wal"] {
        std::fs::copy(path(name), path(&name.replace("live", "killed"))).unwrap();
    }
    drop((legacy, wal, live));
    let before = snapshot(folder.path());
    for (name, kind) in [
        ("text", ErrorKind::Corrupted),
        ("long text", ErrorKind::Corrupted),
        ("zeros", ErrorKind::Corrupted),
        ("legacy", ErrorKind::ConfigInvalid),
        ("wal", ErrorKind::ConfigInvalid),
        ("live", ErrorKind::ConfigInvalid),
    ] {
        for mode in [Prepare::Check, Prepare::Open, Prepare::Migrate] {
            let error = prepare(&path(name), mode).unwrap_err();
            assert_eq!(error.kind(), kind, "{name}: {error}");
            assert!(error.get("path").unwrap().contains(name), "{error}");
        }
    }
    assert_eq!(snapshot(folder.path()), before);
    let error = prepare(&path("killed"), Prepare::Migrate).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    let killed = Connection::open(path("killed")).unwrap();
    assert_eq!(killed.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    drop(killed);
    let error = prepare(folder.path(), Prepare::Migrate).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "a folder is no file");
    let error = prepare(&path("text").join("chat.db"), Prepare::Migrate).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "a file is no folder");
}

#[test]
fn a_database_of_the_python_original_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("craftx.db");
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/legacy/craftxpy/g3/craftx.db");
    if std::fs::copy(&original, &path).is_err() {
        eprintln!("skipped: there is no {}", original.display());
        return;
    }
    let before = snapshot(folder.path());
    for mode in [Prepare::Check, Prepare::Open, Prepare::Migrate] {
        let error = prepare(&path, mode).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains("written by CraftX.py"), "{error}");
    }
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn a_newer_schema_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    close(open(&path));
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 3).unwrap();
    drop(newer);
    let before = snapshot(folder.path());
    for mode in [Prepare::Check, Prepare::Open, Prepare::Migrate] {
        let error = prepare(&path, mode).unwrap_err();
        assert_eq!((error.kind(), error.get("schema")), (ErrorKind::SchemaTooNew, Some("3")));
    }
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn an_older_schema_is_opened_only_where_it_may_be_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let older = Connection::open(&path).unwrap();
    older.pragma_update(None, "application_id", 0x4372_5831).unwrap();
    drop(older);
    for mode in [Prepare::Check, Prepare::Open] {
        assert_eq!(prepare(&path, mode).unwrap_err().kind(), ErrorKind::SchemaTooOld);
    }
    prepare(&path, Prepare::Migrate).unwrap();
    prepare(&path, Prepare::Open).unwrap();
}

#[test]
fn damaged_pages_are_errors_and_never_missing_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = open(&path);
    for ms in 1..200 {
        write(&store, "a", &[message(ms, &"x".repeat(300))]).unwrap();
    }
    close(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let from = bytes.len() / 2;
    bytes[from..from + 8_192].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let store = open(&path);
    let query = craftx_core::MessageQuery::oldest_first().limit(1_000);
    let error = run(store.load(&cx(), &id("a"), &query)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupted, Outcome::NotApplied));
    let raw = Connection::open(&path).unwrap();
    let check = raw.query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0));
    assert!(check.is_err() || check.unwrap() != "ok");
}

#[test]
fn a_message_that_was_changed_by_hand_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = open(&path);
    write(&store, "a", &[message(1, "fine"), message(2, "changed")]).unwrap();
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE messages SET rest = '{secret' WHERE seq = 2", []).unwrap();
    let error = run(store.load(&cx(), &id("a"), &craftx_core::MessageQuery::oldest_first())).unwrap_err();
    assert_eq!((error.kind(), error.get("id")), (ErrorKind::Corrupted, Some(at(2).to_string().as_str())));
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
#[cfg(unix)]
fn a_crash_in_the_middle_of_a_checkpoint_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let store = open(&path("chat.db"));
    for ms in 1..50 {
        write(&store, "a", &[message(ms, &"x".repeat(2_000))]).unwrap();
    }
    // Another process copies, as reading the file in this one would release the locks on it.
    for (from, to) in [("chat.db", "crashed.db"), ("chat.db-wal", "crashed.db-wal")] {
        assert!(std::process::Command::new("cp").args([path(from), path(to)]).status().unwrap().success());
    }
    close(store);
    // A checkpoint writes the first page, which says how many pages there are, before it writes the others.
    let (whole, mut crashed) = (std::fs::read(path("chat.db")).unwrap(), std::fs::read(path("crashed.db")).unwrap());
    assert!(crashed.len() < whole.len());
    crashed[..4_096].copy_from_slice(&whole[..4_096]);
    std::fs::write(path("crashed.db"), crashed).unwrap();
    prepare(&path("crashed.db"), Prepare::Check).unwrap();
    assert_eq!(texts(&open(&path("crashed.db")), "a").len(), 49);
}

#[test]
fn a_store_whose_creation_was_cut_off_by_loss_of_power_is_created_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (being_created, left) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let conn = Connection::open(&being_created).unwrap();
    // So much in one transaction that some of it is in the file before the end, and the journal beside it.
    conn.execute_batch("PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (a); CREATE TABLE u (a)").unwrap();
    for _ in 0..100 {
        conn.execute("INSERT INTO t VALUES (zeroblob(5000))", []).unwrap();
    }
    std::fs::copy(folder.path().join("a.db-journal"), folder.path().join("b.db-journal")).unwrap();
    let mut bytes = std::fs::read(&being_created).unwrap();
    assert!(bytes.len() > 100_000);
    bytes[..512].fill(0);
    std::fs::write(&left, &bytes).unwrap();
    assert_eq!(prepare(&left, Prepare::Open).unwrap_err().kind(), ErrorKind::NotFound);
    let store = open(&left);
    write(&store, "a", &[message(1, "a")]).unwrap();
    assert_eq!(texts(&store, "a"), ["a"]);
    close(store);

    // Without the journal, the same bytes are damage.
    let damaged = folder.path().join("c.db");
    std::fs::write(&damaged, &bytes).unwrap();
    assert_eq!(prepare(&damaged, Prepare::Migrate).unwrap_err().kind(), ErrorKind::Corrupted);
    assert_eq!(std::fs::read(&damaged).unwrap(), bytes);
}

#[cfg(unix)]
#[test]
fn a_file_that_was_moved_away_or_replaced_takes_nothing_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, away) = (folder.path().join("chat.db"), folder.path().join("away.db"));
    let store = open(&path);
    write(&store, "a", &[message(1, "hi")]).unwrap();
    let refused = |ms| {
        let error = write(&store, "a", &[message(ms, "nobody would see this")]).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
        let error = run(store.status(&cx())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    };
    std::fs::rename(&path, &away).unwrap();
    refused(2);
    std::fs::write(&path, "another file").unwrap();
    refused(3);
    std::fs::rename(&away, &path).unwrap();
    write(&store, "a", &[message(4, "ho")]).unwrap();
    assert_eq!(texts(&store, "a"), ["hi", "ho"]);
    close(store);
    assert_eq!(texts(&open(&path), "a"), ["hi", "ho"]);
}
