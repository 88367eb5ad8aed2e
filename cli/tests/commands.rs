//! What each command does, on every medium.
#![cfg(all(feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::process::Stdio;

use common::{Place, places};
use serde_json::Value;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn append_prints_the_id_and_show_prints_the_conversation() {
    for place in places() {
        let id = place.ok(&["append", "s", "Hello, 日本", "--role", "user", "--meta", r#"{"lang":"ja"}"#]);
        place.ok(&["append", "s", "Hi!", "--role", "assistant"]);
        let shown = place.ok(&["show", "s"]);
        assert!(shown.contains(id.trim()) && shown.contains("Hello, 日本"), "{shown}");
        let messages = json_lines(&place.ok(&["show", "s", "--json"]));
        assert_eq!(messages[0]["metadata"]["lang"], "ja");
        assert_eq!((&messages[1]["role"], &messages[1]["content"]), (&"assistant".into(), &"Hi!".into()));
        let last = json_lines(&place.ok(&["show", "s", "-n", "1", "--format", "raw"]));
        assert_eq!((last.len(), &last[0]["record"]), (1, &"message".into()));
    }
}

#[test]
fn append_keeps_standard_input_byte_for_byte() {
    for place in places() {
        let text = " tab\t cr\r\n nul\0 esc\u{1b} blank \n\n";
        assert_eq!(place.pipe(&["append", "s", "-"], text.as_bytes()).code, 0);
        assert_eq!(place.pipe(&["append", "s"], b"").code, 0);
        let messages = json_lines(&place.ok(&["show", "s", "--json"]));
        assert_eq!((messages[0]["content"].as_str(), messages[1]["content"].as_str()), (Some(text), Some("")));
        let shown = place.ok(&["show", "s"]);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\0'), "a terminal must not obey a message");
        let broken = place.pipe(&["append", "s", "-"], b"\xff\xfe");
        assert_eq!((broken.code != 0, broken.out.as_str()), (true, ""), "{broken:?}");
    }
}

#[test]
fn list_prints_sessions_and_what_is_known_of_them() {
    for place in places() {
        for session in ["b", "a/1", "a/2"] {
            place.ok(&["append", session, "x"]);
        }
        let listed = json_lines(&place.ok(&["list", "--json"]));
        let names: Vec<_> = listed.iter().map(|line| line["session"].as_str().unwrap()).collect();
        assert_eq!((names, &listed[0]["messages"]), (vec!["a/1", "a/2", "b"], &1.into()));
        assert_eq!(place.ok(&["list", "--prefix", "a/", "--limit", "1"]).lines().count(), 1);
        let left = std::fs::read_dir(place.path()).unwrap().count();
        assert_eq!(left, 1, "a command leaves nothing beside the store");
        assert_eq!(place.ok(&["--tenant", "other", "list"]), "");
    }
}

#[test]
fn rm_erases_the_text_from_every_file() {
    for place in places() {
        place.ok(&["append", "s", "keep this"]);
        let id = place.ok(&["append", "s", "SECRET-ONE"]);
        place.ok(&["append", "t", "SECRET-TWO"]);
        place.ok(&["rm", "s", "--message", id.trim()]);
        place.ok(&["rm", "t"]);
        let mut folders = vec![place.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                    assert!(!bytes.contains("SECRET"), "{}", path.display());
                }
            }
        }
        assert!(place.ok(&["show", "s"]).contains("keep this"));
        assert_eq!(place.run(&["show", "t"]).code, 3);
        assert_eq!(place.run(&["rm", "t"]).code, 3);
        assert_eq!(place.run(&["rm", "s", "--message", id.trim()]).code, 3);
    }
}

