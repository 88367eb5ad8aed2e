//! Whoever changes the profile is told where the conversations are.

use craftx::{Config, NewMessage};

use crate::support::Folder;

/// The guide's profiles, with paths in a folder.
fn config(folder: &Folder) -> Config {
    let path = |name| folder.path(name).display().to_string();
    let (db, logs, primary, backup) = (path("craftx.db"), path("chat_logs"), path("primary.db"), path("backup"));
    let text = format!(
        "[profiles.development.json]\npath = '{logs}'\n[profiles.production_sqlite.sqlite]\npath = '{db}'\n\
         [profiles.production_hybrid.hybrid]\nprimary = {{ backend = 'sqlite', sqlite = {{ path = '{primary}' }} }}\n\
         secondary = [{{ backend = 'json', json = {{ path = '{backup}' }} }}]\n"
    );
    std::fs::write(folder.path("craftx.toml"), text).unwrap();
    Config::new().folder(folder.path(""))
}

async fn found(config: &Config) -> Vec<String> {
    let opened = config.open().await.unwrap();
    let found = config.elsewhere(Some(&opened)).await.unwrap();
    opened.close().await.unwrap();
    found.into_iter().map(|elsewhere| format!("{} {}", elsewhere.profile, elsewhere.url)).collect()
}

#[tokio::test]
async fn what_the_profile_before_has_is_found_as_long_as_the_new_store_is_empty() {
    let folder = Folder::empty();
    let old = config(&folder).profile("development").open().await.unwrap();
    old.append("a", NewMessage::user("hello")).await.unwrap();
    old.close().await.unwrap();
    let new = config(&folder).profile("production_sqlite");
    let expected = format!("development json:{}", folder.path("chat_logs").display());
    assert_eq!(found(&new).await, [expected]);
    new.open().await.unwrap().append("a", NewMessage::user("hello")).await.unwrap();
    assert_eq!(found(&new).await, [""; 0]);
}

#[tokio::test]
async fn a_folder_of_craftx_py_is_found_and_left_as_it_is() {
    let folder = Folder::empty();
    std::fs::create_dir(folder.path("chat_logs")).unwrap();
    std::fs::write(folder.path("chat_logs/a.json"), r#"[{"role":"user","content":"hi"}]"#).unwrap();
    assert_eq!(found(&config(&folder).profile("production_sqlite")).await.len(), 1);
    assert_eq!(std::fs::read_dir(folder.path("chat_logs")).unwrap().count(), 1);
}

#[tokio::test]
async fn nothing_is_made_and_empty_stores_are_not_told() {
    let folder = Folder::empty();
    let empty = config(&folder).profile("development").open().await.unwrap();
    empty.close().await.unwrap();
    assert_eq!(found(&config(&folder).profile("production_sqlite")).await, [""; 0]);
    for name in ["primary.db", "backup"] {
        assert!(!folder.path(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn the_stores_of_a_hybrid_are_its_own_and_not_elsewhere() {
    let folder = Folder::empty();
    let hybrid = config(&folder).profile("production_hybrid");
    let opened = hybrid.open().await.unwrap();
    opened.append("a", NewMessage::user("hello")).await.unwrap();
    opened.close().await.unwrap();
    assert_eq!(hybrid.elsewhere(None).await.unwrap(), []);
}
