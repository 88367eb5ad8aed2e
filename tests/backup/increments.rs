//! Archives that build on others.

use super::*;

#[tokio::test]
async fn an_increment_holds_what_arrived_and_the_chain_is_the_store() {
    let folder = TempDir::new().unwrap();
    for store in stores().await {
        let storage = system(&store);
        fill(&storage).await;
        let name = |n: u32| archive(&folder, &format!("{}-{n}", store.name));
        let first = Backup::of(&storage).write_to(&name(0)).await.unwrap();
        storage.append("birds", NewMessage::user("later")).await.unwrap();
        storage.for_tenant(tenant("zoo")).append("new", NewMessage::user("new")).await.unwrap();
        let second = Backup::of(&storage).since(name(0)).write_to(&name(1)).await.unwrap();
        assert_eq!((second.counts.records, second.counts.sessions), (2, 7), "{}", store.name);
        assert_eq!(second.about.base, Some(first.digest));
        storage.clear("long").await.unwrap();
        let third = Backup::of(&storage).since(name(1)).write_to(&name(2)).await.unwrap();
        assert_eq!(third.counts.records, 1, "{}", store.name);
        let none = Backup::of(&storage).since(name(2)).write_to(&name(3)).await.unwrap();
        assert_eq!(none.counts.records, 0, "{}", store.name);

        let copy = empty().await;
        Restore::of(&name(0)).into_storage(&copy).await.unwrap();
        for n in 1..4 {
            let error = Restore::of(&name(n)).into_storage(&copy).await.unwrap_err();
            assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("archive")));
            assert!(!Restore::of(&name(n)).merge(true).into_storage(&copy).await.unwrap().lacks_base);
        }
        assert_eq!(records(&copy).await, records(&storage).await, "{}", store.name);
    }
}

#[tokio::test]
async fn an_increment_without_its_base_says_so() {
    let folder = TempDir::new().unwrap();
    let storage = empty().await;
    fill(&storage).await;
    Backup::of(&storage).write_to(&archive(&folder, "a")).await.unwrap();
    storage.append("birds", NewMessage::user("later")).await.unwrap();
    Backup::of(&storage).since(archive(&folder, "a")).write_to(&archive(&folder, "b")).await.unwrap();
    let restore = Restore::of(&archive(&folder, "b")).merge(true);
    assert!(restore.preview(None).await.unwrap().lacks_base);
    let copy = empty().await;
    assert!(restore.into_storage(&copy).await.unwrap().lacks_base);
    // The store itself has what the increment builds on.
    assert!(!restore.into_storage(&storage).await.unwrap().lacks_base);
}

#[tokio::test]
async fn an_increment_on_the_archive_of_another_store_is_refused() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (empty().await, empty().await);
    Backup::of(&one).write_to(&archive(&folder, "one")).await.unwrap();
    let error = Backup::of(&other).since(archive(&folder, "one")).write_to(&archive(&folder, "b")).await.unwrap_err();
    assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("since")));
    let error = Backup::of(&one).since(archive(&folder, "one")).write_to(&archive(&folder, "one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(verify(&archive(&folder, "one")).await.is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_increment_of_a_store_that_was_set_back_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let url = format!("sqlite:{}", path("a.db").display());
    let open = || async { Storage::open(&url).await.unwrap().for_caller(Caller::System) };
    let storage = open().await;
    storage.append("s", NewMessage::user("1")).await.unwrap();
    storage.close().await.unwrap();
    std::fs::copy(path("a.db"), path("old.db")).unwrap();
    let storage = open().await;
    storage.append("s", NewMessage::user("2")).await.unwrap();
    storage.append("s", NewMessage::user("3")).await.unwrap();
    Backup::of(&storage).write_to(&archive(&folder, "whole")).await.unwrap();
    storage.close().await.unwrap();
    std::fs::copy(path("old.db"), path("a.db")).unwrap();
    let storage = open().await;
    let error =
        Backup::of(&storage).since(archive(&folder, "whole")).write_to(&archive(&folder, "b")).await.unwrap_err();
    assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("since")));
}

#[tokio::test]
async fn a_session_whose_cursor_has_expired_is_there_whole() {
    let folder = TempDir::new().unwrap();
    for store in stores().await {
        let storage = system(&store);
        fill(&storage).await;
        let name = |n: u32| archive(&folder, &format!("{}-{n}", store.name));
        Backup::of(&storage).write_to(&name(0)).await.unwrap();
        let last = storage.last("long", 1).await.unwrap().remove(0);
        storage.delete_message("long", last.id).await.unwrap();
        storage.compact(&Default::default()).await.unwrap();
        storage.append("long", NewMessage::user("after it")).await.unwrap();
        let made = Backup::of(&storage).since(name(0)).write_to(&name(1)).await.unwrap();
        // Compaction makes cursors into a file of JSON, and into memory, expire.
        let whole = store.name != "sqlite";
        assert_eq!(made.counts.records >= 1_500, whole, "{}: {:?}", store.name, made.counts);
        let copy = empty().await;
        Restore::of(&name(0)).into_storage(&copy).await.unwrap();
        Restore::of(&name(1)).merge(true).into_storage(&copy).await.unwrap();
        assert_eq!(records(&copy).await, records(&storage).await, "{}", store.name);
    }
}
