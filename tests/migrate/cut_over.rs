//! Moving while an application works: both stores as one, until the new one has everything.

use std::sync::Arc;

use craftx::failover::Failover;
use craftx::json_backend::{Json, JsonConfig};
use craftx::migrate::StorageMigrator;
use craftx::sqlite_backend::{Sqlite, SqliteConfig};
use craftx::{Caller, DynBackend, NewMessage, Prepare, Stack, Storage};

use crate::support::{Folder, SESSIONS, are_equal, fill, migrated};

/// The old folder, with a new file beside it that gets everything.
async fn mirrored(folder: &Folder) -> (Storage, Failover) {
    let old: DynBackend = Arc::new(Json::new(&JsonConfig::new(folder.path("old"))).unwrap());
    let new: DynBackend = Arc::new(Sqlite::new(SqliteConfig::new(folder.path("new.db"))).unwrap());
    let hybrid = Failover::builder("old", old).secondary("new", new).build().unwrap();
    let storage = Storage::new(Stack::builder("hybrid", Arc::new(hybrid.clone())).build().unwrap());
    storage.prepare(Prepare::Migrate).await.unwrap();
    (storage.for_caller(Caller::System), hybrid)
}

#[tokio::test]
async fn an_application_changes_its_store_without_a_pause_and_without_a_loss() {
    let folder = Folder::new();
    let old = folder.make("json", "old").await;
    fill(&old).await;
    old.close().await.unwrap();

    // 1. Mirror: the application goes on, on both stores.
    let (storage, hybrid) = mirrored(&folder).await;
    let mut said = Vec::new();
    for n in 0..20 {
        said.push(storage.append("live", NewMessage::user(format!("{n}"))).await.unwrap());
    }
    // 2. Heal: what was there before is copied.
    assert!(hybrid.heal(&storage.context()).await.done);
    said.push(storage.append("live", NewMessage::user("after healing")).await.unwrap());
    assert!(hybrid.heal(&storage.context()).await.done);
    storage.close().await.unwrap();

    // 3. Verify: leg against leg, the tenant of the layer left aside.
    let (old, new) = (folder.source("json", "old").await, folder.source("sqlite", "new.db").await);
    let compared = StorageMigrator::new(&old, &new).verify().await.unwrap();
    assert!(compared.is_equal(), "{compared:?}");
    assert_eq!(compared.sessions, SESSIONS + 1);
    assert!(compared.skipped_tenants.iter().all(|tenant| tenant.as_str().starts_with("craftx.failover")));
    old.close().await.unwrap();
    new.close().await.unwrap();

    // 4. Switch: the new store alone.
    let alone = folder.make("sqlite", "new.db").await;
    said.push(alone.append("live", NewMessage::user("alone")).await.unwrap());
    assert_eq!(alone.load_conversation("live").await.unwrap(), said);
}

#[tokio::test]
async fn a_leg_is_migrated_without_what_belongs_to_the_layer() {
    let folder = Folder::new();
    let (storage, hybrid) = mirrored(&folder).await;
    fill(&storage).await;
    assert!(hybrid.heal(&storage.context()).await.done);
    let through_the_layer = folder.make("sqlite", "through").await;
    let ran = migrated(&storage, &through_the_layer).await;
    assert_eq!((ran.sessions, ran.tenants, ran.skipped_tenants.len()), (SESSIONS, 2, 0));
    storage.close().await.unwrap();

    let leg = folder.source("json", "old").await;
    let alone = folder.make("sqlite", "alone").await;
    let ran = StorageMigrator::new(&leg, &alone).run().await.unwrap();
    let skipped: Vec<_> = ran.skipped_tenants.iter().map(|tenant| tenant.as_str()).collect();
    assert_eq!((ran.sessions, ran.tenants, skipped), (SESSIONS, 2, vec!["craftx.failover"]));
    are_equal(&alone, &through_the_layer).await;
}
