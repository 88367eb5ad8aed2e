//! Going on where an earlier run was.

use craftx::migrate::{StorageMigrator, Target};
use craftx::{ErrorKind, NewMessage, Storage};

use crate::support::{Folder, are_equal, fill};

/// Two stores, of which one is full, and the path of a journal.
async fn stores(folder: &Folder) -> (Storage, Storage, std::path::PathBuf) {
    let (from, to) = (folder.make("json", "from").await, folder.make("sqlite", "to").await);
    fill(&from).await;
    (from, to, folder.path("journal"))
}

#[tokio::test]
async fn a_run_goes_on_where_the_journal_says_and_reads_nothing_twice() {
    let folder = Folder::new();
    let (from, to, journal) = stores(&folder).await;
    let migrator = StorageMigrator::new(&from, &to).journal(&journal);
    let first = migrator.run().await.unwrap();
    assert!(!first.resumed && first.applied > 2_000);
    assert_eq!(migrator.plan().await.unwrap().target, Target::Resumes);

    let second = migrator.run().await.unwrap();
    assert!(second.resumed && second.caught_up);
    assert_eq!((second.records, second.passes), (0, 1));
    from.append("talk", NewMessage::user("later")).await.unwrap();
    let third = migrator.run().await.unwrap();
    assert_eq!((third.records, third.applied), (1, 1));
    are_equal(&from, &to).await;
}

#[tokio::test]
async fn a_journal_that_is_cut_anywhere_costs_reading_and_nothing_else() {
    let folder = Folder::new();
    let (from, to, journal) = stores(&folder).await;
    let migrator = StorageMigrator::new(&from, &to).journal(&journal);
    migrator.run().await.unwrap();
    let whole = std::fs::read(&journal).unwrap();
    let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in (head..whole.len()).step_by(97) {
        // A crash may leave zeros behind what it cut.
        for rest in [&b""[..], &[0; 300]] {
            std::fs::write(&journal, [&whole[..end], rest].concat()).unwrap();
            let ran = migrator.run().await.unwrap();
            assert!(ran.resumed && ran.caught_up && ran.applied == 0, "{ran:?}");
            let mended = std::fs::read_to_string(&journal).unwrap();
            assert!(mended.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{mended}");
        }
    }
    are_equal(&from, &to).await;
}

#[tokio::test]
async fn a_journal_names_sessions_and_no_content() {
    let folder = Folder::new();
    let (from, to, journal) = stores(&folder).await;
    StorageMigrator::new(&from, &to).journal(&journal).run().await.unwrap();
    let journal = std::fs::read_to_string(&journal).unwrap();
    assert!(journal.contains("\"session\":\"talk\""));
    assert!(!journal.contains("kept") && !journal.contains("1e300"));
}

#[tokio::test]
async fn the_journal_of_other_stores_is_refused_and_so_is_any_other_file() {
    let folder = Folder::new();
    let (from, to, journal) = stores(&folder).await;
    StorageMigrator::new(&from, &to).journal(&journal).run().await.unwrap();
    let before = std::fs::read(&journal).unwrap();
    let other = folder.make("sqlite", "other").await;
    for (from, to) in [(&from, &other), (&other, &to), (&to, &from)] {
        let migrator = StorageMigrator::new(from, to).journal(&journal).merge(true);
        for error in [migrator.run().await.unwrap_err(), migrator.plan().await.unwrap_err()] {
            assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("journal")));
        }
    }
    assert_eq!(std::fs::read(&journal).unwrap(), before);
    for text in ["", "a letter", "{}\n"] {
        std::fs::write(&journal, text).unwrap();
        let error = StorageMigrator::new(&from, &to).journal(&journal).run().await.unwrap_err();
        assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("journal")));
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), text);
    }
}

#[tokio::test]
async fn a_journal_serves_one_run_at_a_time() {
    let folder = Folder::new();
    let (from, to, journal) = stores(&folder).await;
    StorageMigrator::new(&from, &to).journal(&journal).run().await.unwrap();
    let held = std::fs::File::open(&journal).unwrap();
    held.lock().unwrap();
    let error = StorageMigrator::new(&from, &to).journal(&journal).run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
}

/// Compaction writes a file of sessions anew, and positions in the old one mean nothing.
#[tokio::test]
async fn a_source_that_was_compacted_is_read_again() {
    let folder = Folder::new();
    let (from, to, journal) = stores(&folder).await;
    let migrator = StorageMigrator::new(&from, &to).journal(&journal);
    migrator.run().await.unwrap();
    from.delete_session("long").await.unwrap();
    from.compact(&craftx::Compact::new()).await.unwrap();
    from.append("long", NewMessage::user("again")).await.unwrap();
    assert!(migrator.run().await.unwrap().caught_up);
    are_equal(&from, &to).await;
}

#[tokio::test]
async fn a_folder_of_craftx_py_that_was_written_to_since_is_still_the_same_store() {
    let folder = Folder::new();
    folder.write("chats/a.json", r#"[{"role":"user","content":"hi"}]"#);
    let (from, to) = (folder.source("json", "chats").await, folder.make("sqlite", "to").await);
    let journal = folder.path("journal");
    StorageMigrator::new(&from, &to).journal(&journal).run().await.unwrap();
    let written = folder.make("json", "chats").await;
    written.append("a", NewMessage::user("more")).await.unwrap();
    let ran = StorageMigrator::new(&written, &to).journal(&journal).run().await.unwrap();
    assert!(ran.resumed && ran.applied == 1, "{ran:?}");
}
