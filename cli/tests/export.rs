//! `craftx export --out`: what it writes, and what it leaves alone.
#![cfg(all(unix, feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::path::Path;

use common::{Place, places};

fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn an_export_never_takes_the_place_of_a_store() {
    for place in places() {
        place.ok(&["append", "birds", "What is a heron?"]);
        place.ok(&["append", "plans", "Lunch"]);
        place.run_plain(&["--store", "sqlite:other.db", "append", "s", "x"]);
        place.run_plain(&["--store", "json:other", "append", "s", "x"]);
        std::os::unix::fs::symlink("chats", place.path().join("link")).unwrap();
        let before = place.files();
        let (own, folders): (&[&str], &[&str]) = match place.is_json() {
            true => (
                &["chats/birds.jsonl", "chats/new", "link/x", "chats/.locks/00"],
                &["chats", "chats/", "link", "chats/new/folder", "chats/no/../x"],
            ),
            false => (&["chats.db", "chats.db-wal", "./chats.db-shm"], &[]),
        };
        let files_of_stores = own.iter().chain(&["other.db", "other/s.jsonl", "other/x"]);
        let mut runs: Vec<Vec<&str>> = Vec::new();
        for file in files_of_stores {
            runs.push(vec!["export", "--out", file]);
            runs.push(vec!["export", "birds", "--format", "openai-chat", "--out", file]);
        }
        for folder in folders.iter().chain(&["other"]) {
            runs.push(vec!["export", "--format", "openai-chat", "--out", folder]);
        }
        for words in runs {
            let run = place.run(&words);
            assert!(run.code == 2 && run.err.contains("--out") && run.err.contains("store"), "{run:?}");
            assert!(place.files() == before, "{run:?}");
        }
        assert_eq!(place.ok(&["list"]).lines().count(), place.ok(&["list", "--json"]).lines().count());
        place.ok(&["show", "birds"]);
    }
}

#[test]
fn an_export_never_takes_the_place_of_a_leg_of_a_hybrid() {
    let place = Place::new("");
    place.write("craftx.toml", "profile = \"production_hybrid\"\n");
    assert_eq!(place.run_plain(&["append", "birds", "one"]).code, 0);
    for name in names(place.path()).iter().filter(|name| *name != "craftx.toml") {
        let run = match place.path().join(name).is_dir() {
            true => place.run_plain(&["export", "--format", "openai-chat", "--out", name]),
            false => place.run_plain(&["export", "--out", name]),
        };
        assert_eq!(run.code, 2, "{run:?}");
    }
    assert!(place.run_plain(&["show", "birds"]).out.contains("one"));
}

#[test]
fn a_file_of_a_folder_that_is_the_store_is_left_alone() {
    let place = Place::new("sqlite:out/a.json");
    std::fs::create_dir(place.path().join("out")).unwrap();
    place.ok(&["append", "a", "x"]);
    place.ok(&["append", "b", "x"]);
    let run = place.run(&["export", "--format", "openai-chat", "--out", "out"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert!(place.path().join("out/b.json").exists());
    place.ok(&["show", "a"]);
}

#[test]
fn long_names_have_files_of_their_own() {
    for place in places() {
        let long = "ö".repeat(110);
        let sessions = ["short".to_owned(), format!("{long}1"), format!("{long}2"), "/".repeat(200)];
        sessions.iter().for_each(|session| drop(place.ok(&["append", session, "x"])));
        place.ok(&["export", "--format", "openai-chat", "--out", "out"]);
        let names = names(&place.path().join("out"));
        assert_eq!(names.len(), sessions.len(), "{names:?}");
        assert!(names.contains(&"short.json".to_owned()) && names.iter().all(|name| name.len() <= 255), "{names:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_stops_no_other_one() {
    for place in places() {
        for session in ["a", "b", "c"] {
            place.ok(&["append", session, "x"]);
        }
        // Nothing can be written to the one, and the other cannot get its name.
        std::fs::create_dir_all(place.path().join("out/b.json")).unwrap();
        let run = place.run(&["export", "--format", "openai-chat", "--out", "out", "--json"]);
        assert_eq!(run.code, 7, "{run:?}");
        assert!(run.out.contains(r#""sessions":2,"failed":1"#) && run.err.contains("b.json"), "{run:?}");
        assert_eq!(names(&place.path().join("out")), ["a.json", "b.json", "c.json"]);
    }
}

#[test]
fn a_path_that_ends_in_a_slash_is_a_folder() {
    for place in places() {
        place.ok(&["append", "a", "x"]);
        place.ok(&["export", "a", "--format", "openai-chat", "--out", "out/"]);
        place.ok(&["export", "--last", "--format", "openai-chat", "--out", "last/"]);
        for folder in ["out", "last"] {
            assert_eq!(names(&place.path().join(folder)), ["a.json"]);
        }
        let run = place.run(&["export", "--out", "none/"]);
        assert!(run.code == 2 && run.err.contains("must name a file"), "{run:?}");
        assert!(!place.path().join("none").exists());
    }
}
