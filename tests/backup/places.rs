//! Where archives can be.

use std::sync::Arc;

use craftx::backup::object_store::local::LocalFileSystem;
use craftx::backup::object_store::memory::InMemory;
use craftx::backup::object_store::path::Path;
use craftx::backup::object_store::{ObjectStore, ObjectStoreExt};

use super::*;

#[tokio::test]
async fn an_archive_can_be_an_object() {
    let folder = TempDir::new().unwrap();
    let local = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(InMemory::new()), Arc::new(local)];
    for store in stores {
        let archive = Archive::object(Arc::clone(&store), Path::from("nightly/one.craftx"));
        let storage = empty().await;
        fill(&storage).await;
        assert_eq!(verify(&archive).await.unwrap_err().kind(), ErrorKind::NotFound);
        let made = Backup::of(&storage).write_to(&archive).await.unwrap();
        let size = store.head(&Path::from("nightly/one.craftx")).await.unwrap().size;
        assert_eq!(made.size, size);
        let copy = empty().await;
        Restore::of(&archive).into_storage(&copy).await.unwrap();
        assert_eq!(records(&copy).await, records(&storage).await);
    }
}

#[tokio::test]
async fn an_object_of_several_parts_is_whole() {
    let archive = Archive::object(Arc::new(InMemory::new()), Path::from("big"));
    let storage = empty().await;
    let mut random = 1_u64;
    // What does not compress below six bits a character: more than one part of 16 MiB.
    let mut noise = || {
        let mut text = String::new();
        while text.len() < 4 << 20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend((0..5).map(|part| char::from(48 + ((random >> (34 + 6 * part)) & 63) as u8)));
        }
        text
    };
    for _ in 0..6 {
        storage.append("s", NewMessage::user(noise())).await.unwrap();
    }
    let made = Backup::of(&storage).write_to(&archive).await.unwrap();
    assert!(made.size > 16 << 20, "{}", made.size);
    let copy = empty().await;
    Restore::of(&archive).into_storage(&copy).await.unwrap();
    assert_eq!(records(&copy).await, records(&storage).await);
}

#[tokio::test]
async fn a_url_names_a_file_and_other_schemes_are_told() {
    let folder = TempDir::new().unwrap();
    let url = format!("file://{}/a%20b.craftx", folder.path().display());
    let storage = empty().await;
    Backup::of(&storage).write_to(&Archive::parse(&url).unwrap()).await.unwrap();
    verify(&archive(&folder, "a b.craftx")).await.unwrap();
    let error = Archive::parse("ftp://host/name").unwrap_err();
    assert_eq!((error.kind(), error.get("scheme")), (ErrorKind::Unsupported, Some("`ftp`")));
    assert_eq!(Archive::parse("file://relative").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_and_the_archive_before_it() {
    let folder = TempDir::new().unwrap();
    let storage = empty().await;
    fill(&storage).await;
    let archive = archive(&folder, "a");
    let made = Backup::of(&storage).write_to(&archive).await.unwrap();
    storage.close().await.unwrap();
    let error = Backup::of(&storage).write_to(&archive).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(verify(&archive).await.unwrap().digest, made.digest);
}

#[tokio::test]
async fn a_backup_that_is_given_up_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let storage = empty().await;
    fill(&storage).await;
    let archive = archive(&folder, "a");
    let stop = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&stop);
    let backup = Backup::of(&storage).watched(move |_| told.notify_one());
    // Dropped after the first session at the earliest; at the end at the latest, which is no less right.
    let finished = tokio::select! {
        biased;
        () = stop.notified() => false,
        made = backup.write_to(&archive) => made.is_ok(),
    };
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), usize::from(finished));
}
