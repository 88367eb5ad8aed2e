//! The keys of an encrypted store, from the keyring to the shredding, and exit code 8.
#![cfg(all(unix, feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Place, Run};
use serde_json::Value;

const SEALED: &str = r#"
backend = "hybrid"
layers = ["encrypt"]
[hybrid.primary]
backend = "sqlite"
[hybrid.primary.sqlite]
path = "first.db"
[[hybrid.secondary]]
backend = "json"
[hybrid.secondary.json]
path = "copy"
[encrypt]
keyring = "file:keyring.json"
keys = { backend = "sqlite", sqlite = { path = "keys.db" } }
"#;

const CANARY: &str = "canary-77c1";

/// A store with three sessions under the key `a`.
fn place() -> Place {
    let place = Place::new("");
    place.write("craftx.toml", SEALED);
    ok(&place, &["keys", "new", "keyring.json", "--id", "a"]);
    for session in ["one", "two", "three"] {
        ok(&place, &["append", session, CANARY]);
    }
    place
}

fn ok(place: &Place, words: &[&str]) -> String {
    let run = place.run_plain(words);
    assert_eq!(run.code, 0, "{run:?}");
    run.out
}

fn json(place: &Place, words: &[&str]) -> Value {
    serde_json::from_str(&ok(place, &[words, &["--json"]].concat())).unwrap()
}

/// All bytes of all files in the folder but the keyring.
fn bytes(place: &Place) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), vec![place.path().to_owned()]);
    while let Some(path) = rest.pop() {
        match path.is_dir() {
            true => rest.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path())),
            false => all.extend(std::fs::read(&path).unwrap()),
        }
    }
    all
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

#[test]
fn what_is_written_can_be_read_by_the_command_and_by_nobody_else() {
    let place = place();
    assert!(ok(&place, &["show", "one"]).contains(CANARY));
    assert!(!holds(&bytes(&place), CANARY));
    assert!(ok(&place, &["config", "check"]).contains("encrypt (removes"));
    let run = place.run_plain(&["search", CANARY]);
    assert!(
        run.code == 2 && run.err.contains("`encrypt.blind_index = true`"),
        "it says what would make it possible: {run:?}"
    );
    assert_eq!(place.run_plain(&["doctor"]).code, 0);
}

