//! Several stores as one, by configuration alone.

use craftx::failover::Failover;
use craftx::{Config, ErrorKind, NewMessage, Storage, TryStreamExt};

use crate::support::Folder;

/// The guide's profile, in a folder of its own.
fn production_hybrid(folder: &Folder) -> Config {
    let path = |name| folder.path(name).display().to_string();
    let variables = [("CRAFTX_DB_PATH", path("primary.db")), ("CRAFTX_STORAGE_PATH", path("backup"))];
    Config::new().profile("production_hybrid").variables(variables)
}

async fn texts(storage: &Storage) -> Vec<String> {
    let messages: Vec<_> = storage.history("s").try_collect().await.unwrap();
    messages.iter().map(|message| message.text().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_profile_of_the_guide_keeps_a_copy_of_everything() {
    let folder = Folder::empty();
    let storage = production_hybrid(&folder).open().await.unwrap();
    let said: Vec<String> = (0..20).map(|n| format!("message {n}")).collect();
    for text in &said {
        storage.append("s", NewMessage::user(text.as_str())).await.unwrap();
    }
    assert_eq!(texts(&storage).await, said);
    assert_eq!(storage.status().await.unwrap().parts.len(), 2);
    let hybrid = storage.stack().base::<Failover>().unwrap();
    assert!(hybrid.heal(&storage.context()).await.done);
    let verified = storage.for_caller(craftx::Caller::System).verify().await.unwrap();
    assert!(verified.is_clean(), "{verified:?}");
    storage.close().await.unwrap();
    for url in ["sqlite:primary.db", "json:backup"] {
        let (scheme, path) = url.split_once(':').unwrap();
        let alone = Storage::open_existing(&format!("{scheme}:{}", folder.path(path).display())).await.unwrap();
        assert_eq!(texts(&alone).await, said, "{url}");
    }
}

#[tokio::test]
async fn a_backup_that_was_lost_is_made_again() {
    let folder = Folder::empty();
    let storage = production_hybrid(&folder).open().await.unwrap();
    storage.append("s", NewMessage::user("kept")).await.unwrap();
    storage.close().await.unwrap();
    std::fs::remove_dir_all(folder.path("backup")).unwrap();
    let storage = production_hybrid(&folder).open().await.unwrap();
    let hybrid = storage.stack().base::<Failover>().unwrap();
    assert!(hybrid.heal(&storage.context()).await.done);
    storage.close().await.unwrap();
    let alone = Storage::open_existing(&format!("json:{}", folder.path("backup").display())).await.unwrap();
    assert_eq!(texts(&alone).await, ["kept"]);
}

/// Whoever starts now cannot know what the backup alone has, and goes on all the same.
#[cfg(unix)]
#[tokio::test]
async fn conversations_begin_and_go_on_while_the_backup_is_away() {
    let folder = Folder::empty();
    let storage = production_hybrid(&folder).open().await.unwrap();
    storage.append("s", NewMessage::user("before")).await.unwrap();
    storage.close().await.unwrap();
    std::fs::rename(folder.path("backup"), folder.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("backup", folder.path("backup")).unwrap();
    let storage = production_hybrid(&folder).open().await.unwrap();
    storage.append("s", NewMessage::user("meanwhile")).await.unwrap();
    storage.append("new", NewMessage::user("hello")).await.unwrap();
    assert_eq!(texts(&storage).await, ["before", "meanwhile"]);
    assert_eq!(storage.last("new", 9).await.unwrap().len(), 1);
    let error = storage.last("never seen", 9).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    storage.close().await.unwrap();
    std::fs::remove_file(folder.path("backup")).unwrap();
    std::fs::rename(folder.path("elsewhere"), folder.path("backup")).unwrap();
    let storage = production_hybrid(&folder).open().await.unwrap();
    let hybrid = storage.stack().base::<Failover>().unwrap();
    assert!(hybrid.heal(&storage.context()).await.done);
    assert_eq!(storage.last("never seen", 9).await.unwrap_err().kind(), ErrorKind::NotFound);
    storage.close().await.unwrap();
    let alone = Storage::open_existing(&format!("json:{}", folder.path("backup").display())).await.unwrap();
    assert_eq!(texts(&alone).await, ["before", "meanwhile"]);
}

#[test]
fn an_option_that_is_wrong_is_named_with_its_place() {
    let toml = "profile = 'production_hybrid'\n[hybrid]\nmirorr = 'sync'\n";
    let folder = Folder::with(toml);
    let error = Config::new().folder(folder.path("")).check().unwrap_err();
    let said = folder.text(&error);
    assert!(said.starts_with("configure: there is no such key, key: `hybrid.mirorr`, nearest: `mirror`"), "{said}");
    let variables = [("CRAFTX_HYBRID__MARK_LEASE_MS", "1")];
    let error = Config::new().profile("production_hybrid").variables(variables).check().unwrap_err();
    assert_eq!(
        (error.get("key"), error.get("source")),
        (Some("`hybrid.mark_lease_ms`"), Some("variable `CRAFTX_HYBRID__MARK_LEASE_MS`"))
    );
}
