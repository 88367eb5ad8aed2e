//! Backup and restore, on every store of this build.
#![cfg(feature = "backup")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod increments;
mod load;
mod places;

use std::collections::BTreeSet;

use common::{Store, stores};
use craftx::backup::{Archive, Backup, Restore, state, verify};
use craftx::{Caller, ErrorKind, Include, NewMessage, SessionQuery, Storage, Tenant, TryStreamExt};
use tempfile::TempDir;

/// A store as the system sees it.
fn system(store: &Store) -> Storage {
    store.storage.for_caller(Caller::System)
}

async fn empty() -> Storage {
    Storage::open("memory:").await.unwrap().for_caller(Caller::System)
}

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

/// Two tenants; a session with a title and a deleted message, one that was cleared, and a long one.
async fn fill(storage: &Storage) {
    for name in ["default", "acme"] {
        let storage = storage.for_tenant(tenant(name));
        let first = storage.append("birds", NewMessage::user("the canary sings")).await.unwrap();
        storage.append("birds", NewMessage::assistant("\u{0}é\u{301}")).await.unwrap();
        storage.set_metadata("birds", "title", "Birds").await.unwrap();
        storage.delete_message("birds", first.id).await.unwrap();
        storage.append("gone", NewMessage::user("nothing of this")).await.unwrap();
        storage.clear("gone").await.unwrap();
        for part in 0..2 {
            let many = (0..750).map(|n| NewMessage::user((part * 750 + n).to_string()));
            storage.append_all("long", many).await.unwrap();
        }
    }
}

/// Every record of every tenant but those that say something of one store alone.
async fn records(storage: &Storage) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let tenants: Vec<Tenant> = storage.tenants().try_collect().await.unwrap();
    for tenant in tenants.into_iter().filter(|tenant| tenant.as_str() != "craftx.backup") {
        let storage = storage.for_tenant(tenant.clone());
        let query = SessionQuery::new().include(Include::All);
        let sessions: Vec<_> = storage.all_sessions(query).try_collect().await.unwrap();
        for session in sessions {
            let records: Vec<_> = storage.records(&session.id).try_collect().await.unwrap();
            all.extend(records.iter().map(|record| format!("{tenant} {} {}", session.id, record.encode().as_str())));
        }
    }
    all
}

fn archive(folder: &TempDir, name: &str) -> Archive {
    Archive::file(folder.path().join(name))
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up_from_any_store_to_any_other() {
    let folder = TempDir::new().unwrap();
    for from in stores().await {
        let storage = system(&from);
        fill(&storage).await;
        let archive = archive(&folder, from.name);
        let made = Backup::of(&storage).write_to(&archive).await.unwrap();
        assert_eq!((made.counts.tenants, made.counts.sessions, made.counts.failed), (2, 6, 0));
        assert_eq!(made.counts.messages, 2 * 1_501);
        assert!(made.recorded);
        let checked = verify(&archive).await.unwrap();
        assert_eq!((checked.counts, &checked.digest), (made.counts, &made.digest));
        for to in stores().await {
            let copy = system(&to);
            let restored = Restore::of(&archive).into_storage(&copy).await.unwrap();
            assert_eq!(restored.applied, Some(made.counts.records), "{} to {}", from.name, to.name);
            assert!(restored.verified.is_clean() && !restored.lacks_base);
            assert_eq!(records(&copy).await, records(&storage).await, "{} to {}", from.name, to.name);
        }
    }
}

#[tokio::test]
async fn a_store_that_holds_something_is_only_merged_into_and_a_second_time_changes_nothing() {
    let folder = TempDir::new().unwrap();
    for store in stores().await {
        let storage = system(&store);
        fill(&storage).await;
        let archive = archive(&folder, store.name);
        Backup::of(&storage).write_to(&archive).await.unwrap();
        let copy = empty().await;
        copy.append("mine", NewMessage::user("was here before")).await.unwrap();
        let error = Restore::of(&archive).into_storage(&copy).await.unwrap_err();
        assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some("store")));
        assert_eq!(records(&copy).await.len(), 1);
        let preview = Restore::of(&archive).preview(Some(&copy)).await.unwrap();
        assert!(!preview.empty && preview.refused.unwrap().contains("is not empty"));
        let merge = Restore::of(&archive).merge(true);
        assert!(merge.into_storage(&copy).await.unwrap().applied.unwrap() > 0);
        assert_eq!(merge.into_storage(&copy).await.unwrap().applied, Some(0));
        assert_eq!(copy.load_conversation("mine").await.unwrap().len(), 1);
        assert_eq!(records(&copy).await.len(), records(&storage).await.len() + 1);
    }
}

#[tokio::test]
async fn a_cleared_session_is_empty_after_restoring_over_what_it_had() {
    let folder = TempDir::new().unwrap();
    let storage = empty().await;
    storage.append("s", NewMessage::user("gone")).await.unwrap();
    Backup::of(&storage).write_to(&archive(&folder, "before")).await.unwrap();
    storage.clear("s").await.unwrap();
    // An old archive brings nothing back.
    Restore::of(&archive(&folder, "before")).merge(true).into_storage(&storage).await.unwrap();
    assert_eq!(storage.load_conversation("s").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_store_says_when_it_was_backed_up_and_a_copy_of_it_does_not() {
    let folder = TempDir::new().unwrap();
    for store in stores().await {
        let storage = system(&store);
        fill(&storage).await;
        assert_eq!(state(&storage).await.unwrap(), Default::default());
        let archive = archive(&folder, store.name);
        let made = Backup::of(&storage).write_to(&archive).await.unwrap();
        let checked = verify(&archive).await.unwrap();
        assert!(checked.record(&storage).await.unwrap());
        let told = state(&storage).await.unwrap();
        assert_eq!(told.last.unwrap().digest, made.digest);
        assert_eq!(told.verified.unwrap().digest, made.digest);
        let copy = empty().await;
        Restore::of(&archive).into_storage(&copy).await.unwrap();
        assert!(!checked.record(&copy).await.unwrap());
        assert_eq!(state(&copy).await.unwrap(), Default::default());
    }
}

#[tokio::test]
async fn only_the_system_backs_up_and_restores() {
    let folder = TempDir::new().unwrap();
    let storage = empty().await;
    storage.append("s", NewMessage::user("x")).await.unwrap();
    let archive = archive(&folder, "a");
    let anybody = storage.for_caller(Caller::Anonymous);
    let error = Backup::of(&anybody).write_to(&archive).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    Backup::of(&storage).write_to(&archive).await.unwrap();
    let error = Restore::of(&archive).merge(true).into_storage(&anybody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}
