//! The environment and the current folder of a real process.

use std::process::Command;

use craftx::{NewMessage, Storage};

use crate::support::Folder;

const TASK: &str = "CRAFTX_TEST_CONFIG_TASK";

/// What runs in the other process: opens a store as its task says, and appends a message.
#[tokio::test]
async fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let storage = match task.split_once(' ') {
        Some(("profile", name)) => Storage::from_profile(name).await,
        Some(("file", path)) => Storage::from_config(path).await,
        _ => Storage::from_env().await,
    };
    storage.unwrap().append("s", NewMessage::user("hello")).await.unwrap();
}

fn run(folder: &Folder, task: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "process::child"]).env(TASK, task).current_dir(folder.path("."));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_environment_the_folder_and_the_program_choose_the_store() {
    let folder = Folder::empty();
    run(&folder, "environment", &[]);
    assert!(folder.path("chat_logs").is_dir(), "the profile `development`");
    run(&folder, "environment", &[("CRAFTX_PROFILE", "production_sqlite")]);
    assert!(folder.path("craftx_production.db").is_file());
    run(&folder, "profile production_sqlite", &[("CRAFTX_DB_PATH", "guide.db"), ("CRAFTX_PROFILE", "development")]);
    assert!(folder.path("guide.db").is_file());
    std::fs::write(folder.path("craftx.toml"), "backend = 'sqlite'\n[sqlite]\npath = 'file.db'\n").unwrap();
    run(&folder, "environment", &[]);
    assert!(folder.path("file.db").is_file());
    std::fs::write(folder.path("other.toml"), "backend = 'sqlite'\n[sqlite]\npath = 'other.db'\n").unwrap();
    run(&folder, "environment", &[("CRAFTX_CONFIG", "other.toml")]);
    assert!(folder.path("other.db").is_file());
    run(&folder, "file other.toml", &[("CRAFTX_SQLITE__PATH", "third.db"), ("CRAFTX_CONFIG", "craftx.toml")]);
    assert!(folder.path("third.db").is_file());
}
