//! One test for each exit code, with the real command. Code 8 (a key is missing or wrong, or what is encrypted was
//! changed) is tested in `keys.rs`.
#![cfg(all(unix, feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use common::{Place, places};
use serde_json::Value;

fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../backends/sqlite/tests/fixtures").join(name)
}

#[test]
fn code_0_is_for_what_was_done() {
    for place in places() {
        place.ok(&["append", "s", "x"]);
        place.ok(&["doctor"]);
        assert_eq!(place.run(&["rm", "--older-than", "1h"]).code, 0, "nothing to do is done");
    }
}

#[test]
fn code_1_is_for_damaged_data() {
    let place = Place::new("json:chats");
    place.ok(&["append", "s", "SECRET"]);
    flip_a_bit(&place.path().join("chats/s.jsonl"));
    for words in [&["show", "s"][..], &["append", "s", "x"], &["list"], &["stats"], &["rm", "--older-than", "1s"]] {
        let run = place.run(words);
        assert!(run.code == 1 && run.err.contains("s.jsonl") && !run.err.contains("SECRET"), "{run:?}");
    }
}

#[test]
fn code_2_is_for_wrong_words_and_wrong_configuration() {
    let place = Place::new("json:chats");
    place.ok(&["append", "s", "x"]);
    for words in [
        &["shw"][..],
        &["show"],
        &["show", "s", "--last"],
        &["show", "s", "--format", "raw", "--json"],
        &["rm"],
        &["rm", "s", "--older-than", "1d"],
        &["rm", "--older-than", "soon"],
        &["rm", "--older-than", "-1d"],
        &["rm", "--older-than", "0s"],
        &["search", "x"],
        &["man", "nothing"],
        &["config", "show"],
        &["--as", "", "list"],
        &["--profile", "development", "list"],
    ] {
        let run = place.run(words);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    }
    place.write("craftx.toml", "bakend = 'sqlite'\n");
    for words in [&["list"][..], &["config", "check"], &["config", "show"]] {
        let run = place.run_plain(words);
        assert!(run.code == 2 && run.err.contains("backend"), "{run:?}");
    }
    assert_eq!(place.run_plain(&["--profile", "developmnt", "list"]).code, 2);
}

#[test]
fn code_3_is_for_what_is_not_there() {
    for place in places() {
        for words in [&["list"][..], &["status"], &["doctor"], &["schema", "status"], &["stats"], &["show", "--last"]] {
            assert_eq!(place.run(words).code, 3, "{words:?}");
        }
        place.ok(&["append", "s", "x"]);
        for words in
            [&["show", "t"][..], &["export", "t"], &["rm", "t"], &["import", "missing"], &["rm", "s", "--message", "f"]]
        {
            assert_eq!(place.run(words).code, 3, "{words:?}");
        }
        assert_eq!(place.run(&["--tenant", "other", "show", "--last"]).code, 3, "a tenant without sessions");
    }
}

#[test]
fn code_4_is_for_what_a_principal_may_not_do() {
    for place in places() {
        place.ok(&["append", "s", "x"]);
        let run = place.run(&["doctor", "--as", "ann"]);
        assert!(run.code == 4 && run.err.contains("system"), "{run:?}");
        place.ok(&["list", "--as", "ann"]);
        let status: Value = serde_json::from_str(&place.ok(&["status", "--json", "--as", "ann"])).unwrap();
        assert!(status["bytes"].is_null(), "the size of the whole store is not for everybody");
    }
}

#[test]
fn code_5_is_for_what_may_succeed_later() {
    let place = Place::new("json:chats");
    place.ok(&["append", "s", "x"]);
    std::os::unix::fs::symlink("loop.jsonl", place.path().join("chats/loop.jsonl")).unwrap();
    assert_eq!(place.run(&["show", "loop"]).code, 5, "a file system that fails");
    place.ok(&["show", "s"]);
}

#[test]
fn code_6_is_for_damage_that_the_doctor_found() {
    let json = Place::new("json:chats");
    json.ok(&["append", "s", "SECRET"]);
    flip_a_bit(&json.path().join("chats/s.jsonl"));
    let sqlite = Place::new("sqlite:chats.db");
    for _ in 0..50 {
        sqlite.ok(&["append", "s", "SECRET"]);
        if std::fs::metadata(sqlite.path().join("chats.db")).unwrap().len() > 150_000 {
            break;
        }
    }
    let mut bytes = std::fs::read(sqlite.path().join("chats.db")).unwrap();
    bytes[8_192..8_256].fill(0xff);
    std::fs::write(sqlite.path().join("chats.db"), bytes).unwrap();
    let broken = Place::new("sqlite:broken.db");
    broken.write("broken.db", "no database at all");
    for (place, part) in [(json, "s.jsonl"), (sqlite, "database"), (broken, "broken.db")] {
        let run = place.run(&["doctor"]);
        assert!(run.code == 6 && run.out.contains("problem") && run.out.contains(part), "{run:?}");
        let run = place.run(&["doctor", "--json"]);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &report["healthy"]), (6, &Value::Bool(false)), "{run:?}");
        assert!(!report["problems"].as_array().unwrap().is_empty() && !run.out.contains("SECRET"), "{run:?}");
    }
}

