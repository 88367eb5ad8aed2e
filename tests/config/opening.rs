//! Stores are opened by profile, by file and by environment, and keep what is put into them.

use craftx::{Config, ErrorKind, NewMessage, Prepare, Storage};

use crate::support::{Folder, setting};

async fn remembers(config: &Config, scheme: &str) {
    let storage = config.open().await.unwrap();
    storage.append("s", NewMessage::user("hello")).await.unwrap();
    assert_eq!(storage.status().await.unwrap().scheme, scheme);
    storage.close().await.unwrap();
    if scheme == "memory" {
        return;
    }
    let again = config.clone().prepare(Prepare::Open).open().await.unwrap();
    assert_eq!(again.last("s", 1).await.unwrap()[0].text(), Some("hello"));
}

#[tokio::test]
async fn a_profile_opens_where_the_environment_says() {
    let folder = Folder::empty();
    let (logs, db) = (folder.path("logs").display().to_string(), folder.path("chat.db").display().to_string());
    remembers(&folder.config(&[("CRAFTX_JSON__PATH", &logs)]), "json").await;
    let sqlite = folder.config(&[("CRAFTX_SQLITE__PATH", &db), ("CRAFTX_PROFILE", "production_sqlite")]);
    remembers(&sqlite, "sqlite").await;
    assert!(folder.path("logs").is_dir() && folder.path("chat.db").is_file());
    let memory = folder.config(&[("CRAFTX_BACKEND", "memory")]);
    remembers(&memory, "memory").await;
}

#[tokio::test]
async fn a_file_describes_a_store() {
    let folder = Folder::empty();
    let db = folder.path("chat.db");
    let toml = format!("backend = 'sqlite'\n[sqlite]\npath = '{}'\n", db.display());
    std::fs::write(folder.path("craftx.toml"), toml).unwrap();
    let storage = Storage::from_config(folder.path("craftx.toml")).await.unwrap();
    storage.append("s", NewMessage::user("hello")).await.unwrap();
    assert!(db.is_file());
}

#[tokio::test]
async fn opening_may_be_told_not_to_create_anything() {
    let folder = Folder::empty();
    let logs = folder.path("logs");
    let config = Config::new().set("json.path", logs.to_str().unwrap()).prepare(Prepare::Open);
    assert_eq!(config.open().await.unwrap_err().kind(), ErrorKind::NotFound);
    config.check().unwrap();
    assert!(!logs.exists());
}

#[test]
fn the_profiles_of_the_guide_have_the_paths_of_the_guide() {
    let folder = Folder::empty();
    for (profile, key, path) in [
        ("development", "json.path", "chat_logs"),
        ("production_sqlite", "sqlite.path", "craftx_production.db"),
        ("production_hybrid", "hybrid.primary.sqlite.path", "craftx_primary.db"),
        ("production_hybrid", "hybrid.secondary.0.json.path", "chat_logs_backup"),
        ("cloud_ready", "hybrid.secondary.0.json.path", "local_backup"),
    ] {
        let config = folder.config(&[]).profile(profile);
        let expected = (format!("\"{path}\""), format!("built-in profile `{profile}`"));
        assert_eq!(setting(&config, key), Some(expected), "{profile}");
    }
}