#[test]
fn a_keyring_is_made_once_for_its_owner_alone_and_then_gets_more_keys() {
    let place = Place::new("");
    let made = json(&place, &["keys", "new", "ring.json"]);
    assert_eq!((made["made"].as_bool(), made["keys"][0]["state"].as_str()), (Some(true), Some("primary")));
    let mode = std::fs::metadata(place.path().join("ring.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = made["id"].as_str().unwrap();
    let more = json(&place, &["keys", "new", "ring.json"]);
    assert_eq!((more["made"].as_bool(), more["id"].as_str()), (Some(false), Some(format!("{first}.2").as_str())));
    let states: Vec<_> = more["keys"].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["enabled", "primary"]);
    let before = std::fs::read(place.path().join("ring.json")).unwrap();
    assert_eq!(place.run_plain(&["keys", "new", "ring.json", "--id", first]).code, 2, "the name is taken");
    assert_eq!(place.run_plain(&["keys", "new", "ring.json", "--id", "no spaces"]).code, 2);
    place.write("other", "not a keyring");
    std::fs::set_permissions(place.path().join("other"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.run_plain(&["keys", "new", "other"]).code, 2);
    assert_eq!(std::fs::read(place.path().join("other")).unwrap(), b"not a keyring");
    assert_eq!(std::fs::read(place.path().join("ring.json")).unwrap(), before);
}

#[test]
fn a_key_goes_when_nothing_needs_it_and_not_before() {
    let place = place();
    ok(&place, &["keys", "new", "keyring.json", "--id", "b"]);
    ok(&place, &["append", "four", CANARY]);
    assert_eq!(ok(&place, &["keys", "list"]), "enabled    a\nprimary    b\n");
    let status = json(&place, &["keys", "status"]);
    assert_eq!(status["complete"], false);
    assert_eq!(status["keys"][0]["data_keys"], 3);
    for words in [&["keys", "retire", "a"][..], &["keys", "destroy", "a", "--yes"]] {
        let run = place.run_plain(words);
        assert!(run.code == 1 && run.err.contains("still protects") && run.err.contains("data_keys: 3"), "{run:?}");
    }
    let rotated = json(&place, &["keys", "rotate"]);
    assert_eq!((rotated["sessions"].as_u64(), rotated["rewrapped"].as_u64()), (Some(4), Some(3)));
    assert_eq!(json(&place, &["keys", "rotate"])["rewrapped"], 0, "nothing is left to do");
    assert_eq!(json(&place, &["keys", "status"])["keys"][0]["can"], "retire");
    let run = place.run_plain(&["keys", "destroy", "a", "--yes"]);
    assert!(
        run.code == 2 && run.err.contains("destroy the key: only a retired key"),
        "a key is retired first: {run:?}"
    );
    ok(&place, &["keys", "retire", "a"]);
    assert_eq!(json(&place, &["keys", "status"])["keys"][0]["can"], "destroy");
    let run = place.run_plain(&["keys", "destroy", "a"]);
    assert!(run.code == 2 && run.err.contains("--yes"), "nobody can be asked: {run:?}");
    assert_eq!(ok(&place, &["keys", "destroy", "a", "--yes"]), "destroyed  a\nprimary    b\n");
    assert!(ok(&place, &["show", "one"]).contains(CANARY));
    let run = place.run_plain(&["keys", "retire", "b"]);
    assert!(run.code == 1 && run.err.contains("`craftx keys new` to add a key"), "the primary key is needed: {run:?}");
    assert_eq!(place.run_plain(&["keys", "retire", "c"]).code, 2, "there is no such key");
}

#[test]
fn code_8_is_for_keys_that_are_missing_or_wrong_and_for_what_was_changed() {
    let place = place();
    let ring = place.path().join("keyring.json");
    let saved = std::fs::read(&ring).unwrap();
    std::fs::remove_file(&ring).unwrap();
    ok(&place, &["keys", "new", "keyring.json", "--id", "a"]);
    for words in [&["show", "one"][..], &["append", "one", "x"], &["export"]] {
        let run = place.run_plain(words);
        assert!(run.code == 8 && !run.err.contains(CANARY), "another key of the same name: {run:?}");
    }
    std::fs::remove_file(&ring).unwrap();
    ok(&place, &["keys", "new", "keyring.json", "--id", "b"]);
    let run = place.run_plain(&["keys", "status"]);
    assert!(run.code == 8 && run.out.contains("missing    a: 3 data keys of 3 sessions"), "{run:?}");
    assert!(run.out.ends_with("restore the keyring that has what is missing: rotating does not help\n"), "{run:?}");
    assert!(!run.out.contains("`craftx keys rotate`"), "there is nothing that it could wrap anew: {run:?}");
    ok(&place, &["append", "four", CANARY]);
    let Run { code, out, .. } = place.run_plain(&["keys", "rotate"]);
    assert!(code == 8 && out.contains("3 failed"), "{out}");
    std::fs::write(&ring, &saved).unwrap();
    assert!(ok(&place, &["show", "one"]).contains(CANARY), "nothing was destroyed by the wrong keys");
    assert_eq!(place.run_plain(&["show", "four"]).code, 8);

    ok(&place, &["append", "plain", CANARY, "--store", "sqlite:first.db"]);
    assert_eq!(place.run_plain(&["show", "plain"]).code, 8, "plaintext where ciphertext must be");
}

#[test]
fn a_shredded_session_cannot_be_read_in_any_copy() {
    let place = place();
    let backup = Place::new("");
    for name in ["first.db", "keyring.json"] {
        std::fs::copy(place.path().join(name), backup.path().join(name)).unwrap();
    }
    let sealed = SEALED.replace("\"hybrid\"", "\"sqlite\"");
    let (top, rest) = sealed.split_once("[hybrid.primary]").unwrap();
    let (_, encrypt) = rest.split_once("[encrypt]").unwrap();
    backup.write("craftx.toml", format!("{top}[sqlite]\npath = \"first.db\"\n[encrypt]{encrypt}"));

    assert_eq!(place.run_plain(&["keys", "shred", "one"]).code, 2, "nobody can be asked");
    assert_eq!(place.run_plain(&["keys", "shred", "on", "--yes"]).code, 3, "not by the beginning of its name");
    assert_eq!(ok(&place, &["show", "one"]).matches(CANARY).count(), 1);
    let receipt = json(&place, &["keys", "shred", "one", "--yes"]);
    assert_eq!((receipt["data_keys"].as_u64(), receipt["complete"].as_bool()), (Some(1), Some(true)));
    assert_eq!(receipt["steps"].as_array().unwrap().len(), 4);
    assert_eq!(place.run_plain(&["show", "one"]).code, 3);
    ok(&place, &["show", "two"]);

    // The key store of now, and the data of then.
    std::fs::copy(place.path().join("keys.db"), backup.path().join("keys.db")).unwrap();
    let run = backup.run_plain(&["show", "one"]);
    assert!(run.code == 8 && run.err.contains("destroyed"), "{run:?}");
    assert!(ok(&backup, &["show", "two"]).contains(CANARY));
}

#[test]
fn a_session_that_was_deleted_can_still_be_shredded_and_one_that_cannot_be_read_too() {
    let place = place();
    ok(&place, &["rm", "one"]);
    assert_eq!(json(&place, &["keys", "shred", "one", "--yes"])["data_keys"], 1);
    std::fs::remove_file(place.path().join("keyring.json")).unwrap();
    ok(&place, &["keys", "new", "keyring.json", "--id", "b"]);
    assert_eq!(place.run_plain(&["show", "two"]).code, 8);
    assert_eq!(json(&place, &["keys", "shred", "two", "--yes"])["complete"], true);
}

#[test]
fn a_store_that_is_there_already_is_encrypted_into_another_one() {
    let place = Place::new("json:plain");
    for session in ["one", "two"] {
        place.ok(&["append", session, "hello"]);
    }
    place.ok(&["append", "one", CANARY, "--tenant", "other"]);
    place.write("craftx.toml", SEALED);
    ok(&place, &["keys", "new", "keyring.json"]);
    let copied = json(&place, &["keys", "encrypt-existing", "json:plain"]);
    assert_eq!((copied["tenants"].as_u64(), copied["applied"].as_u64()), (Some(2), Some(3)));
    assert_eq!(json(&place, &["keys", "encrypt-existing", "json:plain"])["applied"], 0);
    std::fs::remove_dir_all(place.path().join("plain")).unwrap();
    assert!(ok(&place, &["show", "one", "--tenant", "other"]).contains(CANARY));
    assert!(!holds(&bytes(&place), CANARY));
    assert_eq!(place.run_plain(&["keys", "encrypt-existing", "json:plain"]).code, 3, "there is no such store");
    assert_eq!(place.run_plain(&["keys", "encrypt-existing", "sqlite:first.db"]).code, 2, "it holds ciphertext");
}

#[test]
fn a_stack_without_the_layer_says_what_to_configure() {
    let place = Place::new("sqlite:chats.db");
    place.ok(&["append", "s", "x"]);
    for words in [&["keys", "list"][..], &["keys", "rotate"], &["keys", "status"], &["keys", "shred", "s", "--yes"]] {
        let run = place.run(words);
        assert!(run.code == 2 && run.err.contains("`encrypt.keyring` and `encrypt.keys`"), "{run:?}");
    }
    assert!(place.ok(&["show", "s"]).contains('x'));
}

#[test]
fn keys_are_for_the_system_where_the_store_limits_who_may_do_what() {
    let place = Place::new("");
    let rules = "[[access.allow]]\ncreate = true\n[[access.allow]]\nroles = [\"root\"]\nactions = [\"admin\"]\n";
    place.write("craftx.toml", format!("{}{rules}", SEALED.replace("[\"encrypt\"]", "[\"access\", \"encrypt\"]")));
    ok(&place, &["keys", "new", "keyring.json"]);
    ok(&place, &["append", "s", CANARY, "--as", "ann"]);
    ok(&place, &["append", "s", "x", "--store", "json:plain"]);
    assert_eq!(place.run_plain(&["show", "s", "--as", "eve"]).code, 3);
    for words in [
        &["keys", "list"][..],
        &["keys", "rotate"],
        &["keys", "status"],
        &["keys", "retire", "x"],
        &["keys", "destroy", "x", "--yes"],
        &["keys", "shred", "s", "--yes"],
        &["keys", "encrypt-existing", "json:plain"],
    ] {
        for who in [&[][..], &["--as", "ann:root"]] {
            let run = place.run_plain(&[words, who].concat());
            assert_eq!(run.code, 4, "{run:?}");
        }
    }
    ok(&place, &["keys", "shred", "s", "--yes", "--as-system"]);
    assert_eq!(place.run_plain(&["show", "s", "--as", "ann"]).out, "");
}

#[test]
fn a_store_that_is_gone_is_told_with_what_brings_it_back() {
    let place = place();
    std::fs::remove_file(place.path().join("first.db")).unwrap();
    for words in [&["show", "one"][..], &["status"], &["rm", "one"]] {
        let run = place.run_plain(words);
        assert!(run.code == 3 && run.err.contains("`craftx heal` if it is lost"), "{run:?}");
    }
    ok(&place, &["heal"]);
    assert!(ok(&place, &["show", "one"]).contains(CANARY));

    place.write("first.db", "no database, and long enough to be looked at as one");
    let run = place.run_plain(&["doctor"]);
    assert!(run.code == 6 && run.out.contains("→ take it away, and `craftx heal`"), "damaged is not away: {run:?}");
    // What has to go goes all the same.
    ok(&place, &["rm", "two"]);
    assert_eq!(place.run_plain(&["keys", "shred", "three", "--yes"]).code, 0, "the other store is there");
    std::fs::remove_file(place.path().join("first.db")).unwrap();
    ok(&place, &["heal"]);
    ok(&place, &["doctor"]);

    std::fs::remove_file(place.path().join("keys.db")).unwrap();
    let run = place.run_plain(&["show", "one"]);
    assert!(run.code == 3 && run.err.contains("else restore the key store"), "other keys would not help: {run:?}");
}