#[test]
fn search_finds_what_was_said() {
    let place = Place::new("sqlite:chats.db");
    assert_eq!(place.run(&["search", "heron"]).code, 3, "searching makes no store");
    assert!(!place.path().join("chats.db").exists());
    place.ok(&["append", "a", "The first heron"]);
    place.ok(&["append", "b", "東京に HERONS が", "--role", "assistant"]);
    place.ok(&["append", "b", "nothing"]);
    let shown = place.ok(&["search", "heron"]);
    assert!(shown.contains("The first [heron]") && shown.contains("[HERONS]") && !shown.contains("nothing"), "{shown}");
    let found = json_lines(&place.ok(&["search", "東京", "--json"]));
    assert_eq!((found.len(), &found[0]["session"]), (1, &"b".into()));
    let (snippet, mark) = (found[0]["snippet"].as_str().unwrap(), &found[0]["marks"][0]);
    let mark = mark[0].as_u64().unwrap() as usize..mark[1].as_u64().unwrap() as usize;
    assert_eq!(snippet.get(mark), Some("東京"));
    let count = |words: &[&str]| json_lines(&place.ok(words)).len();
    assert_eq!(count(&["search", "heron", "--json", "--session", "a"]), 1);
    assert_eq!(count(&["search", "heron", "--json", "--role", "assistant"]), 1);
    assert_eq!(count(&["search", "heron", "--json", "--limit", "1"]), 1);
    assert_eq!(count(&["search", "heron", "--json", "--tenant", "other"]), 0);
    for query in ["", "\"", "-x", "--", "a AND (", "heron*"] {
        assert_eq!(place.run(&["search", "--", query]).code, 0, "{query}");
    }
    place.ok(&["rm", "a"]);
    assert_eq!(count(&["search", "heron", "--json"]), 1);
    let off = Place::new("json:chats");
    off.ok(&["append", "a", "heron"]);
    let refused = off.run(&["search", "heron"]);
    assert!(refused.code == 2 && refused.err.contains("search"), "{refused:?}");
}

const CONVERSATIONS: &str = r#"{"session_id":"one","lang":"en","messages":[{"id":"m0","role":"user","content":"a"},{"id":"m1","role":"assistant","content":null,"tool_calls":[{"id":"c"}]}]}
{"session_id":"two","messages":[{"role":"user","content":["b",{"n":1.0}],"extra":{"z":1,"a":2}}]}
"#;

#[test]
fn a_conversation_goes_in_and_comes_out_unchanged() {
    for place in places() {
        place.write("in.jsonl", CONVERSATIONS);
        let run = place.run(&["import", "in.jsonl", "--json"]);
        assert_eq!((run.code, json_lines(&run.out)[0]["applied"].as_u64()), (0, Some(4)), "{run:?}");
        let again = place.run(&["import", "in.jsonl", "--json"]);
        assert_eq!(json_lines(&again.out)[0]["applied"], 0, "a second import applies nothing");
        place.ok(&["export", "--format", "conversations", "--out", "out.jsonl"]);
        let out = std::fs::read_to_string(place.path().join("out.jsonl")).unwrap();
        assert_eq!(json_lines(&out), json_lines(CONVERSATIONS));
        assert_eq!(json_lines(&place.ok(&["export", "two", "--format", "conversations"])).len(), 1);
    }
}

#[test]
fn exported_records_make_the_same_store_elsewhere() {
    for place in places() {
        for other in places() {
            place.write("in.jsonl", CONVERSATIONS);
            place.ok(&["import", "in.jsonl"]);
            place.ok(&["append", "gone", "x"]);
            place.ok(&["rm", "gone"]);
            let records = place.ok(&["export"]);
            let run = other.pipe(&["import", "-"], records.as_bytes());
            assert_eq!(run.code, 0, "{run:?}");
            assert_eq!(other.ok(&["export", "one", "two"]), place.ok(&["export", "one", "two"]));
            let again = other.pipe(&["import", "-", "--json"], records.as_bytes());
            assert_eq!(json_lines(&again.out)[0]["applied"], 0, "{again:?}");
            assert_eq!(other.run(&["show", "gone"]).code, 3, "a deletion travels with the records");
        }
    }
}

#[test]
fn the_files_of_the_json_store_can_be_imported_as_they_are() {
    let (json, sqlite) = (Place::new("json:chats"), Place::new("sqlite:chats.db"));
    json.ok(&["append", "s", "one"]);
    json.pipe(&["import", "-"], CONVERSATIONS.as_bytes());
    for session in ["s", "one", "two"] {
        let file = std::fs::read_to_string(json.path().join(format!("chats/{session}.jsonl"))).unwrap();
        let run = sqlite.pipe(&["import", "-"], file.as_bytes());
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(sqlite.ok(&["show", session, "--format", "raw"]), json.ok(&["show", session, "--format", "raw"]));
    }
}

