//! Several processes on one folder. The test runs itself again as the other processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use common::{at, block_on, cx, id, open, texts, try_texts, write};
use craftx_core::{
    Backend, ErrorKind, Expect, Message, MessageQuery, Outcome, Record, Role, SessionOrder, SessionQuery, Stamp,
    WriteOptions, random_bits,
};
use craftx_json::{Durability, Json, JsonConfig};

const FOLDER: &str = "CRAFTX_JSON_TEST_FOLDER";
const TASK: &str = "CRAFTX_JSON_TEST_TASK";

/// Runs the test `child` of this binary in another process.
fn start(dir: &Path, task: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, dir)
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(children: Vec<Child>) {
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
}

/// What the other processes do; does nothing in an ordinary run.
#[test]
fn child() {
    let (Ok(dir), Ok(task)) = (std::env::var(FOLDER), std::env::var(TASK)) else { return };
    let dir = Path::new(&dir);
    let words: Vec<&str> = task.split(' ').collect();
    match words[..] {
        ["append", who, count, sessions] => {
            let store = open(dir);
            for number in 0..count.parse::<u64>().unwrap() {
                for session in 0..sessions.parse::<u64>().unwrap() {
                    append(&store, &format!("session {session}"), &format!("{who} {number}"));
                }
            }
        }
        ["count", count] => {
            let store = open(dir);
            for _ in 0..count.parse::<u64>().unwrap() {
                increment(&store);
            }
        }
        ["forever", who] => {
            let store = open(dir);
            for number in 0.. {
                append(&store, "s", &format!("{who} {number}"));
                println!("acknowledged {who} {number}");
                std::io::stdout().flush().unwrap();
            }
        }
        ["compact", rounds] => {
            let store = open(dir);
            for _ in 0..rounds.parse::<u64>().unwrap() {
                block_on(store.compact(&cx(), &Default::default())).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        ["hold"] => hold_all_locks(dir),
        _ => panic!("no such task: {task}"),
    }
}

/// Reads the greatest stamp and mints the next, as an application does.
fn append(store: &Json, session: &str, text: &str) {
    let version = block_on(store.session(&cx(), &id(session))).unwrap().map(|session| session.version);
    let stamp = Stamp::mint(1_000, version, random_bits()).unwrap();
    write(store, session, &[Record::Message(Message::new(stamp, Role::User, text))]);
}

/// Adds one to a number by compare-and-append, until it is granted.
fn increment(store: &Json) {
    loop {
        let query = MessageQuery::newest_first().limit(1);
        let last = match block_on(store.load(&cx(), &id("counter"), &query)) {
            Ok(found) => found.items.into_iter().next(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                None
            }
        };
        let number: u64 = last.as_ref().map_or(0, |message| message.text().unwrap().parse().unwrap());
        let stamp = Stamp::mint(1_000, last.as_ref().map(|message| message.id), random_bits()).unwrap();
        let next = Record::Message(Message::new(stamp, Role::User, (number + 1).to_string()));
        let expect = last.map_or(Expect::New, |message| Expect::Version(message.id));
        let options = WriteOptions::fresh().expecting(expect);
        match block_on(store.write(&cx(), &id("counter"), &[next], &options)) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
}

fn hold_all_locks(dir: &Path) {
    let files: Vec<_> = (0..=64)
        .map(|number| {
            let path = dir.join(".locks").join(format!("{number:02}"));
            let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
            file.lock().unwrap();
            file
        })
        .collect();
    println!("held");
    std::io::stdout().flush().unwrap();
    // Until the parent closes the pipe or kills this process.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(files);
}

fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, what: &str) {
    assert!(lines.any(|line| line.unwrap().contains(what)));
}

fn lines_of(child: &mut Child) -> std::io::Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

#[test]
fn four_processes_with_25_messages_each_are_100_messages() {
    let dir = tempfile::tempdir().unwrap();
    finish((0..4).map(|who| start(dir.path(), &format!("append p{who} 25 1"))).collect());
    let store = open(dir.path());
    let found: Vec<String> = texts(&store, "session 0");
    let expected: BTreeSet<String> = (0..4).flat_map(|who| (0..25).map(move |n| format!("p{who} {n}"))).collect();
    assert_eq!(found.len(), 100);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn processes_that_write_many_sessions_lose_nothing_while_another_compacts() {
    let dir = tempfile::tempdir().unwrap();
    let mut children: Vec<Child> = (0..3).map(|who| start(dir.path(), &format!("append p{who} 8 12"))).collect();
    children.push(start(dir.path(), "compact 20"));
    let store = open(dir.path());
    // A reader without any lock sees a prefix of what each process wrote, never an error.
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        for session in 0..12 {
            let found = texts(&store, &format!("session {session}"));
            for who in 0..3 {
                let own: Vec<&String> = found.iter().filter(|text| text.starts_with(&format!("p{who}"))).collect();
                let prefix: Vec<String> = (0..own.len()).map(|number| format!("p{who} {number}")).collect();
                assert!(own.into_iter().eq(&prefix));
            }
        }
    }
    finish(children);
    for session in 0..12 {
        assert_eq!(texts(&store, &format!("session {session}")).len(), 24);
    }
    let recent = SessionQuery::new().order(SessionOrder::RecentFirst);
    assert_eq!(block_on(store.sessions(&cx(), &recent)).unwrap().items.len(), 12);
}

#[test]
fn compare_and_append_of_several_processes_counts_right() {
    let dir = tempfile::tempdir().unwrap();
    finish((0..4).map(|_| start(dir.path(), "count 15")).collect());
    let found = texts(&open(dir.path()), "counter");
    assert_eq!(found, (1..=60).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_a_killed_process_had_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..12 {
        let mut child = start(dir.path(), &format!("forever r{round}"));
        let mut lines = lines_of(&mut child);
        for _ in 0..=(round * 3) {
            wait_for(&mut lines, "acknowledged");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let last = lines.map_while(Result::ok).filter(|line| line.starts_with("acknowledged")).count();
        acknowledged.extend((0..=(round * 3 + last)).map(|number| format!("r{round} {number}")));
    }
    let found: BTreeSet<String> = texts(&open(dir.path()), "s").into_iter().collect();
    assert!(acknowledged.is_subset(&found));
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for_until_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "s", &[common::message(1, "a")]);
    let mut child = start(dir.path(), "hold");
    let mut lines = lines_of(&mut child);
    wait_for(&mut lines, "held");
    let hasty = cx().with_timeout(Duration::from_millis(50));
    let record = [common::message(2, "b")];
    let error = block_on(store.write(&hasty, &id("s"), &record, &WriteOptions::fresh())).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Locked, Outcome::NotApplied));
    let impatient = Json::new(&JsonConfig::new(dir.path()).lock_wait_ms(20)).unwrap();
    block_on(impatient.prepare(&cx(), craftx_core::Prepare::Open)).unwrap();
    let error = block_on(impatient.write(&cx(), &id("s"), &record, &WriteOptions::fresh())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(texts(&store, "s"), ["a"], "readers take no lock");
    child.kill().unwrap();
    child.wait().unwrap();
    block_on(store.write(&cx(), &id("s"), &record, &WriteOptions::fresh())).unwrap();
    assert_eq!(texts(&store, "s"), ["a", "b"], "the lock of a dead process is free");
}

#[test]
fn threads_of_one_store_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Json::new(&JsonConfig::new(dir.path()).durability(Durability::ProcessCrash)).unwrap();
    block_on(store.prepare(&cx(), craftx_core::Prepare::Migrate)).unwrap();
    std::thread::scope(|scope| {
        for who in 0..8_u64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..25 {
                    let text = format!("{who} {number}");
                    write(store, "s", &[common::message(who * 100 + number, text)]);
                    assert!(!texts(store, "s").is_empty());
                }
            });
        }
    });
    assert_eq!(texts(&store, "s").len(), 200);
    assert_eq!(texts(&open(dir.path()), "s").len(), 200);
}

#[test]
fn a_file_that_another_process_compacted_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (open(dir.path()), open(dir.path()));
    for ms in 1..20 {
        write(&one, "s", &[common::message(ms, format!("{ms}"))]);
    }
    assert_eq!(texts(&other, "s").len(), 19);
    write(&one, "s", &[Record::Deleted { id: at(5), stamp: at(30) }]);
    block_on(one.compact(&cx(), &Default::default())).unwrap();
    // As long as before, so that its size alone says nothing.
    write(&one, "s", &[common::message(40, "4".repeat(60))]);
    assert_eq!(try_texts(&other, "s").unwrap(), texts(&one, "s"));
    write(&other, "s", &[common::message(41, "41")]);
    assert_eq!(texts(&one, "s").len(), 20);
}
