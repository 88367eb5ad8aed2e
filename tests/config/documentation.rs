//! `docs/configuration.md` tells what is so.

use craftx::access::{AccessConfig, Rules};
use craftx::encrypt_layer::EncryptConfig;
use craftx::failover::FailoverConfig;
use craftx::json_backend::JsonConfig;
use craftx::postgres_backend::PostgresConfig;
use craftx::retry_layer::{BreakerConfig, RetryConfig, TimeoutConfig};
use craftx::sqlite_backend::SqliteConfig;
use craftx::{Limits, list_profiles};
use serde::Serialize;
use serde_json::Value;

use crate::support::{Folder, setting};

fn text() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap()
}

#[test]
fn every_key_is_there_with_its_default() {
    fn rows(part: &str, config: impl Serialize) -> Vec<String> {
        let Value::Object(table) = serde_json::to_value(config).unwrap() else { panic!() };
        let row = |(key, value): (&String, &Value)| match (part, key.as_str()) {
            // A store says what is not said here, or the other keys do.
            ("postgres", "path" | "primary") => format!("| `postgres.{key}` | |"),
            ("postgres", _) if value.is_null() => format!("| `postgres.{key}` | |"),
            (_, "path") => format!("| `{part}.path` | required |"),
            ("breaker", "slow_ms") => "| `breaker.slow_ms` | none |".to_owned(),
            ("sqlite", "search") => "| `sqlite.search` | what the store says |".to_owned(),
            ("hybrid", "breaker") => "| `hybrid.breaker` | one failure, one probe, 5,000 ms |".to_owned(),
            _ => format!("| `{part}.{key}` | `{value}` |"),
        };
        table.iter().map(row).collect()
    }
    let text = text();
    let keys = [
        rows("json", JsonConfig::new("a")),
        rows("sqlite", SqliteConfig::new("a").search(true)),
        rows("postgres", PostgresConfig::new("localhost")),
        rows("hybrid", FailoverConfig::default()),
        vec!["| `hybrid.primary` | required |".to_owned(), "| `hybrid.secondary` | `[]` |".to_owned()],
        rows("validate", Limits::default()),
        rows("access", Rules::default()),
        rows("access", AccessConfig::default()),
        vec!["| `access.audit` | none |".to_owned()],
        rows("encrypt", EncryptConfig::default()),
        vec!["| `encrypt.keyring` | required |".to_owned(), "| `encrypt.keys` | required |".to_owned()],
        rows("retry", RetryConfig::default()),
        rows("timeout", TimeoutConfig::default()),
        rows("breaker", BreakerConfig::default().slow_ms(Some(1))),
    ];
    for row in keys.concat() {
        assert!(text.contains(&row), "{row}");
    }
    let parts =
        ["json", "sqlite", "postgres", "hybrid", "validate", "access", "encrypt", "retry", "timeout", "breaker"]
            .map(|part| format!("| `{part}."));
    let documented = text.lines().filter(|line| parts.iter().any(|part| line.starts_with(part))).count();
    assert_eq!(documented, keys.concat().len());
}

#[test]
fn every_profile_is_there() {
    for profile in list_profiles() {
        let row = format!("| `{}` | {} |", profile.name, profile.description);
        assert!(text().contains(&row), "{row}");
    }
}

#[test]
fn every_file_that_is_shown_can_be_used() {
    let text = text();
    let files: Vec<_> = text.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert!(files.len() >= 4);
    for file in &files {
        let folder = Folder::with(file);
        folder.config(&[]).check().unwrap_or_else(|error| panic!("{error}\n{file}"));
    }
    let mine = files.iter().find(|file| file.contains("[profiles.staging]")).unwrap();
    let folder = Folder::with(mine);
    let path = |profile: &str, key: &str| setting(&folder.config(&[]).profile(profile), key).unwrap().0;
    assert_eq!(path("staging", "sqlite.path"), "\"/srv/staging/chats.db\"");
    assert_eq!(path("development", "json.path"), "\"logs\"");
}

#[test]
fn the_errors_that_are_shown_are_said() {
    let text = text();
    let shown: Vec<_> = text.lines().filter(|line| line.starts_with("configure: ")).collect();
    let folder = Folder::with("backend = 'sqlite'\n[sqlite]\npath = 'a.db'\nreders = 2\n");
    let typo = folder.text(&folder.config(&[]).check().unwrap_err());
    let missing = craftx::Config::new().profile("cloud_ready").check().unwrap_err().to_string();
    assert_eq!(shown, [typo, missing]);
}
