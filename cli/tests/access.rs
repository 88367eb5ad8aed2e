//! The command over a store that limits who may do what.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::{Place, Run};

const GUARDED: &str = r#"
backend = "sqlite"
layers = ["access"]
[sqlite]
path = "chats.db"
[[access.allow]]
create = true
[[access.allow]]
roles = ["support"]
actions = ["read", "list", "search"]
[[access.forbid]]
principals = ["mallory"]
[access.audit]
path = "audit.jsonl"
"#;

fn place() -> Place {
    let place = Place::new("");
    place.write("craftx.toml", GUARDED);
    let run = place.run_plain(&["append", "s", "hello", "--as", "ann"]);
    assert_eq!(run.code, 0, "{run:?}");
    place
}

fn code(place: &Place, words: &[&str]) -> i32 {
    place.run_plain(words).code
}

#[test]
fn nobody_and_the_operator_by_default_may_do_nothing() {
    let place = place();
    for words in [
        &["show", "s"][..],
        &["append", "s", "x"],
        &["list"],
        &["search", "hello"],
        &["rm", "s"],
        &["export"],
        &["stats"],
        &["status"],
        &["doctor"],
        &["heal"],
        &["access", "check", "read", "s"],
    ] {
        let run = place.run_plain(words);
        assert_eq!(run.code, 4, "{run:?}");
        assert!(run.err.contains("`--as PRINCIPAL`"), "{run:?}");
    }
}

#[test]
fn somebody_may_do_what_the_rules_say() {
    let place = place();
    let Run { out, code: shown, .. } = place.run_plain(&["show", "s", "--as", "ann"]);
    assert!(shown == 0 && out.contains("hello"), "{out}");
    assert_eq!(code(&place, &["show", "s", "--as", "bob"]), 3, "as if it were not there");
    assert_eq!(code(&place, &["show", "s", "--as", "bob:support"]), 0);
    assert_eq!(code(&place, &["rm", "s", "--as", "bob:support"]), 4, "seen, and not to be changed");
    assert_eq!(place.run_plain(&["list", "--as", "bob"]).out, "");
    assert_eq!(code(&place, &["list", "--as", "mallory:support"]), 4, "forbidden");
    assert_eq!(code(&place, &["show", "s", "--as", "eve:ann"]), 3, "a role named like the owner");
    assert_eq!(code(&place, &["list", "--as", ":support"]), 2, "nobody");
}

#[test]
fn the_store_as_a_whole_is_for_the_system() {
    let place = place();
    for words in [&["status"][..], &["stats"], &["doctor"], &["heal"]] {
        assert_eq!(code(&place, &[words, &["--as", "ann"]].concat()), 4, "{words:?}");
        assert_eq!(code(&place, &[words, &["--as-system"]].concat()), 0, "{words:?}");
    }
    assert_eq!(code(&place, &["list", "--as-system", "--as", "ann"]), 2);
}

#[test]
fn an_owner_may_delete_and_erase() {
    let place = place();
    assert_eq!(code(&place, &["rm", "s", "--as", "bob"]), 3);
    assert_eq!(code(&place, &["rm", "s", "--as", "ann"]), 0);
    assert_eq!(code(&place, &["append", "s", "mine now", "--as", "bob"]), 3, "the owner stays");
}

#[test]
fn what_may_be_done_can_be_asked() {
    let place = place();
    let ask = |words: &[&str]| {
        let run = place.run_plain(&[&["access", "check"], words].concat());
        (run.code, run.out)
    };
    assert_eq!(ask(&["read", "s", "--as", "ann"]), (0, "ann may read s (owner): owner\n".to_owned()));
    assert_eq!(ask(&["append", "s", "--as", "bob"]), (4, "bob may not append s (other): default\n".to_owned()));
    assert_eq!(ask(&["append", "new", "--as", "bob"]), (0, "bob may append new (new): allow.0\n".to_owned()));
    let (code, out) = ask(&["read", "s", "--as", "mallory:support"]);
    assert_eq!((code, out.as_str()), (4, "mallory may not read s (other): forbid.0\n"));
    let (code, out) = ask(&["admin", "--as", "ann"]);
    assert_eq!((code, out.as_str()), (4, "ann may not admin the tenant (tenant): default\n"));
    assert_eq!(ask(&["fly", "s", "--as", "ann"]).0, 2);
    let bare = Place::new("sqlite:bare.db");
    bare.ok(&["append", "s", "x"]);
    assert_eq!(bare.run(&["access", "check", "read", "s", "--as", "ann"]).code, 2, "there is no layer");
}

#[test]
fn what_is_refused_stands_in_the_log() {
    let place = place();
    place.run_plain(&["show", "s", "--as", "bob"]);
    let log = std::fs::read_to_string(place.path().join("audit.jsonl")).unwrap();
    assert!(log.lines().any(|line| line.contains(r#""principal":"bob""#) && line.contains(r#""decision":"deny""#)));
    assert!(!log.contains("hello"), "{log}");
}

#[test]
fn an_audit_log_that_cannot_be_written_is_told_with_its_file_and_why() {
    let place = Place::new("");
    place.write("craftx.toml", GUARDED.replace("audit.jsonl", "nowhere/audit.jsonl"));
    let run = place.run_plain(&["append", "s", "hello", "--as", "ann"]);
    assert!(run.code == 5 && run.err.contains("cause: entity not found, file: `nowhere/audit.jsonl`"), "{run:?}");
}
