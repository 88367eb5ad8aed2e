//! The write-ahead log stays bounded.

use craftx_core::{Backend, ErrorKind, Outcome, Retry};
use craftx_sqlite::SqliteConfig;
use rusqlite::Connection;

use super::{close, cx, message, open_with, run, texts, write};

#[test]
fn a_reader_that_hangs_stops_writes_before_the_log_grows_without_bound() {
    const MAX: u64 = 256 << 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let log = || std::fs::metadata(folder.path().join("chat.db-wal")).unwrap().len();
    let store = open_with(SqliteConfig::new(&path).max_wal_bytes(MAX));
    write(&store, "a", &[message(1, "first")]).unwrap();

    let hanging = Connection::open(&path).unwrap();
    hanging.execute_batch("BEGIN; SELECT * FROM messages").unwrap();
    assert_eq!(hanging.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    let text = "x".repeat(8 << 10);
    let mut written = 1;
    let error = loop {
        match write(&store, "a", &[message(written + 1, &text)]) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "nothing stops the log");
    };
    assert_eq!(
        (error.kind(), error.outcome(), error.retry()),
        (ErrorKind::Unavailable, Outcome::NotApplied, Retry::Later)
    );
    assert!(error.to_string().contains("a reader holds the write-ahead log"), "{error}");
    assert!(log() > MAX && log() < 2 * MAX, "{}", log());
    assert_eq!(texts(&store, "a").len() as u64, written, "reads go on");

    hanging.execute_batch("COMMIT").unwrap();
    write(&store, "a", &[message(written + 1, "last")]).unwrap();
    assert!(log() < MAX, "{}", log());
    assert_eq!(texts(&store, "a").len() as u64, written + 1);
    assert!(run(store.status(&cx())).unwrap().bytes.unwrap() > 0);
    close(store);
}

#[test]
fn the_log_of_many_writes_is_cut_on_the_way() {
    const MAX: u64 = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(SqliteConfig::new(folder.path().join("chat.db")).max_wal_bytes(MAX));
    let text = "x".repeat(100 << 10);
    for ms in 1..150 {
        write(&store, "a", &[message(ms, &text)]).unwrap();
        assert!(std::fs::metadata(folder.path().join("chat.db-wal")).unwrap().len() < MAX + (1 << 20));
    }
    close(store);
}