#[test]
fn a_bad_line_is_named_and_the_rest_goes_in() {
    for place in places() {
        let lines = format!("{CONVERSATIONS}not json SECRET\n{{\"session_id\":\"x\"}}\n\n");
        place.write("in.jsonl", lines);
        let run = place.run(&["import", "in.jsonl", "missing.jsonl"]);
        assert_eq!(run.code, 7, "{run:?}");
        for part in ["in.jsonl:3:", "in.jsonl:4:", "missing.jsonl: "] {
            assert!(run.err.contains(part), "{part}: {run:?}");
        }
        assert!(!run.err.contains("SECRET"));
        assert_eq!(place.ok(&["list"]).lines().count(), 2);
        let nothing = place.pipe(&["import", "-"], b"nonsense\n");
        assert_eq!(nothing.code, 2, "{nothing:?}");
    }
}

#[test]
fn a_record_never_lands_in_the_session_of_another_header() {
    for place in places() {
        place.ok(&["append", "s", "mine"]);
        let records = place.ok(&["export"]);
        let record = records.lines().nth(1).unwrap();
        let file = format!(
            "{{\"v\":1,\"craftx\":\"session\",\"session\":\"a\"}}\n{{\"v\":1,\"craftx\":\"session\",\"session\":\"\"}}\n{record}\n"
        );
        let run = place.pipe(&["import", "-"], file.as_bytes());
        assert_eq!((run.code, place.ok(&["list"]).lines().count()), (2, 1), "{run:?}");
        assert!(run.err.contains("-:2:") && run.err.contains("-:3:"), "{run:?}");
        let lonely = place.pipe(&["import", "-"], format!("{record}\n").as_bytes());
        assert!(lonely.code == 2 && lonely.err.contains("header"), "{lonely:?}");
    }
}

#[test]
fn importing_below_a_clear_names_the_way_out() {
    for place in places() {
        place.write("in.jsonl", CONVERSATIONS);
        place.ok(&["import", "in.jsonl"]);
        place.ok(&["rm", "one"]);
        let run = place.run(&["import", "in.jsonl"]);
        assert!(run.code == 7 && run.err.contains("in.jsonl:1:") && run.err.contains("--restamp"), "{run:?}");
        place.ok(&["import", "in.jsonl", "--restamp"]);
        assert_eq!(json_lines(&place.ok(&["show", "one", "--json"])).len(), 2);
    }
}

#[test]
fn a_broken_pipe_is_no_error() {
    let place = Place::new("sqlite:chats.db");
    let long = "x".repeat(200_000);
    for _ in 0..3 {
        assert_eq!(place.pipe(&["append", "s", "-"], long.as_bytes()).code, 0);
    }
    for words in [&["show", "s"][..], &["export"]] {
        let mut child = place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{words:?}");
    }
}

#[test]
fn reading_never_makes_a_store() {
    for place in places() {
        for words in [&["list"][..], &["show", "s"], &["export"], &["rm", "s"]] {
            let run = place.run(words);
            assert_eq!((run.code, run.out.as_str()), (3, ""), "{run:?}");
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

#[test]
fn wrong_words_are_told_with_exit_code_2() {
    for place in places() {
        for words in [
            &["shw"][..],
            &["append"],
            &["append", "s", "x", "--meta", "[1]"],
            &["append", "s", "x", "--meta", r#"{"a":1,"a":2}"#],
            &["append", "", "x"],
            &["append", "s", "x", "--role", ""],
            &["rm", "s", "--message", "nonsense"],
            &["list", "--limit", "-1"],
        ] {
            let run = place.run(words);
            assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing is made before the words are right");
    }
    for store in
        ["nope:x", "json:x?durabilty=power-loss", "sqlite:", "plain", "json:a_file", "json:a_file/x", "sqlite:a_file"]
    {
        let place = Place::new(store);
        place.write("a_file", "of another program");
        for words in [&["list"][..], &["append", "s", "x"]] {
            let run = place.run(words);
            assert!(run.code == 2 || (store == "sqlite:a_file" && run.code == 1), "{run:?}");
        }
        assert_eq!(std::fs::read_to_string(place.path().join("a_file")).unwrap(), "of another program");
    }
    assert!(Place::new("json:x").ok(&["--help"]).contains("Usage"));
}
