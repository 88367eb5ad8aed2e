//! Several processes on one file. This binary starts itself again, with a variable that says what to do.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use craftx_core::{Backend, ErrorKind, Message, Outcome, Record, Role, Stamp, WriteOptions, random_bits};
use rusqlite::Connection;

use super::{close, cx, id, message, open, run, texts, write};

pub(crate) const TASK: &str = "CRAFTX_SQLITE_TASK";
pub(crate) const FILE: &str = "CRAFTX_SQLITE_FILE";

/// Starts this binary again for a task on a file.
fn start(task: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::does_its_task_as_a_child", "--nocapture"])
        .env(TASK, task)
        .env(FILE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok)
}

/// Not a test of its own: what the processes run that the tests below start.
#[test]
fn does_its_task_as_a_child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let path = std::env::var(FILE).unwrap();
    let path = Path::new(&path);
    match task.split_once(' ') {
        Some(("append", name)) => {
            let store = open(path);
            for number in 0..25 {
                append(&store, &format!("{name}-{number}"));
            }
            close(store);
        }
        Some(("persist", times)) => {
            let store = open(path);
            for number in 0..times.parse().unwrap() {
                let record = message(1 + number, &number.to_string());
                match run(store.write(&cx(), &id("shared"), &[record], &WriteOptions::fresh())) {
                    Ok(_) => println!("\nacknowledged {number}"),
                    Err(error) => println!("\nfailed {} {:?}", error.kind().as_str(), error.outcome()),
                }
            }
        }
        Some(("tell", name)) => {
            let store = open(path);
            for number in 0.. {
                append(&store, &format!("{name}-{number}"));
                println!("\nacknowledged {name}-{number}");
                std::io::stdout().flush().unwrap();
            }
        }
        _ => {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("BEGIN IMMEDIATE").unwrap();
            println!("\nholding");
            std::io::stdin().read_line(&mut String::new()).unwrap();
        }
    }
}

/// Appends after whatever is there, as an application does.
fn append(store: &craftx_sqlite::Sqlite, text: &str) {
    let head = run(store.session(&cx(), &id("shared"))).unwrap().map(|session| session.version);
    let stamp = Stamp::mint(1_000, head, random_bits()).unwrap();
    let record = Record::Message(Message::new(stamp, Role::User, text));
    run(store.write(&cx(), &id("shared"), &[record], &WriteOptions::fresh())).unwrap();
}

#[test]
fn four_processes_that_begin_with_no_file_lose_nothing() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let mut children: Vec<_> = (0..4).map(|n| start(&format!("append {n}"), &path)).collect();
        for child in &mut children {
            assert!(lines(child).last().is_some());
            assert!(child.wait().unwrap().success());
        }
        let store = open(&path);
        let mut found = texts(&store, "shared");
        assert_eq!(found.len(), 100);
        // Each process reads its own messages in the order in which it wrote them.
        for n in 0..4 {
            let own: Vec<_> = found.iter().filter(|text| text.starts_with(&format!("{n}-"))).cloned().collect();
            assert_eq!(own, (0..25).map(|number| format!("{n}-{number}")).collect::<Vec<_>>());
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 100);
        close(store);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let mut acknowledged = Vec::new();
    for cycle in 0..25 {
        let mut child = start(&format!("tell {cycle}"), &path);
        let mut told = lines(&mut child).filter_map(|line| line.strip_prefix("acknowledged ").map(str::to_owned));
        acknowledged.extend(told.by_ref().take(1 + cycle * 7 % 20));
        child.kill().unwrap();
        // What was still in the pipe was acknowledged as well.
        acknowledged.extend(told);
        child.wait().unwrap();
    }
    let store = open(&path);
    let found = super::texts_of_any_number(&store, "shared");
    let missing: Vec<_> = acknowledged.iter().filter(|text| !found.contains(text)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    // At most one more in each cycle: written, but killed before it was told.
    assert!(found.len() <= acknowledged.len() + 25, "{} > {}", found.len(), acknowledged.len());
    let raw = Connection::open(&path).unwrap();
    assert_eq!(raw.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    drop(raw);
    close(store);
}

#[test]
fn a_process_that_holds_the_lock_makes_others_wait_until_their_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = open(&path);
    write(&store, "a", &[message(1, "before")]).unwrap();
    let mut child = start("hold", &path);
    let mut told = lines(&mut child);
    assert!(told.any(|line| line == "holding"));

    let hurried = cx().with_timeout(Duration::from_millis(300));
    let error = run(store.write(&hurried, &id("a"), &[message(2, "during")], &WriteOptions::fresh())).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Locked, Outcome::NotApplied));
    assert_eq!(texts(&store, "a"), ["before"], "reads go on");

    // Who can wait gets through once the lock is let go.
    let (cx, session, options, records) = (cx(), id("a"), WriteOptions::fresh(), [message(3, "after")]);
    let waiting = store.write(&cx, &session, &records, &options);
    let release = async { child.stdin.take().unwrap().write_all(b"\n").unwrap() };
    run(futures_util::future::join(waiting, release)).0.unwrap();
    assert_eq!(texts(&store, "a"), ["before", "after"]);
    child.wait().unwrap();
    close(store);
}
