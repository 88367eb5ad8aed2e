//! `craftx migrate`: what it prints, what it exits with, and what it leaves alone.
#![cfg(all(feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Place, Run};
use serde_json::Value;

/// A folder of CraftX.py with two conversations, and whatever else is asked for.
fn place(more: &[(&str, &str)]) -> Place {
    let place = Place::new("json:chats");
    std::fs::create_dir(place.path().join("chats")).unwrap();
    place.write("chats/a.json", r#"[{"role":"user","content":"hi","timestamp":"2025-06-28T00:33:47"}]"#);
    place.write("chats/c.json", r#"[{"role":"user","content":"ho"},{"role":"assistant","content":"hm"}]"#);
    more.iter().for_each(|(name, text)| place.write(name, text));
    place
}

fn migrate(place: &Place, words: &[&str]) -> Run {
    place.run_plain(&[&["migrate"], words].concat())
}

fn object(run: &Run) -> Value {
    let object: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(object["v"], 1, "{run:?}");
    object
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn a_folder_is_planned_copied_and_verified_and_stays_as_it_is() {
    let place = place(&[]);
    let before = files(&place.path().join("chats"));
    let plan = migrate(&place, &["plan", "json:chats", "sqlite:new.db", "--json"]);
    let planned = object(&plan);
    assert_eq!((plan.code, &planned["target"], &planned["sessions"]), (0, &"new".into(), &2.into()), "{plan:?}");
    assert_eq!((&planned["messages"], &planned["to_copy"]), (&3.into(), &3.into()));
    assert!(!place.path().join("new.db").exists());

    let run = migrate(&place, &["run", "json:chats", "sqlite:new.db", "--json"]);
    assert_eq!((run.code, &object(&run)["applied"]), (0, &3.into()), "{run:?}");
    let journal = object(&run)["journal"].as_str().unwrap().to_owned();
    assert_eq!(Path::new(&journal).parent(), Some(std::fs::canonicalize(place.path()).unwrap().as_path()));
    let again = migrate(&place, &["run", "json:chats", "sqlite:new.db", "--json"]);
    assert_eq!((again.code, &object(&again)["applied"], &object(&again)["resumed"]), (0, &0.into(), &true.into()));
    let plan = migrate(&place, &["plan", "json:chats", "sqlite:new.db", "--json"]);
    assert_eq!((&object(&plan)["target"], &object(&plan)["to_copy"]), (&"resumes".into(), &0.into()));

    let verify = migrate(&place, &["verify", "json:chats", "sqlite:new.db", "--json"]);
    assert_eq!((verify.code, &object(&verify)["equal"]), (0, &3.into()), "{verify:?}");
    let shown = place.run_plain(&["--store", "sqlite:new.db", "show", "a"]);
    assert!(shown.out.contains("hi"), "{shown:?}");
    assert_eq!(files(&place.path().join("chats")), before);
}

#[test]
fn what_people_read_says_the_same() {
    let place = place(&[]);
    let plan = migrate(&place, &["plan", "json:chats", "sqlite:new.db"]);
    assert!(plan.out.contains("would copy    3 records") && plan.out.contains("is not there"), "{plan:?}");
    let run = migrate(&place, &["run", "json:chats", "sqlite:new.db"]);
    assert!(run.out.contains("records       3 copied, 0 known"), "{run:?}");
    assert!(run.err.contains("craftx-migration-"), "{run:?}");
    let verify = migrate(&place, &["verify", "json:chats", "sqlite:new.db"]);
    assert!(verify.out.contains("2 compared, 0 differ, 0 cannot be compared"), "{verify:?}");
}

#[test]
fn a_broken_session_is_named_the_others_are_copied_and_the_code_says_partial() {
    let place = place(&[("chats/b.json", "[{")]);
    for words in [&["plan"][..], &["run"], &["run"], &["verify"]] {
        let run = migrate(&place, &[words, &["json:chats", "sqlite:new.db"]].concat());
        assert_eq!(run.code, 7, "{run:?}");
        assert!(run.err.contains("error: session `b`: "), "{run:?}");
    }
    let run = migrate(&place, &["run", "json:chats", "sqlite:new.db", "--json"]);
    let failed = &object(&run)["failed"][0];
    assert_eq!((&failed["session"], &failed["kind"]), (&"b".into(), &"corrupted".into()));
    assert!(run.err.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{run:?}");
    assert_eq!(place.run_plain(&["--store", "sqlite:new.db", "show", "c"]).code, 0);
}

#[test]
fn a_difference_is_named_and_has_a_code_of_its_own() {
    let place = place(&[]);
    migrate(&place, &["run", "json:chats", "sqlite:new.db"]);
    let planted = place.run_plain(&["--store", "sqlite:new.db", "append", "c", "planted"]);
    let verify = migrate(&place, &["verify", "json:chats", "sqlite:new.db"]);
    assert_eq!(verify.code, 6, "{verify:?}");
    assert!(verify.out.contains("session `c`: 1 records only in the target: "), "{verify:?}");
    assert!(verify.out.contains(planted.out.trim()), "{verify:?} {planted:?}");
}

#[test]
fn a_target_that_is_not_empty_is_refused_without_a_word_that_it_may_be_united() {
    let place = place(&[]);
    assert_eq!(place.run_plain(&["--store", "sqlite:new.db", "append", "mine", "mine"]).code, 0);
    let refused = migrate(&place, &["run", "json:chats", "sqlite:new.db"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("--merge"), "{refused:?}");
    assert_eq!(place.run_plain(&["--store", "sqlite:new.db", "show", "a"]).code, 3);
    assert_eq!(migrate(&place, &["run", "json:chats", "sqlite:new.db", "--merge"]).code, 0);
    assert_eq!(migrate(&place, &["verify", "json:chats", "sqlite:new.db"]).code, 6);
}

#[test]
fn the_journal_of_other_stores_is_refused() {
    let place = place(&[]);
    let journal = ["--journal", "journal"];
    assert_eq!(migrate(&place, &[&["run", "json:chats", "sqlite:new.db"], &journal[..]].concat()).code, 0);
    let refused = migrate(&place, &[&["run", "json:chats", "sqlite:other.db"], &journal[..]].concat());
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("journal of other stores"), "{refused:?}");
}

#[test]
fn a_store_is_not_migrated_to_itself_and_is_not_changed_by_the_try() {
    let place = place(&[]);
    let before = files(&place.path().join("chats"));
    let run = migrate(&place, &["run", "json:chats", "json:./chats"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("the target is the source itself"), "{run:?}");
    assert_eq!(files(&place.path().join("chats")), before);
}

#[test]
fn a_store_that_is_not_there_is_not_made_to_be_read() {
    let place = place(&[]);
    for words in [
        ["plan", "sqlite:none.db", "sqlite:new.db"],
        ["run", "sqlite:none.db", "sqlite:new.db"],
        ["verify", "sqlite:none.db", "json:chats"],
        ["verify", "json:chats", "sqlite:none.db"],
    ] {
        let run = migrate(&place, &words);
        assert_eq!(run.code, 3, "{run:?}");
    }
    assert!(!place.path().join("none.db").exists() && !place.path().join("new.db").exists());
}

#[test]
fn a_profile_names_a_store_with_its_layers() {
    let place = place(&[]);
    place.write("craftx.toml", "[profiles.mine]\nbackend = \"sqlite\"\n[profiles.mine.sqlite]\npath = \"mine.db\"\n");
    let run = migrate(&place, &["run", "json:chats", "profile:mine"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(migrate(&place, &["verify", "profile:mine", "json:chats"]).code, 0);
    assert!(place.path().join("mine.db").is_file());
    let unknown = migrate(&place, &["run", "profile:mien", "json:chats"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.err.contains("`mine`"), "{unknown:?}");
}

#[test]
fn options_that_would_be_left_aside_are_refused() {
    let place = place(&[]);
    for option in [["--store", "sqlite:x.db"], ["--profile", "development"], ["--tenant", "acme"], ["--as", "ann"]] {
        let run = migrate(&place, &[&["run", "json:chats", "sqlite:new.db"], &option[..]].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(option[0]), "{run:?}");
    }
    assert!(!place.path().join("new.db").exists());
}

/// Profile `development` was used so far, and now it is another one.
#[test]
fn whoever_changes_the_profile_is_told_where_the_conversations_are_and_how_to_bring_them() {
    let place = place(&[]);
    std::fs::rename(place.path().join("chats"), place.path().join("chat_logs")).unwrap();
    let command = "craftx migrate run 'json:chat_logs' profile:production_sqlite";
    let before = place.run_plain(&["--profile", "production_sqlite", "list"]);
    assert_eq!(before.code, 3, "{before:?}");
    assert!(before.err.contains(command), "{before:?}");
    assert!(!place.path().join("craftx_production.db").exists());
    let append = place.run_plain(&["--profile", "production_sqlite", "append", "new", "hello"]);
    assert_eq!(append.code, 0, "{append:?}");
    assert!(append.err.contains(command), "{append:?}");
    // From now on the store is not empty, and nobody is told again.
    let list = place.run_plain(&["--profile", "production_sqlite", "list"]);
    assert!(list.code == 0 && list.err.is_empty(), "{list:?}");
    let run = migrate(&place, &["run", "json:chat_logs", "profile:production_sqlite", "--merge"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(place.run_plain(&["--profile", "production_sqlite", "list"]).out.lines().count(), 3);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_run_that_the_next_one_goes_on_with() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let place = place(&[]);
    for number in 0..500 {
        place.write(&format!("chats/s{number}.json"), r#"[{"role":"user","content":"hi"}]"#);
    }
    let words = ["migrate", "run", "json:chats", "json:new", "--journal", "journal"];
    let mut child = place.plain(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while std::fs::read_to_string(place.path().join("journal")).map_or(0, |journal| journal.lines().count()) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never begins");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let again = place.run_plain(&[&words[..], &["--json"]].concat());
    assert_eq!(again.code, 0, "{again:?}");
    let (records, resumed) = (object(&again)["records"].as_u64().unwrap(), &object(&again)["resumed"]);
    assert!(*resumed == true && records < 503 && records > 0, "{again:?}");
    assert_eq!(migrate(&place, &["verify", "json:chats", "json:new"]).code, 0);
}

#[test]
fn a_journal_that_cannot_be_written_is_refused_before_there_is_a_target() {
    let place = place(&[("text", "")]);
    place.run_plain(&["--store", "sqlite:own.db", "append", "s", "x"]);
    let before = files(&place.path().join("chats"));
    for (from, journal, code) in [
        ("json:chats", "nodir/jn", 3),
        ("json:chats", "/", 2),
        ("json:chats", "chats", 2),
        ("json:chats", "text/jn", 2),
        ("json:chats", "chats/a.json", 2),
        ("json:chats", "chats/new", 2),
        ("json:chats", "new.db", 2),
        ("json:chats", "new.db-wal", 2),
        ("sqlite:own.db", "own.db", 2),
        ("sqlite:own.db", "own.db-wal", 2),
    ] {
        for command in ["plan", "run"] {
            let run = migrate(&place, &[command, from, "sqlite:new.db", "--journal", journal]);
            assert!(run.code == code && run.err.contains("--journal"), "{run:?}");
            assert!(!place.path().join("new.db").exists(), "{run:?}");
        }
    }
    assert_eq!(files(&place.path().join("chats")), before);
    assert_eq!(place.run_plain(&["--store", "sqlite:own.db", "show", "s"]).code, 0);
}
