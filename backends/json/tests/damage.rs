//! Bytes that are not what was written: a typed error that names file and line, never skipped, never overwritten.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{block_on, cx, id, message, open, texts, try_texts, write};
use craftx_core::{Backend, Caller, Compact, Context, ErrorKind, SessionOrder, SessionQuery, Tenant, WriteOptions};

/// A folder with the sessions `a`, `b` and `c`, of which `b` has three batches.
fn folder() -> (tempfile::TempDir, craftx_json::Json) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "a", &[message(1, "a")]);
    for ms in 1..4 {
        write(&store, "b", &[message(ms, format!("b {ms}"))]);
    }
    write(&store, "c", &[message(1, "c")]);
    (dir, store)
}

#[test]
fn a_flipped_bit_anywhere_is_an_error_that_names_file_and_line() {
    let (dir, _) = folder();
    let path = dir.path().join("b.jsonl");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut image = whole.clone();
        image[at] ^= 1 << (at % 8);
        std::fs::write(&path, &image).unwrap();
        let store = open(dir.path());
        let error = try_texts(&store, "b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "byte {at}: {error}");
        assert!(error.get("file").unwrap().contains("b.jsonl"));
        // A byte that became a line break makes one line two, and one that was a line break two lines one.
        let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        assert_eq!(error.get("line").unwrap(), line.to_string(), "byte {at}");
        assert_eq!((texts(&store, "a"), texts(&store, "c")), (vec!["a".to_owned()], vec!["c".to_owned()]));
    }
}

#[test]
fn a_damaged_session_is_neither_written_nor_changed() {
    let (dir, _) = folder();
    let path = dir.path().join("b.jsonl");
    let mut image = std::fs::read(&path).unwrap();
    let middle = image.len() / 2;
    image[middle] ^= 1;
    std::fs::write(&path, &image).unwrap();
    let store = open(dir.path());
    let write = block_on(store.write(&cx(), &id("b"), &[message(9, "late")], &WriteOptions::fresh()));
    assert_eq!(write.unwrap_err().kind(), ErrorKind::Corrupted);
    assert_eq!(block_on(store.session(&cx(), &id("b"))).unwrap_err().kind(), ErrorKind::Corrupted);
    assert_eq!(block_on(store.records(&cx(), &id("b"), None, None)).unwrap_err().kind(), ErrorKind::Corrupted);
    assert_eq!(block_on(store.compact(&cx(), &Compact::new())).unwrap_err().kind(), ErrorKind::Corrupted);
    assert_eq!(std::fs::read(&path).unwrap(), image);
}

#[test]
fn damage_is_noticed_although_the_session_was_read_before() {
    let (dir, store) = folder();
    assert_eq!(texts(&store, "b").len(), 3);
    let path = dir.path().join("b.jsonl");
    let mut image = std::fs::read(&path).unwrap();
    let place = image.windows(3).position(|bytes| bytes == b"b 2").unwrap();
    image[place] = b'B';
    std::fs::write(&path, &image).unwrap();
    assert_eq!(try_texts(&store, "b").unwrap_err().kind(), ErrorKind::Corrupted);
}

#[test]
fn lines_that_follow_a_bad_one_are_not_taken_for_a_torn_tail() {
    let (dir, store) = folder();
    let path = dir.path().join("b.jsonl");
    let whole = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let zeros = "\0".repeat(lines[2].len());
    for (image, line) in [
        ([lines[0], lines[1], &zeros, lines[3], ""].join("\n"), 3),
        ([lines[0], lines[1], "", lines[3], ""].join("\n"), 3),
        ([lines[0], lines[1], lines[2], "{}", ""].join("\n"), 4),
        ([lines[0], lines[1], lines[2], lines[3].split_at(20).0, ""].join("\n"), 4),
        ([lines[1], lines[2], lines[3], ""].join("\n"), 1),
        ([lines[0], lines[0], lines[3], ""].join("\n"), 2),
    ] {
        std::fs::write(&path, &image).unwrap();
        let error = try_texts(&store, "b").unwrap_err();
        assert_eq!(
            (error.kind(), error.get("line").unwrap()),
            (ErrorKind::Corrupted, line.to_string().as_str()),
            "{image}"
        );
    }
}

