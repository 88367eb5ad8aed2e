//! Backup and restore by the command.
#![cfg(all(feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use common::{Place, places};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn status(place: &Place) -> Value {
    json(&place.ok(&["status", "--json"]))["backup"].clone()
}

#[test]
fn a_store_is_backed_up_checked_and_restored_and_says_so() {
    for place in places() {
        place.ok(&["append", "birds", "What is a heron?"]);
        place.ok(&["append", "plans", "Lunch", "--tenant", "acme"]);
        assert!(status(&place)["last"].is_null());
        place.ok(&["backup", "one.craftx"]);
        let checked = json(&place.ok(&["backup", "verify", "one.craftx", "--json"]));
        assert_eq!(
            (&checked["tenants"], &checked["messages"], &checked["recorded"]),
            (&2.into(), &2.into(), &true.into())
        );
        let told = status(&place);
        assert_eq!((&told["last"]["digest"], &told["verified"]["digest"]), (&checked["digest"], &checked["digest"]));
        assert!(place.ok(&["status"]).contains("\nbackup        0 seconds ago, "));
        // Into the other medium.
        let other = if place.is_json() { "sqlite:new.db" } else { "json:new" };
        place.ok(&["restore", "one.craftx", other]);
        let shown = place.run_plain(&["--store", other, "--tenant", "acme", "show", "plans"]);
        assert!(shown.out.contains("Lunch"), "{shown:?}");
        assert!(!place.path().join("one.craftx.partial").exists());
    }
}

