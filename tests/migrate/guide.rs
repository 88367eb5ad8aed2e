//! The operations of the guide, by its names.

use craftx::NewMessage;
use craftx::migrate::{list_available_migrations, migrate_json_to_sqlite, migrate_sqlite_to_json};
use serde_json::json;

use crate::support::{Folder, are_equal};

#[tokio::test]
async fn a_folder_becomes_a_file_and_a_folder_again_and_a_second_time_changes_nothing() {
    let folder = Folder::new();
    folder.write("chat_logs/a.json", r#"[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]"#);
    folder.write("chat_logs/b.json", r#"[{"role":"user","message":"hi"}]"#);
    let (logs, file, export) = (folder.path("chat_logs"), folder.path("craft?x.db"), folder.path("export"));
    for new in [3, 0] {
        let result = migrate_json_to_sqlite(&logs, &file).await;
        let told = json!({
            "status": "success",
            "message": format!("all sessions are in the target; {new} records were not there before"),
            "sessions_migrated": 2,
            "messages_migrated": 3,
        });
        assert_eq!(serde_json::to_value(&result).unwrap(), told);
    }
    assert!(file.is_file());
    let result = migrate_sqlite_to_json(&file, &export).await;
    assert_eq!((result.status, result.messages_migrated), ("success", Some(3)));
    are_equal(&folder.source("json", "chat_logs").await, &folder.source("json", "export").await).await;
    assert_eq!(folder.bytes("chat_logs").len(), 2);
}

#[tokio::test]
async fn a_broken_file_makes_it_partial_and_nothing_but_broken_files_an_error() {
    let folder = Folder::new();
    folder.write("chat_logs/a.json", r#"[{"role":"user","content":"hi"}]"#);
    folder.write("chat_logs/b.json", "[");
    let result = migrate_json_to_sqlite(folder.path("chat_logs"), folder.path("craftx.db")).await;
    assert_eq!((result.status, result.sessions_migrated), ("partial", Some(1)));
    assert!(result.message.contains("`b`"), "{}", result.message);
    std::fs::remove_file(folder.path("chat_logs/a.json")).unwrap();
    let result = migrate_json_to_sqlite(folder.path("chat_logs"), folder.path("other.db")).await;
    assert_eq!((result.status, result.sessions_migrated), ("error", Some(0)));
}

#[tokio::test]
async fn a_source_that_is_not_there_is_an_error_and_is_not_made() {
    let folder = Folder::new();
    let result = migrate_json_to_sqlite(folder.path("none"), folder.path("craftx.db")).await;
    assert_eq!((result.status, result.sessions_migrated), ("error", None));
    let result = migrate_sqlite_to_json(folder.path("none.db"), folder.path("logs")).await;
    assert_eq!(result.status, "error");
    for name in ["none", "craftx.db", "none.db", "logs"] {
        assert!(!folder.path(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn what_the_target_has_already_stays() {
    let folder = Folder::new();
    folder.write("chat_logs/a.json", r#"[{"role":"user","content":"hi"}]"#);
    let to = folder.make("sqlite", "craftx.db").await;
    to.append("mine", NewMessage::user("mine")).await.unwrap();
    assert_eq!(migrate_json_to_sqlite(folder.path("chat_logs"), folder.path("craftx.db")).await.status, "success");
    assert_eq!(to.last("mine", 1).await.unwrap().len(), 1);
    assert_eq!(to.last("a", 1).await.unwrap().len(), 1);
}

#[test]
fn the_operations_are_listed_by_the_names_of_the_guide() {
    let types = list_available_migrations().available_types.unwrap();
    assert!(["json_to_sqlite", "sqlite_to_json"].iter().all(|name| types.contains(name)));
    let backups = ["backup_current", "restore_backup"].iter().filter(|name| types.contains(name)).count();
    assert_eq!(backups, if cfg!(feature = "backup") { 2 } else { 0 });
}
