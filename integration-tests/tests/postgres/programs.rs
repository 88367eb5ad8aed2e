//! The example and the command, run on the cluster as a reader of their documentation does.

use std::path::Path;
use std::process::Command;

use craftx_integration_tests::servers::postgres_is_there;

use crate::support::{cluster, fresh_schema};

/// Runs `cargo run` for a program of the workspace, and returns what it printed, and whether it succeeded.
fn run(what: &[&str], args: &[&str]) -> (String, bool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // This test is `TARGET/debug/deps/postgres-…`.
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--all-features"]).args(what).arg("--manifest-path").arg(root.join("Cargo.toml"));
    command.arg("--target-dir").arg(target).arg("--").args(args).current_dir(std::env::temp_dir());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.success())
}

fn store() -> String {
    format!("{}?schema={}", cluster().url(), fresh_schema())
}

#[test]
fn the_example_prints_what_it_says() {
    if !postgres_is_there("the example of a cluster") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let source = std::fs::read_to_string(root.join("examples/postgres_cluster.rs")).unwrap();
    let (_, rest) = source.split_once("//! ```text\n").unwrap();
    let (told, _) = rest.split_once("//! ```\n").unwrap();
    let told: String = told.lines().map(|line| format!("{}\n", line.trim_start_matches("//! "))).collect();
    let (printed, success) = run(&["--package", "craftx", "--example", "postgres_cluster"], &[&store()]);
    assert!(success && printed == told, "{printed}");
}

#[test]
fn the_command_shows_the_servers_and_what_they_promise() {
    if !postgres_is_there("the command on a cluster") {
        return;
    }
    let store = store();
    let craftx = |args: &[&str]| {
        let (printed, success) = run(&["--package", "craftx-cli"], &[&["--store", store.as_str()], args].concat());
        assert!(success && !printed.contains("craftx:pw"), "{args:?}: {printed}");
        printed
    };
    craftx(&["append", "chat-1", "Where is my red bicycle?"]);
    assert!(craftx(&["search", "bicycle"]).contains("chat-1"));
    let status = craftx(&["status"]);
    assert!(status.contains("acknowledged  by primary"), "{status}");
    for port in (0..3).map(|node| cluster().port(node)) {
        assert!(status.contains(&format!("server        127.0.0.1:{port} ")), "{status}");
    }
    assert_eq!(
        [status.matches(" primary, at 1:").count(), status.matches(" replica, at 1:").count()],
        [1, 2],
        "{status}"
    );
    let doctor = craftx(&["doctor"]);
    assert!(doctor.contains("a failover to a replica can lose the newest ones"), "{doctor}");
    assert!(doctor.contains("is the primary") || doctor.contains("is primary"), "{doctor}");
    let status: serde_json::Value = serde_json::from_str(&craftx(&["--json", "status"])).unwrap();
    assert_eq!(status["capabilities"]["acknowledgement"], "primary");
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3);
}
