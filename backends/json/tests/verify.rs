//! Checking the folder: planted damage is found, named by file and line, and does not hide the rest.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{block_on, cx, message, open, snapshot, write};
use craftx_core::{Backend, SessionId, Tenant, Verified, WriteOptions};
use std::path::Path;

/// A folder with the sessions `a`, `b` and `c`, of which `b` has three batches, and one of another tenant.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "a", &[message(1, "canary a")]);
    for ms in 1..4 {
        write(&store, "b", &[message(ms, format!("canary b {ms}"))]);
    }
    write(&store, "c", &[message(1, "canary c")]);
    let acme = cx().with_tenant(Tenant::new("acme").unwrap());
    let session = SessionId::new("d").unwrap();
    block_on(store.write(&acme, &session, &[message(1, "canary d")], &WriteOptions::fresh())).unwrap();
    dir
}

fn verify(dir: &Path) -> Verified {
    let before = snapshot(dir);
    let verified = block_on(open(dir).verify(&cx())).unwrap();
    assert_eq!(snapshot(dir), before, "looking changes nothing");
    assert!(!format!("{verified:?}").contains("canary"), "no content is shown");
    verified
}

fn places(verified: &Verified) -> Vec<&str> {
    verified.problems.iter().map(|problem| problem.place.as_str()).collect()
}

#[test]
fn every_line_of_every_tenant_is_checked() {
    let verified = verify(folder().path());
    assert!(verified.is_clean() && verified.notes.is_empty(), "{verified:?}");
    assert!(verified.checked[0].ends_with("(sessions: 4, lines: 10)"), "{verified:?}");
    assert!(verified.unverifiable[0].contains("cut between two writes"));
}

#[test]
fn two_contents_of_one_message_are_listed() {
    let dir = folder();
    let session = SessionId::new("b").unwrap();
    let other = [message(2, "canary of another")];
    block_on(open(dir.path()).write(&cx(), &session, &other, &WriteOptions::replay())).unwrap();
    let verified = verify(dir.path());
    let [note] = verified.notes.as_slice() else { panic!("{verified:?}") };
    assert!(verified.is_clean() && note.contains("b.jsonl") && note.contains(&other[0].stamp().to_string()), "{note}");
}

#[test]
fn a_flipped_bit_anywhere_is_found_by_file_and_line() {
    let dir = folder();
    let path = dir.path().join("b.jsonl");
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut image = whole.clone();
        image[at] ^= 1 << (at % 8);
        std::fs::write(&path, &image).unwrap();
        let verified = block_on(open(dir.path()).verify(&cx())).unwrap();
        let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let place = format!("{}`, line {line}", path.file_name().unwrap().display());
        assert!(verified.problems.len() == 1 && places(&verified)[0].ends_with(&place), "byte {at}: {verified:?}");
    }
}

#[test]
fn a_store_that_was_read_before_is_read_again() {
    let dir = folder();
    let store = open(dir.path());
    assert!(block_on(store.verify(&cx())).unwrap().is_clean());
    assert_eq!(common::texts(&store, "b").len(), 3);
    let path = dir.path().join("b.jsonl");
    let mut image = std::fs::read(&path).unwrap();
    // In the first batch, so that what is known of the end still holds.
    let at = image.iter().position(|byte| *byte == b'\n').unwrap() + 30;
    image[at] ^= 1;
    std::fs::write(&path, &image).unwrap();
    assert_eq!(block_on(store.verify(&cx())).unwrap().problems.len(), 1);
}

#[test]
fn one_damage_does_not_hide_another() {
    let dir = folder();
    for file in ["a.jsonl", "c.jsonl", "tenants/acme/d.jsonl"] {
        std::fs::write(dir.path().join(file), "nonsense\n{}\n").unwrap();
    }
    std::fs::write(dir.path().join("A!.jsonl"), "").unwrap();
    std::fs::write(dir.path().join("old.json"), "[1]").unwrap();
    let verified = verify(dir.path());
    for file in ["a.jsonl`, line 1", "c.jsonl`, line 1", "d.jsonl`, line 1", "A!.jsonl`", "old.json`, entry 1"] {
        assert!(places(&verified).iter().any(|place| place.ends_with(file)), "{file}: {verified:?}");
    }
    assert_eq!(verified.problems.len(), 5);
    assert!(verified.checked[0].contains("(sessions: 1, "), "{verified:?}");
}

#[test]
fn what_an_interruption_left_is_named_and_is_no_damage() {
    let dir = folder();
    let whole = std::fs::read(dir.path().join("b.jsonl")).unwrap();
    std::fs::write(dir.path().join("b.jsonl"), &whole[..whole.len() - 5]).unwrap();
    for file in ["a.jsonl.torn-1", "c.jsonl.tmp", "craftx.store.tmp", "notes.txt"] {
        std::fs::write(dir.path().join(file), "left").unwrap();
    }
    let verified = verify(dir.path());
    assert_eq!((verified.problems.len(), verified.notes.len()), (0, 5), "{verified:?}");
    for part in ["b.jsonl`: ", "a.jsonl.torn-1", "c.jsonl.tmp", "craftx.store.tmp", "notes.txt`: not of this store"] {
        assert!(verified.notes.iter().any(|note| note.contains(part)), "{part}: {verified:?}");
    }
}

#[test]
fn a_folder_of_craftx_py_is_checked_and_says_what_it_cannot_know() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.json"), r#"[{"role":"user","message":"canary"}]"#).unwrap();
    let store = common::try_open(dir.path(), craftx_core::Prepare::Open).unwrap();
    let verified = block_on(store.verify(&cx())).unwrap();
    assert!(verified.is_clean() && verified.unverifiable.iter().any(|what| what.contains("CraftX.py")), "{verified:?}");
}
