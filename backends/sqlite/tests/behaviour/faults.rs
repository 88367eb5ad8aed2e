//! Media that fail: a full disk, a sync that fails. Where the machine has not what a test needs, the test says so.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use craftx_core::{Backend, ErrorKind, Outcome};
use rusqlite::Connection;

use super::processes::{FILE, TASK, lines};
use super::{close, cx, message, open, run, texts_of_any_number, write};

/// A small file system of its own, unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: a full disk needs the right to mount a tmpfs");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_a_typed_error_and_writes_resume_when_there_is_space() {
    let Some(disk) = Small::mount("24m") else { return };
    let filler = disk.path().join("filler");
    let path = disk.path().join("chat.db");
    let store = open(&path);
    let mut acknowledged = 0;
    for _ in 0..10 {
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
        drop(file);
        let error = loop {
            match write(&store, "a", &[message(acknowledged + 1, &"x".repeat(1_000))]) {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::StorageFull, Outcome::NotApplied), "{error:?}");
        assert_eq!(texts_of_any_number_if_any(&store, acknowledged), acknowledged, "reads go on");
        // Cut, not only removed: a child that another test is starting may hold the file open for a moment.
        std::fs::File::create(&filler).unwrap();
        std::fs::remove_file(&filler).unwrap();
        for _ in 0..10 {
            write(&store, "a", &[message(acknowledged + 1, &"x".repeat(1_000))]).unwrap();
            acknowledged += 1;
        }
    }
    assert_eq!(texts_of_any_number(&store, "a").len() as u64, acknowledged);
    let raw = Connection::open(&path).unwrap();
    assert_eq!(raw.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    drop(raw);
    close(store);
}

/// How many messages there are; a session without any does not exist.
fn texts_of_any_number_if_any(store: &craftx_sqlite::Sqlite, expected: u64) -> u64 {
    match run(store.session(&cx(), &super::id("a"))).unwrap() {
        Some(session) => session.messages.unwrap(),
        None => {
            assert_eq!(expected, 0);
            0
        }
    }
}

#[test]
fn nothing_is_acknowledged_after_a_sync_has_failed() {
    // Each run lets another sync be the first that fails, so that it hits the log, the database and the folder.
    for first in [3, 4, 5, 8, 12] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        close(open(&path));
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={first}");
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "processes::does_its_task_as_a_child", "--nocapture"])
            .env(TASK, "persist 30")
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: a failing sync needs strace");
            return;
        };
        let told: Vec<_> = lines(&mut child).collect();
        assert!(child.wait().unwrap().success());
        let acknowledged: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("acknowledged ")).collect();
        let failed: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("failed ")).collect();
        assert_eq!(acknowledged.len() + failed.len(), 30, "{told:?}");
        // The first failure leaves a doubt about its own write; then nothing is tried any more.
        assert_eq!(failed.first(), Some(&"unavailable Unknown"), "{told:?}");
        assert!(failed.iter().skip(1).all(|failed| *failed == "unavailable NotApplied"), "{told:?}");
        assert_eq!(acknowledged.len(), first_run(&told), "{told:?}");
        let store = open(&path);
        let found = texts_of_any_number_or_none(&store);
        assert!(acknowledged.iter().all(|text| found.iter().any(|found| found == text)), "{told:?}");
        assert!(found.len() <= acknowledged.len() + 1);
        close(store);
    }
}

/// How many acknowledgements come before the first failure.
fn first_run(told: &[String]) -> usize {
    told.iter()
        .filter(|line| line.starts_with("acknowledged ") || line.starts_with("failed "))
        .take_while(|line| line.starts_with("acknowledged "))
        .count()
}

fn texts_of_any_number_or_none(store: &craftx_sqlite::Sqlite) -> Vec<String> {
    match run(store.session(&cx(), &super::id("shared"))).unwrap() {
        Some(_) => texts_of_any_number(store, "shared"),
        None => Vec::new(),
    }
}
