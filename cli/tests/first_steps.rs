//! What somebody trips over who sees the command for the first time: every answer says what, where and what next.
#![cfg(all(unix, feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::{Place, places};

#[test]
fn a_store_that_is_not_there_says_what_makes_one() {
    for place in places() {
        let run = place.run(&["list"]);
        assert!(run.code == 3 && run.err.contains("made by: `craftx append`"), "{run:?}");
        let run = place.run(&["rm", "s"]);
        assert!(run.code == 3 && run.err.contains("chats"), "{run:?}");
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_called_so() {
    let place = Place::new("json:chats.db");
    place.write("chats.db", "of another program");
    for words in [&["list"][..], &["append", "s", "x"]] {
        let run = place.run(words);
        assert!(run.code == 2 && run.err.contains("a JSON store is a folder, and this is a file"), "{run:?}");
    }
}

#[test]
fn input_that_is_no_text_or_no_file_is_wrong_input() {
    for place in places() {
        let run = place.pipe(&["append", "s"], b"\xff\xfe");
        assert!(run.code == 2 && run.err.contains("standard input"), "{run:?}");
        std::fs::create_dir(place.path().join("folder")).unwrap();
        let run = place.run(&["import", "folder"]);
        assert!(run.code == 2 && run.err.contains("0 dead, 1 failed"), "{run:?}");
    }
}

#[test]
fn the_kind_of_a_record_that_nobody_knows_is_not_quoted() {
    for place in places() {
        let lines = "{\"v\":1,\"craftx\":\"session\",\"session\":\"s\"}\n{\"v\":1,\"record\":\"SECRET\"}\n";
        let run = place.pipe(&["import", "-"], lines.as_bytes());
        assert!(run.code == 2 && run.err.contains("-:2:") && run.err.contains("`message`"), "{run:?}");
        assert!(!run.err.contains("SECRET"), "{run:?}");
    }
}

#[test]
fn of_two_contents_of_one_id_show_and_doctor_name_the_way_out() {
    const ID: &str = "01a2072c-e7a0-76f3-a1eb-467a3a1f8450";
    for place in places() {
        for content in ["one", "two"] {
            let lines = format!(
                "{{\"v\":1,\"craftx\":\"session\",\"session\":\"s\"}}\n\
                 {{\"v\":1,\"record\":\"message\",\"id\":\"{ID}\",\"role\":\"user\",\"content\":\"{content}\"}}\n"
            );
            assert_eq!(place.pipe(&["import", "-"], lines.as_bytes()).code, 0);
        }
        let run = place.run(&["show", "s"]);
        assert!(run.code == 1 && run.err.contains(ID) && run.err.contains("deleting the message"), "{run:?}");
        let found = place.ok(&["doctor"]);
        assert_eq!(found.matches(&format!("{ID} has two contents; deleting it is the way out")).count(), 1, "{found}");
        place.ok(&["rm", "s", "--message", ID]);
        place.run(&["show", "s"]);
        assert!(!place.ok(&["doctor"]).contains("two contents"));
    }
}

#[test]
fn a_command_that_finds_nothing_to_delete_says_so() {
    for place in places() {
        place.ok(&["append", "s", "x"]);
        let run = place.run(&["rm", "--older-than", "90d"]);
        assert_eq!((run.code, run.out.as_str(), run.err.trim()), (0, "", "no session is that old"));
    }
}

#[test]
fn an_export_into_a_file_tells_how_much_is_in_it() {
    for place in places() {
        place.ok(&["append", "s", "x"]);
        let run = place.run(&["export", "--out", "all.jsonl"]);
        assert_eq!((run.code, run.out.as_str(), run.err.trim()), (0, "", "sessions in `all.jsonl`: 1"));
    }
}

#[test]
fn an_export_never_takes_the_place_of_a_pipe_a_folder_or_a_link() {
    for place in places() {
        place.ok(&["append", "s", "x"]);
        let whole = place.ok(&["export"]);
        assert_eq!(place.ok(&["export", "--out", "-", "--json"]), whole, "a hyphen is standard output");
        std::fs::create_dir(place.path().join("folder")).unwrap();
        assert_eq!(place.run(&["export", "--out", "folder"]).code, 2);
        place.write("all.jsonl", "old");
        std::os::unix::fs::symlink("all.jsonl", place.path().join("link")).unwrap();
        place.ok(&["export", "--out", "link"]);
        assert!(place.path().join("link").is_symlink());
        assert_eq!(std::fs::read_to_string(place.path().join("all.jsonl")).unwrap(), whole);
        let pipe = place.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reads = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe).unwrap()
        });
        let run = place.run(&["export", "--out", "pipe"]);
        let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(run.code == 0 && !pipe.is_file() && !left.iter().any(|name| name == "-"), "{run:?} {left:?}");
        assert_eq!(reads.join().unwrap(), whole);
    }
}

#[test]
fn the_help_tells_the_options_of_a_command_apart_from_those_of_every_command() {
    let place = Place::new("json:chats");
    for words in [&["list", "-h"][..], &["show", "--help"], &["schema", "status", "-h"]] {
        let help = place.run_plain(words).out;
        let (own, every) = help.split_once("Options of every command:").unwrap();
        assert!(!own.contains("--store") && own.contains("--help"), "{help}");
        assert!(every.contains("--store") && every.contains("--json") && !every.contains("--recent"), "{help}");
    }
}

#[test]
fn a_profile_of_the_command_line_is_shown_as_such() {
    let place = Place::new("json:chats");
    let shown = place.run_plain(&["--profile", "production_sqlite", "config", "show", "--origin"]).out;
    assert!(shown.starts_with("profile = \"production_sqlite\"  # `--profile`\n"), "{shown}");
}

#[test]
fn a_configuration_that_cannot_be_read_says_why() {
    let place = Place::new("json:chats");
    let run = place.run_plain(&["--config", ".", "list"]);
    assert!(run.code == 2 && run.err.contains("reason: is a directory"), "{run:?}");
}

#[test]
fn a_wrong_profile_is_blamed_on_the_option_that_names_it() {
    let run = Place::new("").run_plain(&["--profile", "production-sqlit", "list"]);
    assert!(run.code == 2 && run.err.contains("source: `--profile`, nearest: `production_sqlite`"), "{run:?}");
}