#[test]
fn a_list_fails_only_where_the_damaged_session_would_be() {
    let (dir, store) = folder();
    let path = dir.path().join("b.jsonl");
    std::fs::write(&path, "nonsense\n").unwrap();
    let page = |query: SessionQuery| block_on(store.sessions(&cx(), &query));
    let first = page(SessionQuery::new().prefix("a")).unwrap();
    assert_eq!(first.items.len(), 1);
    assert_eq!(page(SessionQuery::new().prefix("c")).unwrap().items.len(), 1);
    for query in [SessionQuery::new(), SessionQuery::new().order(SessionOrder::RecentFirst)] {
        let error = page(query).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Corrupted, "sessions"));
        assert!(error.get("file").unwrap().contains("b.jsonl"));
    }
    let tenants = block_on(store.tenants(&cx(), None)).unwrap();
    assert_eq!(tenants.items, [Tenant::default()]);
    assert_eq!(block_on(store.status(&cx())).unwrap().sessions, None, "the number is not known");
}

#[test]
fn a_file_under_another_name_is_not_taken_for_its_session() {
    let (dir, store) = folder();
    std::fs::copy(dir.path().join("a.jsonl"), dir.path().join("d.jsonl")).unwrap();
    let error = try_texts(&store, "d").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted);
    assert!(error.message().contains("another session"));
}

#[test]
fn a_file_that_no_session_can_have_is_named() {
    let (dir, store) = folder();
    std::fs::write(dir.path().join("Upper.jsonl"), "").unwrap();
    let error = block_on(store.sessions(&cx(), &SessionQuery::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted);
    assert!(error.get("file").unwrap().contains("Upper.jsonl"));
}

#[test]
fn a_file_of_a_newer_release_is_refused_as_such() {
    let (dir, store) = folder();
    for (line, text) in [(1, r#"{"v":2,"craftx":"session","new":1"#), (2, r#"{"v":2,"record":"poll","id":1"#)] {
        let sealed = |body: &str| format!("{body},\"crc\":\"{:08x}\"}}\n", crc32c::crc32c(body.as_bytes()));
        let whole = std::fs::read_to_string(dir.path().join("a.jsonl")).unwrap();
        let header = if line == 1 { String::new() } else { format!("{}\n", whole.lines().next().unwrap()) };
        let name = dir.path().join("a.jsonl");
        std::fs::write(&name, format!("{header}{}", sealed(text))).unwrap();
        let error = try_texts(&store, "a").unwrap_err();
        assert_eq!((error.kind(), error.get("line").unwrap()), (ErrorKind::SchemaTooNew, line.to_string().as_str()));
        std::fs::write(&name, whole).unwrap();
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_at_all_are_read_or_refused(
        kept in 0..2_000_usize,
        change in proptest::option::of((0..2_000_usize, proptest::prelude::any::<u8>())),
        added in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..1_200),
        zeros in 0..1_200_usize,
        repeat in proptest::prelude::any::<bool>(),
    ) {
        static WHOLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let whole = WHOLE.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            for ms in 0..4 {
                write(&store, "s", &[message(ms * 2, "x".repeat(150)), message(ms * 2 + 1, "y")]);
            }
            std::fs::read(dir.path().join("s.jsonl")).unwrap()
        });
        let mut image = whole[..kept.min(whole.len())].to_vec();
        if let Some((at, byte)) = change && at < image.len() {
            image[at] = byte;
        }
        image.extend_from_slice(&added);
        image.extend(std::iter::repeat_n(0, zeros));
        if repeat {
            image.extend_from_slice(whole);
        }
        let dir = tempfile::tempdir().unwrap();
        let store = common::open_fast(dir.path());
        std::fs::write(dir.path().join("s.jsonl"), &image).unwrap();
        match try_texts(&store, "s") {
            Ok(found) => {
                // Whatever is read was written, in whole batches from the beginning.
                proptest::prop_assert!(found.len() <= 8 && found.len() % 2 == 0);
                let next = block_on(store.write(&cx(), &id("s"), &[message(99, "next")], &WriteOptions::fresh()));
                proptest::prop_assert!(next.is_ok());
                proptest::prop_assert_eq!(texts(&open(dir.path()), "s").len(), found.len() + 1);
            }
            Err(error) => {
                proptest::prop_assert_eq!(error.kind(), ErrorKind::Corrupted);
                proptest::prop_assert_eq!(std::fs::read(dir.path().join("s.jsonl")).unwrap(), image);
            }
        }
    }
}

#[test]
fn no_error_quotes_what_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "s", &[message(1, "the secret canary"), message(2, "canary")]);
    let path = dir.path().join("s.jsonl");
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(3) {
        let mut image = whole.clone();
        image[at] ^= 4;
        std::fs::write(&path, &image).unwrap();
        let error = try_texts(&open(dir.path()), "s").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    assert!(!format!("{store:?}").contains("canary"));
    let anonymous = Context::new(Tenant::default()).with_caller(Caller::Anonymous);
    assert_eq!(block_on(store.tenants(&anonymous, None)).unwrap_err().kind(), ErrorKind::PermissionDenied);
}
