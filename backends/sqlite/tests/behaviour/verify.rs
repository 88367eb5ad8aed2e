//! Checking the database: planted damage is found, named, and does not hide the rest.

use craftx_core::{ErrorKind, Record, SearchQuery, Verified};
use rusqlite::Connection;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::*;

fn filled(folder: &Path) -> PathBuf {
    let path = folder.join("a.db");
    let store = open(&path);
    for session in ["one", "two"] {
        let messages: Vec<Record> = (1..=50).map(|ms| message(ms, &format!("canary number {ms}"))).collect();
        write(&store, session, &messages).unwrap();
    }
    let grants = r#"[{"to":"bob","actions":["read"]}]"#;
    let acl = format!(r#"{{"v":1,"record":"acl","stamp":"{}","owner":"ann","grants":{grants}}}"#, at(60));
    write(&store, "one", &[Record::Deleted { id: at(7), stamp: at(55) }, Record::decode(&acl).unwrap()]).unwrap();
    run(store.close(&cx())).unwrap();
    path
}

fn verified(path: &Path) -> Verified {
    let store = open(path);
    let verified = run(store.verify(&cx())).unwrap();
    run(store.close(&cx())).unwrap();
    assert!(!format!("{verified:?}").contains("canary"), "no content is shown");
    verified
}

/// Changes the database behind the store's back, and returns the problems that are found then.
fn after(sql: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "foreign_keys", "OFF").unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    verified(&path).problems.iter().map(|problem| format!("{}: {}", problem.place, problem.what)).collect()
}

#[test]
fn a_healthy_store_says_what_was_checked() {
    let folder = tempfile::tempdir().unwrap();
    let verified = verified(&filled(folder.path()));
    assert_eq!(verified.problems, []);
    assert_eq!(verified.checked.len(), 5);
    assert!(verified.checked.iter().any(|what| what.contains("(messages: 99)")), "{verified:?}");
    assert!(verified.unverifiable.iter().any(|what| what.contains("checksums")));
}

#[test]
fn two_contents_of_one_message_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let store = open(&path);
    let other = [message(2, "canary of another")];
    run(store.write(&cx(), &id("two"), &other, &WriteOptions::replay())).unwrap();
    run(store.close(&cx())).unwrap();
    let verified = verified(&path);
    let [note] = verified.notes.as_slice() else { panic!("{verified:?}") };
    assert!(verified.is_clean() && note.contains("\"two\"") && note.contains(&at(2).to_string()), "{note}");
}

#[test]
fn what_contradicts_itself_is_named() {
    for (sql, place, what) in [
        ("UPDATE sessions SET messages = 7 WHERE id = 'two'", "\"two\"", "counts 7 messages and has 50"),
        ("UPDATE sessions SET head = zeroblob(16) WHERE id = 'two'", "\"two\"", ""),
        ("UPDATE sessions SET head = NULL WHERE id = 'two'", "\"two\"", "last message"),
        ("UPDATE sessions SET live = 0 WHERE id = 'two'", "\"two\"", "exists"),
        ("UPDATE store SET seq = 3", "\"one\"", "arrived later"),
        ("UPDATE sessions SET version = (SELECT min(stamp) FROM messages)", "\"one\"", "version"),
        (
            "INSERT INTO deletions SELECT sid, max(stamp), max(stamp), 1 FROM messages GROUP BY sid",
            "\"two\"",
            "deleted",
        ),
        ("DELETE FROM messages WHERE seq = 3", "\"one\"", "counts 49 messages and has 48"),
        ("UPDATE messages SET role = 99 WHERE seq = 3", "\"one\"", "cannot be read"),
        ("UPDATE messages SET rest = '{' WHERE seq = 3", "\"one\"", "cannot be read"),
        ("DELETE FROM sessions WHERE id = 'two'", "`messages`", "50 rows"),
        ("INSERT INTO visible_to SELECT 'eve', 0, sid FROM sessions WHERE id = 'two'", "\"two\"", "who may see it"),
        ("DELETE FROM visible_to", "\"one\"", "who may see it"),
        ("INSERT INTO message_index (message_index) VALUES ('delete-all')", "search index", "words"),
        ("INSERT INTO message_index (rowid, terms) VALUES (3, '1·eve')", "search index", "words"),
        ("UPDATE tenants SET terms = terms + 1", "search index", "statistics"),
        ("UPDATE store SET search = 0", "search index", "words"),
    ] {
        let problems = after(sql);
        assert!(problems.iter().any(|text| text.contains(place) && text.contains(what)), "{sql}: {problems:?}");
    }
}

#[test]
fn one_damage_does_not_hide_another() {
    let problems = after("UPDATE sessions SET messages = 7; UPDATE messages SET role = 99 WHERE seq = 3");
    for place in ["\"one\"", "\"two\""] {
        assert!(problems.iter().any(|text| text.contains(place) && text.contains("counts")), "{problems:?}");
    }
    assert!(problems.iter().any(|text| text.contains("cannot be read")), "{problems:?}");
}

#[test]
fn a_damaged_page_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let size = std::fs::metadata(&path).unwrap().len();
    let mut found = 0;
    let pages = (1..size / 4_096).collect::<Vec<_>>();
    for page in &pages {
        let damaged = folder.path().join(format!("{page}.db"));
        std::fs::copy(&path, &damaged).unwrap();
        let mut file = std::fs::File::options().write(true).open(&damaged).unwrap();
        file.seek(SeekFrom::Start(page * 4_096)).unwrap();
        file.write_all(&[0xff; 64]).unwrap();
        let store = Sqlite::new(SqliteConfig::new(&damaged)).unwrap();
        // What cannot be opened at all is told by opening.
        found += match run(store.prepare(&cx(), Prepare::Open)) {
            Err(error) => usize::from(error.kind() == ErrorKind::Corrupted),
            Ok(_) => usize::from(!run(store.verify(&cx())).unwrap().is_clean()),
        };
    }
    assert_eq!(found, pages.len(), "a page was damaged and nobody noticed");
}

#[test]
fn a_damaged_search_index_is_repaired_by_switching_it_off_and_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO message_index (message_index) VALUES ('delete-all')")
        .unwrap();
    let problems = verified(&path).problems;
    assert!(problems[0].remedy.as_deref().unwrap().contains("search=false"), "{problems:?}");
    for search in [false, true] {
        let store = open_with(SqliteConfig::new(&path).search(search));
        assert_eq!(run(store.verify(&cx())).unwrap().problems, []);
        run(store.close(&cx())).unwrap();
    }
    let store = open(&path);
    assert_eq!(run(store.search(&cx(), &SearchQuery::new("canary").limit(1_000))).unwrap().items.len(), 99);
}
