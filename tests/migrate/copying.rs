//! What is copied, and what is left as it is.

use std::sync::atomic::{AtomicBool, Ordering};

use craftx::migrate::{StorageMigrator, Target};
use craftx::{Caller, ErrorKind, NewMessage, Storage, Tenant};

use crate::support::{Folder, SESSIONS, are_equal, fill, migrated};

#[tokio::test]
async fn everything_of_every_tenant_is_copied_and_a_second_run_applies_nothing() {
    for (from_scheme, to_scheme) in [("json", "sqlite"), ("sqlite", "json"), ("sqlite", "sqlite"), ("json", "json")] {
        let folder = Folder::new();
        let made = folder.make(from_scheme, "from").await;
        fill(&made).await;
        made.close().await.unwrap();
        let before = folder.bytes("from");

        let from = folder.source(from_scheme, "from").await;
        let to = folder.make(to_scheme, "to").await;
        let planned = StorageMigrator::new(&from, &to).plan().await.unwrap();
        assert_eq!((planned.target, planned.tenants, planned.sessions), (Target::Empty, 2, SESSIONS));
        assert_eq!((planned.messages, planned.to_copy), (2_402, planned.records));
        let first = StorageMigrator::new(&from, &to).run().await.unwrap();
        assert_eq!((first.applied, first.sessions, first.tenants), (planned.records, SESSIONS, 2));
        assert!(first.caught_up && first.failed.is_empty(), "{first:?}");
        are_equal(&from, &to).await;

        assert_eq!(migrated(&from, &to).await.applied, 0);
        let acme = to.for_tenant(Tenant::new("acme").unwrap());
        assert_eq!(acme.load_conversation("talk").await.unwrap().len(), 1);
        assert_eq!(acme.metadata("talk").await.unwrap()["title"], "acme");
        assert_eq!(to.load_conversation("gone").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(to.session("owned").await.unwrap().unwrap().owner.as_deref(), Some("ann"));
        from.close().await.unwrap();
        to.close().await.unwrap();
        assert_eq!(folder.bytes("from"), before, "{from_scheme} to {to_scheme}");
    }
}

#[tokio::test]
async fn what_is_written_to_the_source_meanwhile_is_copied_too() {
    for scheme in ["json", "sqlite"] {
        let folder = Folder::new();
        let (from, to) = (folder.make(scheme, "from").await, folder.make("sqlite", "to").await);
        fill(&from).await;
        let (source, wrote) = (from.clone(), AtomicBool::new(false));
        let migrator = StorageMigrator::new(&from, &to).watch(move |progress| {
            // All sessions have been read by then, once.
            if progress.sessions == SESSIONS && !wrote.swap(true, Ordering::SeqCst) {
                elsewhere(source.clone());
            }
        });
        let ran = migrator.run().await.unwrap();
        assert!(ran.caught_up && ran.passes == 3, "{ran:?}");
        are_equal(&from, &to).await;
        assert_eq!(to.last("talk", 1).await.unwrap()[0].text(), Some("late"));
        assert_eq!(to.last("new", 1).await.unwrap()[0].text(), Some("new"));
    }
}

/// Writes from another thread, and waits for it.
fn elsewhere(source: Storage) {
    let write = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            source.append("talk", NewMessage::user("late")).await.unwrap();
            source.append("new", NewMessage::user("new")).await.unwrap();
        });
    };
    std::thread::spawn(write).join().unwrap();
}

#[tokio::test]
async fn a_source_that_never_rests_is_given_up_and_said() {
    let (from, to) = (memory().await, memory().await);
    fill(&from).await;
    let source = from.clone();
    let migrator = StorageMigrator::new(&from, &to).watch(move |_| elsewhere(source.clone()));
    let ran = migrator.run().await.unwrap();
    assert!(!ran.caught_up && ran.passes == 16, "{ran:?}");
}

