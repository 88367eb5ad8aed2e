//! What an interrupted append leaves behind: never an acknowledged batch less, never half a batch more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{block_on, cx, id, message, open, open_fast, snapshot, texts, try_open, write};
use craftx_core::{Backend, Prepare, Record, WriteOptions};

/// The file before and after a batch of these texts was appended to two acknowledged ones.
fn before_and_after(batch: &[String]) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_fast(dir.path());
    write(&store, "s", &[message(0, "first")]);
    write(&store, "s", &[message(1, "second"), message(2, "third")]);
    let path = dir.path().join("s.jsonl");
    let before = std::fs::read(&path).unwrap();
    write(&store, "s", &records(batch));
    (before, std::fs::read(&path).unwrap())
}

fn records(batch: &[String]) -> Vec<Record> {
    (10..).zip(batch).map(|(ms, text)| message(ms, text.clone())).collect()
}

const ACKNOWLEDGED: [&str; 3] = ["first", "second", "third"];

/// Opens a folder with this image of the session, checks what is read, writes the batch again and one more message.
fn check(image: &[u8], batch: &[String], whole: bool, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let writer = open_fast(dir.path());
    let path = dir.path().join("s.jsonl");
    std::fs::write(&path, image).unwrap();
    let mut expected: Vec<String> = ACKNOWLEDGED.map(str::to_owned).to_vec();
    let reader = try_open(dir.path(), Prepare::Open).unwrap();
    if whole {
        expected.extend_from_slice(batch);
    }
    assert_eq!(texts(&reader, "s"), expected, "{what}");
    assert_eq!(std::fs::read(&path).unwrap(), image, "reading changes nothing: {what}");

    block_on(writer.write(&cx(), &id("s"), &records(batch), &WriteOptions::fresh())).unwrap();
    write(&writer, "s", &[message(99, "last")]);
    let mut expected: Vec<String> = ACKNOWLEDGED.map(str::to_owned).to_vec();
    expected.extend_from_slice(batch);
    expected.push("last".to_owned());
    for store in [&reader, &writer, &open_fast(dir.path())] {
        assert_eq!(texts(store, "s"), expected, "{what}");
    }
}

#[test]
fn a_batch_cut_at_any_byte_is_there_whole_or_not_at_all() {
    for batch in [vec!["one é".to_owned()], vec!["one".to_owned(), "two".to_owned(), "three".to_owned()]] {
        let (before, after) = before_and_after(&batch);
        for cut in before.len()..=after.len() {
            check(&after[..cut], &batch, cut == after.len(), &format!("cut at {cut}"));
        }
    }
}

#[test]
fn a_first_batch_cut_at_any_byte_is_there_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_fast(dir.path());
    let batch = [message(1, "one"), message(2, "two")];
    write(&store, "s", &batch);
    let path = dir.path().join("s.jsonl");
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let store = open_fast(dir.path());
        assert!(texts(&store, "s").is_empty(), "cut at {cut}");
        assert!(block_on(store.sessions(&cx(), &Default::default())).unwrap().items.is_empty());
        assert!(block_on(store.records(&cx(), &id("s"), None, None)).unwrap().items.is_empty());
        write(&store, "s", &batch);
        assert_eq!(texts(&store, "s"), ["one", "two"], "cut at {cut}");
    }
}

#[test]
fn every_set_of_sectors_that_a_power_loss_leaves_unwritten_is_survived() {
    let batch: Vec<String> = (0..5).map(|number| format!("{number}{}", "x".repeat(number * 170))).collect();
    let (before, after) = before_and_after(&batch);
    let mut sectors = vec![(before.len(), (before.len() / 512 + 1) * 512)];
    while sectors.last().unwrap().1 < after.len() {
        let from = sectors.last().unwrap().1;
        sectors.push((from, (from + 512).min(after.len())));
    }
    assert!((4..10).contains(&sectors.len()), "{}", sectors.len());
    for written in 0..1_u32 << sectors.len() {
        let mut image = after.clone();
        for (number, (from, to)) in sectors.iter().enumerate() {
            if written & (1 << number) == 0 {
                image[*from..*to].fill(0);
            }
        }
        let whole = image == after;
        check(&image, &batch, whole, &format!("sectors {written:b}"));
        // The size may be older than the sectors.
        let cut = sectors[sectors.len() / 2].1;
        check(&image[..cut], &batch, false, &format!("sectors {written:b}, cut at {cut}"));
    }
}

#[test]
fn unwritten_sectors_of_a_first_batch_leave_an_empty_session() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_fast(dir.path());
    let batch = [message(1, "x".repeat(700)), message(2, "y".repeat(300))];
    write(&store, "s", &batch);
    let path = dir.path().join("s.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let sectors = whole.len().div_ceil(512);
    for written in 0..(1_u32 << sectors) - 1 {
        let mut image = whole.clone();
        for (number, sector) in image.chunks_mut(512).enumerate() {
            if written & (1 << number) == 0 {
                sector.fill(0);
            }
        }
        std::fs::write(&path, &image).unwrap();
        let store = open_fast(dir.path());
        assert!(texts(&store, "s").is_empty(), "{written:b}");
        write(&store, "s", &batch);
        assert_eq!(texts(&store, "s").len(), 2, "{written:b}");
    }
}

#[test]
fn a_torn_tail_is_set_aside_before_the_next_append() {
    let (before, after) = before_and_after(&["lost".to_owned()]);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let path = dir.path().join("s.jsonl");
    for (number, cut) in [(1, after.len() - 1), (2, after.len() - 9)] {
        std::fs::write(&path, &after[..cut]).unwrap();
        write(&store, "s", &[message(50, "next")]);
        let aside = std::fs::read(dir.path().join(format!("s.jsonl.torn-{number}"))).unwrap();
        assert_eq!(aside, after[before.len()..cut]);
        assert_eq!(texts(&store, "s"), ["first", "second", "third", "next"]);
    }
    assert_eq!(block_on(store.sessions(&cx(), &Default::default())).unwrap().items.len(), 1);
    block_on(store.compact(&cx(), &Default::default())).unwrap();
    assert!(snapshot(dir.path()).keys().all(|path| !path.to_string_lossy().contains("torn")));
    assert_eq!(texts(&store, "s"), ["first", "second", "third", "next"]);
}
