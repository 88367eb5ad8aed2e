//! What the README tells a newcomer to type can be typed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::Path;
use std::process::Command;

const CHATS: &str = r#"{"session_id":"a","messages":[{"role":"user","content":"Is the bicycle red?"}]}"#;

/// The commands of the first shell block below a heading, without what installs craftx.
fn commands(readme: &str, heading: &str) -> String {
    let (_, below) = readme.split_once(heading).unwrap();
    let (_, block) = below.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let lines = block.lines().filter(|line| !line.starts_with("cargo install"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Runs the commands one after the other in an empty folder; each must succeed.
fn run(commands: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("chats.jsonl"), CHATS).unwrap();
    let list: Vec<_> = CHATS.lines().collect();
    std::fs::write(folder.path().join("conversations.json"), format!("[{}]", list.join(","))).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_craftx")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).current_dir(folder.path()).env_clear().env("PATH", path);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_commands_of_the_readme_work_as_they_stand() {
    let commands = commands(&read("../README.md"), "## The command");
    assert!(commands.matches("craftx ").count() >= 10, "{commands}");
    let printed = run(&commands);
    assert!(printed.contains("Where is my red bicycle?") && printed.contains("Is the"), "{printed}");
}

#[test]
fn the_commands_of_the_readme_of_the_package_work_as_they_stand() {
    run(&commands(&read("README.md"), "# craftx-cli"));
}
