//! Verification finds what differs, both ways, by content.

use craftx::migrate::StorageMigrator;
use craftx::{Message, NewMessage, Record, SessionId, Storage, WriteOptions};

use crate::support::{Folder, are_equal, fill, migrated};

async fn write(store: &Storage, session: &str, record: Record) {
    let session = SessionId::new(session).unwrap();
    let (cx, options) = (store.context(), WriteOptions::replay());
    store.stack().backend().write(&cx, &session, &[record], &options).await.unwrap();
}

async fn equal_stores(folder: &Folder) -> (Storage, Storage) {
    let (from, to) = (folder.make("json", "from").await, folder.make("sqlite", "to").await);
    fill(&from).await;
    migrated(&from, &to).await;
    are_equal(&from, &to).await;
    (from, to)
}

#[tokio::test]
async fn a_message_that_only_one_store_has_is_named() {
    let folder = Folder::new();
    let (from, to) = equal_stores(&folder).await;
    let lost = from.append("talk", NewMessage::user("lost")).await.unwrap();
    let planted = to.append("planted", NewMessage::user("planted")).await.unwrap();
    let compared = StorageMigrator::new(&from, &to).verify().await.unwrap();
    assert_eq!((compared.differences, compared.missing, compared.extra), (2, 1, 1));
    let [first, second] = compared.differing.as_slice() else { unreachable!("{compared:?}") };
    assert_eq!((first.session.as_str(), &first.extra_ids[..], first.missing), ("planted", &[planted.id][..], 0));
    assert_eq!((second.session.as_str(), &second.missing_ids[..], second.extra), ("talk", &[lost.id][..], 0));
}

/// Counts alone would be the same.
#[tokio::test]
async fn a_message_with_another_content_is_named() {
    let folder = Folder::new();
    let (from, to) = (folder.make("sqlite", "from").await, folder.make("sqlite", "to").await);
    let id = from.append("s", NewMessage::user("what was said")).await.unwrap().id;
    write(&to, "s", Record::Message(Message::new(id, craftx::Role::User, "what was sajd"))).await;
    let compared = StorageMigrator::new(&from, &to).verify().await.unwrap();
    assert_eq!((compared.missing, compared.extra, compared.equal), (1, 1, 0));
    assert_eq!(compared.differing[0].missing_ids, [id]);
    assert_eq!(compared.differing[0].extra_ids, [id]);
}

#[tokio::test]
async fn a_deletion_that_the_target_lacks_is_a_difference() {
    let folder = Folder::new();
    let (from, to) = equal_stores(&folder).await;
    from.delete_session("long").await.unwrap();
    let compared = StorageMigrator::new(&from, &to).verify().await.unwrap();
    assert_eq!((compared.differences, compared.missing, compared.extra), (1, 1, 1_200));
    assert_eq!(compared.differing[0].extra_ids.len(), 10);
    migrated(&from, &to).await;
    are_equal(&from, &to).await;
}

#[tokio::test]
async fn a_tenant_that_only_one_store_has_is_compared_too() {
    let folder = Folder::new();
    let (from, to) = equal_stores(&folder).await;
    for store in [&from, &to] {
        let name = if std::ptr::eq(store, &from) { "zz-from" } else { "aa-to" };
        let other = store.for_tenant(craftx::Tenant::new(name).unwrap());
        other.append("s", NewMessage::user("hi")).await.unwrap();
    }
    let compared = StorageMigrator::new(&from, &to).verify().await.unwrap();
    let tenants: Vec<_> = compared.differing.iter().map(|differing| differing.tenant.as_str()).collect();
    assert_eq!((tenants, compared.tenants), (vec!["aa-to", "zz-from"], 4));
}