async fn memory() -> Storage {
    Storage::open("memory:").await.unwrap().for_caller(Caller::System)
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused_unless_both_shall_be_united() {
    let (from, to) = (memory().await, memory().await);
    fill(&from).await;
    to.append("other", NewMessage::user("mine")).await.unwrap();
    let error = StorageMigrator::new(&from, &to).run().await.unwrap_err();
    assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("merge")));
    assert_eq!(StorageMigrator::new(&from, &to).plan().await.unwrap().target, Target::NotEmpty);
    assert_eq!(to.sessions(&craftx::SessionQuery::new()).await.unwrap().items.len(), 1);
    migrated(&from, &to).await;
    assert_eq!(to.last("other", 1).await.unwrap().len(), 1);
    assert_eq!(to.last("talk", 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_target_whose_sessions_were_all_deleted_is_not_empty() {
    let (from, to) = (memory().await, memory().await);
    fill(&from).await;
    to.append("talk", NewMessage::user("mine")).await.unwrap();
    to.delete_session("talk").await.unwrap();
    assert_eq!(StorageMigrator::new(&from, &to).run().await.unwrap_err().get("field"), Some("merge"));
}

#[tokio::test]
async fn a_store_is_not_migrated_to_itself() {
    let folder = Folder::new();
    let one = folder.make("sqlite", "a").await;
    let same = folder.make("sqlite", "a").await;
    let migrator = StorageMigrator::new(&one, &same);
    for error in
        [migrator.run().await.unwrap_err(), migrator.plan().await.unwrap_err(), migrator.verify().await.unwrap_err()]
    {
        assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("to")));
    }
}

#[tokio::test]
async fn only_the_system_migrates() {
    let (from, to) = (memory().await, memory().await);
    for (from, to) in [(from.for_caller(Caller::Anonymous), to.clone()), (from, to.for_caller(Caller::Anonymous))] {
        let migrator = StorageMigrator::new(&from, &to);
        for error in [
            migrator.run().await.unwrap_err(),
            migrator.plan().await.unwrap_err(),
            migrator.verify().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_named_and_the_others_are_copied() {
    let folder = Folder::new();
    for name in ["a", "c"] {
        folder.write(
            &format!("chats/{name}.json"),
            r#"[{"role":"user","content":"hi","timestamp":"2025-06-28T00:33:47"}]"#,
        );
    }
    folder.write("chats/b.json", r#"[{"role":"user","con"#);
    folder.write("chats/d.jsonl", "{\"no\":\"header\"}\n{}\n");
    let before = folder.bytes("chats");
    let (from, to) = (folder.source("json", "chats").await, folder.make("sqlite", "to").await);
    let migrator = StorageMigrator::new(&from, &to).journal(folder.path("journal"));
    let planned = migrator.plan().await.unwrap();
    assert_eq!((planned.failures, planned.to_copy), (2, 2));
    for applied in [2, 0] {
        let ran = migrator.run().await.unwrap();
        let failed: Vec<_> = ran.failed.iter().map(|failure| (failure.session.as_str(), failure.kind())).collect();
        assert_eq!(failed, [("b", ErrorKind::Corrupted), ("d", ErrorKind::Corrupted)]);
        assert_eq!((ran.applied, ran.failures, ran.sessions), (applied, 2, 4));
    }
    let compared = migrator.verify().await.unwrap();
    assert_eq!((compared.differences, compared.failures, compared.equal), (0, 2, 2));
    assert!(!compared.is_equal());
    // The time of the original, whose zone nobody knows, is kept as it stands.
    let copied = to.load_conversation("c").await.unwrap();
    assert_eq!(copied[0].created_at.as_ref().unwrap().to_string(), "2025-06-28T00:33:47");
    assert_eq!(folder.bytes("chats"), before);
}

#[tokio::test]
async fn the_future_can_go_to_another_thread() {
    let (from, to) = (memory().await, memory().await);
    fill(&from).await;
    let migrator = StorageMigrator::new(&from, &to);
    let ran = tokio::spawn(async move {
        migrator.plan().await.unwrap();
        let ran = migrator.run().await.unwrap();
        migrator.verify().await.unwrap();
        ran
    });
    assert_eq!(ran.await.unwrap().sessions, SESSIONS);
}