#[test]
fn code_7_is_for_what_was_done_in_part() {
    let place = Place::new("json:chats");
    place.ok(&["append", "a", "x"]);
    place.ok(&["append", "b", "x"]);
    // craftx never changes a file of CraftX.py, so what is dead in it cannot be erased.
    place.write("chats/old.json", r#"[{"role":"user","message":"hi"}]"#);
    for file in ["a.jsonl", "old.json"] {
        let long_ago = SystemTime::now() - Duration::from_secs(100 * 24 * 3_600);
        File::options()
            .append(true)
            .open(place.path().join("chats").join(file))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }
    let run = place.run(&["rm", "--older-than", "90d"]);
    assert!(run.code == 7 && run.err.contains("old") && run.out.contains("  a\n"), "{run:?}");
    let listed = place.ok(&["list"]);
    assert_eq!((listed.lines().count(), listed.contains("  b")), (1, true), "{listed}");
    let run = place.run(&["export", "b", "nothing"]);
    assert!(run.code == 7 && run.err.contains("nothing") && run.out.lines().count() == 2, "{run:?}");
    let out = place.run(&["export", "b", "nothing", "--out", "x", "--json"]);
    let report: Value = serde_json::from_str(&out.out).unwrap();
    assert_eq!((out.code, &report["sessions"], &report["failed"]), (7, &1.into(), &1.into()));
}

#[test]
fn code_10_is_for_a_schema_of_another_release() {
    let place = Place::new("sqlite:old.db");
    std::fs::copy(fixture("schema-1.db"), place.path().join("old.db")).unwrap();
    let before = std::fs::read(place.path().join("old.db")).unwrap();
    for words in [&["list"][..], &["doctor"], &["status"], &["schema", "status", "--check"]] {
        assert_eq!(place.run(words).code, 10, "{words:?}");
    }
    let status: Value = serde_json::from_str(&place.ok(&["schema", "status", "--json"])).unwrap();
    assert_eq!((&status["state"], &status["schema"], &status["wanted"]), (&"pending".into(), &1.into(), &2.into()));
    assert_eq!(std::fs::read(place.path().join("old.db")).unwrap(), before, "looking changes nothing");
    place.ok(&["append", "s", "x"]);
    place.ok(&["schema", "status", "--check"]);
    // The schema stands at byte 60 of a SQLite file.
    let mut bytes = std::fs::read(place.path().join("old.db")).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    place.write("old.db", bytes);
    assert_eq!(place.run(&["append", "s", "x"]).code, 10);
    let newer = place.run(&["schema", "status", "--check", "--json"]);
    assert!(newer.code == 10 && newer.out.contains(r#""state":"newer","schema":99,"wanted":2"#), "{newer:?}");
}

#[test]
fn code_10_is_for_a_folder_of_craftx_py_that_was_not_migrated() {
    let place = Place::new("json:.");
    place.write("old.json", r#"[{"role":"user","message":"hi"}]"#);
    assert_eq!(place.run(&["schema", "status", "--check"]).code, 10);
    place.ok(&["append", "new", "x"]);
    place.ok(&["schema", "status", "--check"]);
    assert!(place.ok(&["show", "old"]).contains("hi"));
}

#[test]
fn code_11_is_for_a_store_that_another_process_holds() {
    let place = Place::new("json:chats");
    place.ok(&["append", "s", "x"]);
    let locks = std::fs::read_dir(place.path().join("chats/.locks")).unwrap();
    let held: Vec<File> = locks.map(|entry| File::open(entry.unwrap().path()).unwrap()).collect();
    held.iter().for_each(|file| file.lock().unwrap());
    // The command waits for half a minute, as every call does.
    let run = place.run(&["append", "s", "y"]);
    assert_eq!(run.code, 11, "{run:?}");
    drop(held);
    place.ok(&["append", "s", "y"]);
}

fn start(place: &Place, words: &[&str]) -> Child {
    place.command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn press_ctrl_c(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

fn wait_for(path: &Path) {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A session whose file cannot be read to its end: a pipe to which nobody writes.
fn endless(place: &Place) {
    place.ok(&["append", "a", "x"]);
    assert!(Command::new("mkfifo").arg(place.path().join("chats/b.jsonl")).status().unwrap().success());
}

#[test]
fn code_130_is_for_an_interrupted_export_and_no_half_file_stays() {
    let place = Place::new("json:chats");
    endless(&place);
    let child = start(&place, &["export", "--out", "out.jsonl", "--json"]);
    wait_for(&place.path().join("out.jsonl.partial"));
    press_ctrl_c(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&error["type"], &error["exit"]), (&"error".into(), &130.into()));
    let left = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the store is left");
}

#[test]
fn code_130_is_for_a_command_that_waits_for_its_input() {
    for place in places() {
        let mut child = start(&place, &["import", "-"]);
        child.stdin.as_mut().unwrap().write_all(b"{\"session_id\":\"s\",\"messages\":[]}\n").unwrap();
        wait_for(&place.path().join(if place.is_json() { "chats/craftx.store" } else { "chats.db" }));
        press_ctrl_c(&child);
        let input = child.stdin.take();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        drop(input);
        place.ok(&["append", "s", "the store is fine"]);
        place.ok(&["doctor"]);
    }
}

#[test]
fn a_long_command_tells_json_that_it_lives() {
    use std::io::{BufRead, BufReader};
    let place = Place::new("json:chats");
    endless(&place);
    let commands = [("doctor", "stores"), ("stats", "sessions"), ("export", "sessions")];
    // All at once, since each takes seconds before it says anything.
    let running = commands.map(|(command, unit)| (command, unit, start(&place, &[command, "--json"])));
    for (command, unit, mut child) in running {
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let progress: Value = serde_json::from_str(&line).unwrap();
        let members = ["v", "type", "command", "done", "total", "unit", "seconds"];
        assert!(progress.as_object().unwrap().keys().eq(members), "{line}");
        assert_eq!((&progress["type"], &progress["command"]), (&"progress".into(), &command.into()));
        assert_eq!((&progress["unit"], progress["seconds"].is_u64()), (&unit.into(), true));
    }
}
