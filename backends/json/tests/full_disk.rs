//! A disk that really refuses to take more, in another process: the size of files is limited there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![cfg(unix)]

mod common;

use std::process::Command;

use common::{block_on, cx, id, message, open, texts, write};
use craftx_core::{Backend, ErrorKind, Outcome, Retry, WriteOptions};

const FOLDER: &str = "CRAFTX_JSON_TEST_FULL_FOLDER";

/// Runs in a process that cannot write a file beyond 8 KiB (512-byte or 1-KiB blocks, as the shell has it); does
/// nothing in an ordinary run.
#[test]
fn child() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let store = open(std::path::Path::new(&dir));
    let mut written = 0;
    let error = loop {
        let batch: Vec<_> = (0..3).map(|n| message(written * 3 + n, "x".repeat(100))).collect();
        match block_on(store.write(&cx(), &id("s"), &batch, &WriteOptions::fresh())) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the limit does not hold");
    };
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::StorageFull, Outcome::NotApplied), "{error:?}");
    assert_eq!(error.retry(), Retry::Later);
    assert_eq!(texts(&store, "s").len() as u64, written * 3);
    // Another session still has room.
    write(&store, "t", &[message(1, "small")]);
    println!("written {written}");
}

#[test]
fn a_full_disk_is_a_typed_error_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        // The signal would end the process; without it the write is cut short, and then refused.
        .args(["-c", "trap '' XFSZ; ulimit -f 16 || exit 77; exec \"$0\" --exact child --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, dir.path())
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        eprintln!("skipped: the shell cannot limit the size of files");
        return;
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find_map(|line| line.split_once("written ")).unwrap();
    let written: usize = line.1.trim().parse().unwrap();
    assert!(written > 3);

    let store = open(dir.path());
    assert_eq!(texts(&store, "s").len(), written * 3);
    write(&store, "s", &[message(1_000_000, "there is room again")]);
    assert_eq!(texts(&open(dir.path()), "s").len(), written * 3 + 1);
    assert_eq!(texts(&store, "t"), ["small"]);
}
