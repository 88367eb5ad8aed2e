//! craftx-sqlite with the newest rusqlite of its range.
#![cfg(test)]

#[path = "../../store.rs"]
mod store;

#[test]
fn a_store_works_with_rusqlite_0_42() {
    // Earlier releases of SQLite can corrupt a file when its write-ahead log is reset.
    assert!(rusqlite::version_number() >= 3_051_003);
    let folder = tempfile::tempdir().unwrap();
    futures_executor::block_on(store::writes_and_reads(folder.path())).unwrap();
}