#[test]
fn a_store_that_holds_something_is_refused_unless_merged() {
    for place in places() {
        place.ok(&["append", "birds", "What is a heron?"]);
        place.ok(&["backup", "one.craftx"]);
        let refused = place.run(&["restore", "one.craftx"]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert_eq!(place.run(&["restore", "one.craftx", "--dry-run"]).code, 6);
        let merged = json(&place.ok(&["restore", "one.craftx", "--merge", "--json"]));
        assert_eq!((&merged["applied"], &merged["known"]), (&0.into(), &1.into()));
    }
}

#[test]
fn a_damaged_archive_makes_no_store_and_no_good_verification() {
    for place in places() {
        place.ok(&["append", "birds", "the canary sings"]);
        place.ok(&["backup", "one.craftx"]);
        let mut bytes = std::fs::read(place.path().join("one.craftx")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        place.write("one.craftx", &bytes);
        for words in [&["backup", "verify", "one.craftx"][..], &["restore", "one.craftx", "sqlite:new.db"]] {
            let run = place.run(words);
            assert!(run.code == 1 && run.err.contains("byte: ") && !run.err.contains("canary"), "{run:?}");
        }
        assert!(!place.path().join("new.db").exists());
        assert!(status(&place)["verified"].is_null());
        place.write("text", "no archive");
        assert_eq!(place.run(&["backup", "verify", "text"]).code, 2);
        assert_eq!(place.run(&["backup", "verify", "none"]).code, 3);
    }
}

#[test]
fn a_dry_run_makes_nothing() {
    let place = Place::new("sqlite:chats.db");
    place.ok(&["append", "birds", "What is a heron?"]);
    place.ok(&["backup", "one.craftx"]);
    let preview = json(&place.ok(&["restore", "one.craftx", "sqlite:new.db", "--dry-run", "--json"]));
    assert_eq!((&preview["empty"], &preview["records"]), (&true.into(), &1.into()));
    assert!(!place.path().join("new.db").exists());
}

/// Replaces bytes in a file by as many others.
fn patch(place: &Place, file: &str, from: &[u8], to: &[u8]) {
    let mut bytes = std::fs::read(place.path().join(file)).unwrap();
    let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!at.is_empty() && from.len() == to.len());
    at.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    place.write(file, bytes);
}

#[test]
fn one_broken_session_is_named_and_the_rest_is_in_a_backup_that_is_not_good() {
    for place in places() {
        for session in ["a", "b", "c"] {
            place.ok(&["append", session, &format!("zebra {session}")]);
            place.ok(&["append", session, "more"]);
        }
        let file = if place.is_json() { "chats/b.jsonl" } else { "chats.db" };
        patch(&place, file, b"zebra b", &[0xff; 7]);
        let run = place.run(&["backup", "one.craftx", "--json"]);
        assert_eq!(run.code, 7, "{run:?}");
        let made = json(&run.out);
        let counts = ["sessions", "failed", "recorded"].map(|member| made[member].clone());
        assert_eq!(counts, [Value::from(3), 1.into(), false.into()]);
        assert!(run.err.contains("`b`") && !run.err.contains("zebra"), "{run:?}");
        assert_eq!(place.run(&["backup", "verify", "one.craftx"]).code, 7);
        let restored = place.run(&["restore", "one.craftx", "sqlite:new.db"]);
        assert_eq!(restored.code, 7, "{restored:?}");
        assert!(restored.out.contains("of 1 sessions it does not hold everything"), "{restored:?}");
        let shown = place.run_plain(&["--store", "sqlite:new.db", "show", "c"]);
        assert!(shown.out.contains("zebra c"), "{shown:?}");
    }
}

#[test]
fn an_increment_is_a_chain() {
    for place in places() {
        place.ok(&["append", "birds", "one"]);
        place.ok(&["backup", "one.craftx"]);
        place.ok(&["append", "birds", "two"]);
        let made = json(&place.ok(&["backup", "two.craftx", "--since", "one.craftx", "--json"]));
        assert_eq!(made["records"], 1, "{made}");
        let alone = place.run(&["restore", "two.craftx", "sqlite:new.db", "--merge", "--json"]);
        assert_eq!((alone.code, json(&alone.out)["lacks_base"].clone()), (0, true.into()), "{alone:?}");
        assert_eq!(place.run(&["restore", "two.craftx", "sqlite:chain.db"]).code, 2);
        place.ok(&["restore", "one.craftx", "sqlite:chain.db"]);
        let merged = json(&place.ok(&["restore", "two.craftx", "sqlite:chain.db", "--merge", "--json"]));
        assert_eq!((&merged["lacks_base"], &merged["applied"]), (&false.into(), &1.into()));
    }
}

#[test]
fn another_store_and_a_profile_can_be_named() {
    let place = Place::new("json:unused");
    place.write("craftx.toml", "[profiles.mine]\nbackend = \"sqlite\"\n[profiles.mine.sqlite]\npath = \"mine.db\"\n");
    let plain = |words: &[&str]| place.run_plain(words);
    assert_eq!(plain(&["--profile", "mine", "append", "s", "x"]).code, 0);
    let run = plain(&["backup", "profile:mine", "one.craftx", "--json"]);
    assert_eq!((run.code, json(&run.out)["messages"].clone()), (0, 1.into()), "{run:?}");
    let missing = plain(&["backup", "sqlite:none.db", "two.craftx"]);
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(!place.path().join("two.craftx").exists() && !place.path().join("none.db").exists());
}

const SEALED: &str = r#"
backend = "sqlite"
layers = ["encrypt"]
[sqlite]
path = "DATA.db"
[encrypt]
keyring = "file:keyring.json"
keys = { backend = "sqlite", sqlite = { path = "KEYS.db" } }
"#;

#[test]
fn an_encrypted_store_is_backed_up_as_ciphertext_and_its_keys_apart() {
    let place = Place::new("");
    let config = |name: &str, data: &str, keys: &str| {
        place.write(name, SEALED.replace("DATA", data).replace("KEYS", keys));
    };
    config("sealed.toml", "data", "keys");
    config("copy.toml", "copy", "keys");
    config("moved.toml", "copy", "keys-again");
    config("locked.toml", "copy", "other");
    let with = |config: &str, words: &[&str]| place.run_plain(&[&["--config", config], words].concat());
    let ok = |config: &str, words: &[&str]| {
        let run = with(config, words);
        assert_eq!(run.code, 0, "{run:?}");
        run
    };
    place.run_plain(&["keys", "new", "keyring.json"]);
    ok("sealed.toml", &["append", "birds", "the canary sings", "--meta", "{\"k\":\"canary\"}"]);
    ok("sealed.toml", &["append", "gone", "the canary dies"]);
    let made = ok("sealed.toml", &["backup", "data.craftx"]);
    assert!(made.err.contains("`craftx backup STORE FILE`"), "{made:?}");
    let bytes = std::fs::read(place.path().join("data.craftx")).unwrap();
    let text = zstd_text(&place, "data.craftx");
    assert!(text.contains("\"sealed\"") && !text.contains("canary"));
    assert!(!bytes.windows(6).any(|six| six == b"canary"));
    // The time of the backup is ciphertext too, so that nothing is wrong with the store.
    assert_eq!(with("sealed.toml", &["doctor"]).code, 0);
    assert!(!json(&ok("sealed.toml", &["status", "--json"]).out)["backup"]["last"].is_null());

    ok("sealed.toml", &["keys", "shred", "gone", "--yes"]);
    assert_eq!(place.run_plain(&["backup", "sqlite:keys.db", "keys.craftx"]).code, 0);
    ok("copy.toml", &["restore", "data.craftx"]);
    assert!(ok("copy.toml", &["show", "birds"]).out.contains("the canary sings"));
    // What was shredded stays so.
    assert_eq!(with("copy.toml", &["show", "gone"]).code, 8);
    // With the keys that were backed up apart; and without.
    assert_eq!(place.run_plain(&["restore", "keys.craftx", "sqlite:keys-again.db"]).code, 0);
    assert!(ok("moved.toml", &["show", "birds"]).out.contains("the canary sings"));
    ok("locked.toml", &["append", "new", "makes the key store"]);
    assert_eq!(with("locked.toml", &["show", "birds"]).code, 8);
    // Merging it again over the store in which it was shredded brings nothing back.
    ok("sealed.toml", &["restore", "data.craftx", "--merge"]);
    assert_eq!(with("sealed.toml", &["show", "gone"]).code, 3);

    place.run_plain(&["--store", "sqlite:plain.db", "append", "s", "x"]);
    place.run_plain(&["backup", "sqlite:plain.db", "plain.craftx"]);
    let refused = with("sealed.toml", &["restore", "plain.craftx", "--merge"]);
    assert_eq!(refused.code, 8, "{refused:?}");
    // Whoever opens the files without their encryption writes nothing in clear into them.
    let bare = place.run_plain(&["backup", "sqlite:data.db", "bare.craftx", "--json"]);
    assert_eq!((bare.code, json(&bare.out)["recorded"].clone()), (0, false.into()), "{bare:?}");
    assert_eq!(with("sealed.toml", &["doctor"]).code, 0);
}

/// The lines of an archive.
fn zstd_text(place: &Place, name: &str) -> String {
    let bytes = std::fs::read(place.path().join(name)).unwrap();
    String::from_utf8(zstd::decode_all(&bytes[..bytes.len() - 40]).unwrap()).unwrap()
}

#[test]
fn a_hybrid_is_backed_up_as_one_store_and_a_leg_without_its_marks() {
    let place = Place::new("");
    place.write("craftx.toml", "profile = \"production_hybrid\"\n");
    let ok = |words: &[&str]| {
        let run = place.run_plain(words);
        assert_eq!(run.code, 0, "{run:?}");
        run.out
    };
    ok(&["append", "birds", "one"]);
    let made = json(&ok(&["backup", "hybrid.craftx", "--json"]));
    assert_eq!((&made["tenants"], &made["records"], &made["recorded"]), (&1.into(), &1.into(), &true.into()));
    assert!(!json(&ok(&["status", "--json"]))["backup"]["last"].is_null());
    let leg = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let leg = leg.into_iter().find(|name| name.ends_with(".db")).unwrap();
    let made = json(&ok(&["backup", &format!("sqlite:{leg}"), "leg.craftx", "--json"]));
    assert_eq!((&made["tenants"], &made["records"]), (&1.into(), &1.into()));
}

#[test]
fn an_archive_never_takes_the_place_of_a_file_of_the_store() {
    for place in places() {
        place.ok(&["append", "birds", "What is a heron?"]);
        place.ok(&["status"]);
        place.run_plain(&["--store", "sqlite:other.db", "append", "s", "x"]);
        place.run_plain(&["--store", "json:other", "append", "s", "x"]);
        std::os::unix::fs::symlink("chats", place.path().join("link")).unwrap();
        let absolute = place.path().join("chats.db").display().to_string();
        let url = format!("file://{absolute}");
        let before = place.files();
        let own: &[&str] = match place.is_json() {
            true => &["chats", "chats/birds.jsonl", "chats/new.craftx", "link/x", "chats/.locks/00", "chats/no/../x"],
            false => &["chats.db", "chats.db-wal", "./chats.db-shm", &absolute, &url],
        };
        for file in own.iter().chain(&["other.db", "other/x"]) {
            let store = if place.is_json() { "json:chats" } else { "sqlite:chats.db" };
            for run in [place.run(&["backup", file]), place.run_plain(&["backup", store, file])] {
                assert!(run.code == 2 && run.err.contains("store"), "{run:?}");
            }
            assert!(place.files() == before, "{file}");
        }
        place.ok(&["show", "birds"]);
    }
    // A pipe, a device or a folder stays one.
    let place = Place::new("sqlite:chats.db");
    place.ok(&["append", "birds", "What is a heron?"]);
    let pipe = place.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let run = place.run(&["backup", "pipe"]);
    assert!(run.code == 2 && !pipe.is_file() && pipe.exists(), "{run:?}");
    // The file under whose name the archive is written before it has its own.
    let place = Place::new("sqlite:x.partial");
    place.ok(&["append", "birds", "What is a heron?"]);
    assert_eq!(place.run(&["backup", "x"]).code, 2);
    place.ok(&["show", "birds"]);
}

#[test]
fn an_archive_never_takes_the_place_of_a_leg_of_a_hybrid() {
    let place = Place::new("");
    place.write("craftx.toml", "profile = \"production_hybrid\"\n");
    assert_eq!(place.run_plain(&["append", "birds", "one"]).code, 0);
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        let file = if path.is_dir() { path.join("x") } else { path.clone() };
        if !path.ends_with("craftx.toml") {
            let run = place.run_plain(&["backup", file.to_str().unwrap()]);
            assert_eq!(run.code, 2, "{run:?}");
        }
    }
    assert!(place.run_plain(&["show", "birds"]).out.contains("one"));
}

#[test]
fn a_store_alone_is_no_archive() {
    for place in places() {
        place.ok(&["append", "birds", "What is a heron?"]);
        let before = place.files();
        for words in [&["sqlite:f.db"][..], &["json:folder"], &["profile:mine"], &["json:chats", "sqlite:f.db"]] {
            let run = place.run(&[&["backup"], words].concat());
            assert!(run.code == 2 && run.err.contains("this names a store; name the archive too"), "{run:?}");
        }
        assert!(place.files() == before);
    }
}
