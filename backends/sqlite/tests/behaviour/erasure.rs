//! What was deleted is in no file.

use std::path::Path;
use std::process::Command;

use craftx_core::{Backend, Compact, Message, Record, Role};
use serde_json::json;

use super::{at, close, cx, message, open, run, texts, write};

/// How often the text stands in the files of a folder. A copy is searched: reading the database in this process would
/// release the locks that SQLite holds on it.
pub(crate) fn occurrences(folder: &Path, text: &str) -> usize {
    let copy = tempfile::tempdir().unwrap();
    assert!(Command::new("cp").arg("-r").arg(folder).arg(copy.path().join("copy")).status().unwrap().success());
    let files = std::fs::read_dir(copy.path().join("copy")).unwrap();
    files
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .map(|bytes| bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count())
        .sum()
}

#[test]
#[cfg(unix)]
fn the_bytes_of_deleted_messages_are_gone_after_compact() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("chat.db"));
    // Short ones, one that needs pages of its own, metadata, and a key of the session.
    for ms in 1..100 {
        write(&store, "a", &[message(ms, "marker-7f3a"), message(1_000 + ms, "stays")]).unwrap();
    }
    let long = Message::new(at(200), Role::User, "marker-7f3a ".repeat(20_000)).with_metadata("k", "marker-7f3a");
    let key = Record::Session { stamp: at(201), set: [("k".to_owned(), Some(json!("marker-7f3a")))].into() };
    write(&store, "a", &[Record::Message(long), key]).unwrap();
    assert!(occurrences(folder.path(), "marker-7f3a") > 20_000, "the search finds what is there");

    let deleted: Vec<_> = (1..100).chain([200]).map(|ms| Record::Deleted { id: at(ms), stamp: at(5_000) }).collect();
    write(&store, "a", &deleted).unwrap();
    let key = Record::Session { stamp: at(5_001), set: [("k".to_owned(), None)].into() };
    write(&store, "a", &[key]).unwrap();
    let compacted = run(store.compact(&cx(), &Compact::new())).unwrap();
    assert_eq!(occurrences(folder.path(), "marker-7f3a"), 0);
    assert!(compacted.bytes > 200_000, "the pages went back to the file system: {compacted:?}");
    assert_eq!(texts(&store, "a"), vec!["stays"; 99]);

    write(&store, "a", &[Record::Cleared { through: at(5_001), stamp: at(5_002) }]).unwrap();
    run(store.compact(&cx(), &Compact::new())).unwrap();
    assert_eq!(occurrences(folder.path(), "stays"), 0);
    close(store);
}
