//! What CraftX.py, the Agents SDK and LangChain left behind goes in whole, once, and as it was; what is broken is named.
#![cfg(all(feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::stores;
use craftx::formats::{self, ImportOptions, Imported, Outgoing, Source};
use craftx::{Message, Record, SessionId, Storage, TryStreamExt};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Files that the programs themselves wrote; they are no part of the repository.
fn samples(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/legacy").join(name);
    if !path.exists() {
        eprintln!("skipped: there is no sample {name}");
        return None;
    }
    Some(path)
}

#[derive(Debug)]
struct Outcome {
    format: &'static str,
    report: Imported,
    failed: Vec<(u64, String)>,
}

async fn import_in(storage: &Storage, path: &Path, zone: Option<&str>) -> Outcome {
    let mut source = Source::file(path).unwrap().with_zone(zone.map(str::to_owned));
    let format = formats::detect(&source.sample()).unwrap();
    let entries = format.read(source).unwrap();
    let mut failed = Vec::new();
    let mut fail = |line, error: &craftx::Error| failed.push((line, error.to_string()));
    let report = formats::import(storage, entries, &ImportOptions::new(), &mut fail).await.unwrap();
    Outcome { format: format.name(), report, failed }
}

/// Imports a file twice; the second time changes nothing.
async fn import(storage: &Storage, path: &Path) -> Outcome {
    let first = import_in(storage, path, None).await;
    let again = import_in(storage, path, None).await;
    assert_eq!((again.report.applied, again.report.dead), (0, 0), "{}", path.display());
    let known = first.report.applied + first.report.known;
    assert_eq!((again.report.known, &again.failed), (known, &first.failed), "{}", path.display());
    first
}

async fn messages(storage: &Storage, session: &str) -> Vec<Message> {
    storage.history(session).try_collect().await.unwrap()
}

async fn records(storage: &Storage, session: &SessionId) -> Vec<Record> {
    storage.records(session).try_collect().await.unwrap()
}

async fn export(storage: &Storage, session: &str, format: &str) -> formats::Written {
    let id = SessionId::new(session).unwrap();
    let metadata = storage.metadata(session).await.unwrap_or_default();
    let messages = messages(storage, session).await;
    formats::named(format).unwrap().write(&Outgoing::new(&id, &metadata, &messages)).unwrap()
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

fn time(message: &Message) -> String {
    message.created_at.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// What `json.loads` gives, told apart from what was stored by nothing but `serde_json`.
fn array(path: &Path) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn metadata_of(entry: &Value) -> String {
    entry.get("metadata").filter(|value| !value.is_null()).cloned().unwrap_or_else(|| json!({})).to_string()
}

#[tokio::test]
async fn every_json_sample_goes_in_and_comes_out_byte_for_byte() {
    let Some(folder) = samples("craftxpy") else { return };
    let mut files = 0;
    for generation in ["g0", "g1", "g2", "g3"] {
        for store in stores().await {
            for path in json_files(&folder.join(generation).join("chat_logs")) {
                files += 1;
                let what = format!("{} {}", store.name, path.display());
                let originals = array(&path);
                let outcome = import(&store.storage, &path).await;
                assert_eq!((outcome.format, outcome.report.messages), ("craftx-py", originals.len() as u64), "{what}");
                assert!(outcome.failed.is_empty(), "{what}: {outcome:?}");
                let found = messages(&store.storage, stem(&path)).await;
                assert_eq!(found.len(), originals.len(), "{what}");
                for (message, original) in found.iter().zip(&originals) {
                    assert_eq!(message.role.as_str(), original["role"], "{what}");
                    assert_eq!(message.content.clone().into_value().unwrap(), original["message"], "{what}");
                    assert_eq!(time(message), original["timestamp"].as_str().unwrap(), "{what}");
                    assert_eq!(Value::Object(message.metadata.clone()).to_string(), metadata_of(original), "{what}");
                }
                let written = export(&store.storage, stem(&path), "craftx-py").await;
                assert!(written.unplaced.is_empty());
                if generation == "g0" {
                    // The last generation writes metadata with every message.
                    let mut with_metadata = originals;
                    with_metadata.iter_mut().for_each(|entry| entry["metadata"] = json!({}));
                    let exported: Value = serde_json::from_str(&written.text).unwrap();
                    assert_eq!(exported.to_string(), Value::Array(with_metadata).to_string(), "{what}");
                } else {
                    assert_eq!(written.text, std::fs::read_to_string(&path).unwrap(), "{what}");
                }
            }
        }
    }
    assert_eq!(files, 23 * stores().await.len());
}

/// One of everything that any generation wrote, and of what the program let pass.
const MIXED: &str = r#"[
  {"timestamp": "2025-06-28T00:33:47.214584", "role": "user", "message": "naive"},
  {"role": "assistant", "message": "no time"},
  {"timestamp": "2025-06-27T10:00:00Z", "role": "assistant", "message": null, "metadata": null},
  {"timestamp": "2025-06-29T09:00:00.757579Z", "role": "developer", "message": 5, "metadata": {"f": [1e-05, 1e+16, 1.0]}},
  {"timestamp": "yesterday", "role": "tool", "message": {"k": []}, "metadata": {"timestamp": 1}, "model": "m"}
]"#;

#[tokio::test]
async fn importing_a_folder_and_opening_it_in_place_give_the_same_records() {
    let mut folders = vec![TempDir::new().unwrap()];
    std::fs::write(folders[0].path().join("v1.2.json"), MIXED).unwrap();
    for generation in ["g0", "g1", "g2", "g3"] {
        let Some(original) = samples(&format!("craftxpy/{generation}/chat_logs")) else { continue };
        let copy = TempDir::new().unwrap();
        for path in json_files(&original) {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        folders.push(copy);
    }
    for folder in folders {
        let files = json_files(folder.path());
        let opened = Storage::open(&format!("json:{}", folder.path().display())).await.unwrap();
        let imported = Storage::open("memory:").await.unwrap();
        for path in &files {
            assert!(import(&imported, path).await.failed.is_empty());
            let session = SessionId::new(stem(path)).unwrap();
            let found = records(&imported, &session).await;
            assert_eq!(found, records(&opened, &session).await, "{}", path.display());
            assert_eq!(found.len(), array(path).len());
        }
        // So what was copied from one store to the other is known there.
        for path in &files {
            assert_eq!(opened.copy_session(stem(path), &imported).await.unwrap().applied, Some(0));
        }
    }
}

#[tokio::test]
async fn what_the_program_let_pass_is_kept_and_written_as_its_last_generation_would() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mixed.json");
    std::fs::write(&path, MIXED).unwrap();
    for store in stores().await {
        import(&store.storage, &path).await;
        let found = messages(&store.storage, "mixed").await;
        let times: Vec<_> = found.iter().map(time).collect();
        assert_eq!(
            times,
            ["2025-06-28T00:33:47.214584", "", "2025-06-27T10:00:00Z", "2025-06-29T09:00:00.757579Z", ""]
        );
        let written = export(&store.storage, "mixed", "craftx-py").await.text;
        let entries: Vec<Value> = serde_json::from_str(&written).unwrap();
        assert_eq!(entries[1]["timestamp"], "2025-06-28T00:33:47.214000Z", "the stamp says where it stands");
        assert_eq!(entries[2]["message"], Value::Null);
        assert_eq!(entries[4]["message"], json!({"k": []}));
        assert_eq!(entries[4]["metadata"], json!({"timestamp": 1, "record.timestamp": "yesterday", "model": "m"}));
        let floats = "      \"f\": [\n        1e-05,\n        1e+16,\n        1.0\n      ]";
        assert!(written.contains(floats) && !written.ends_with('\n'), "{written}");
    }
}

#[tokio::test]
async fn an_export_says_what_has_no_place() {
    let storage = Storage::open("memory:").await.unwrap();
    let first = storage.append("s", craftx::NewMessage::user("a")).await.unwrap();
    storage.append("s", craftx::NewMessage::assistant("b").parent(first.id)).await.unwrap();
    storage.set_metadata("s", "title", "t").await.unwrap();
    let written = export(&storage, "s", "craftx-py").await;
    assert_eq!(written.unplaced.iter().collect::<Vec<_>>(), [("parent", 1), ("title", 1)]);
}

#[tokio::test]
async fn a_bad_entry_is_named_and_the_others_go_in() {
    let folder = TempDir::new().unwrap();
    let good = |text: &str| format!(r#"{{"role": "user", "message": "{text}"}}"#).into_bytes();
    for (bad, why) in [
        (&br#"{"role": "user", "message": "canary", "metadata": {"n": NaN}}"#[..], "not JSON"),
        (br#"{"role": "user", "message": "canary", "metadata": {"n": -Infinity}}"#, "not JSON"),
        (br#"{"role": "user", "message": "canary \ud800"}"#, "not JSON"),
        (b"{\"role\": \"user\", \"message\": \"canary \xff\"}", "not UTF-8"),
        (br#"{"message": "canary"}"#, "no role"),
        (br#"{"role": 5, "message": "canary"}"#, "no role"),
        (br#""canary""#, "no object"),
    ] {
        let path = folder.path().join("s.json");
        let text = [
            b"[\n".to_vec(),
            good("first"),
            b",\n".to_vec(),
            bad.to_vec(),
            b",\n".to_vec(),
            good("last"),
            b"\n]".to_vec(),
        ];
        std::fs::write(&path, text.concat()).unwrap();
        for store in stores().await {
            let outcome = import(&store.storage, &path).await;
            assert_eq!((outcome.report.messages, outcome.failed.len()), (2, 1), "{outcome:?}");
            let (line, error) = &outcome.failed[0];
            assert!(*line == 3 && error.contains(why) && !error.contains("canary"), "{line}: {error}");
            let texts: Vec<_> =
                messages(&store.storage, "s").await.iter().map(|m| m.text().unwrap().to_owned()).collect();
            assert_eq!(texts, ["first", "last"]);
        }
        // Once it has been mended by hand, only that entry is new, at its place.
        let storage = Storage::open("memory:").await.unwrap();
        import(&storage, &path).await;
        std::fs::write(
            &path,
            [b"[".to_vec(), good("first"), b",".to_vec(), good("mended"), b",".to_vec(), good("last"), b"]".to_vec()]
                .concat(),
        )
        .unwrap();
        let report = import_in(&storage, &path, None).await.report;
        assert_eq!((report.applied, report.known), (1, 2));
        assert_eq!(messages(&storage, "s").await[1].text(), Some("mended"));
    }
}

#[tokio::test]
async fn a_torn_file_gives_what_is_whole_and_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s.json");
    std::fs::write(&path, r#"[{"role": "user", "message": "whole"}, {"role": "user", "message": "canar"#).unwrap();
    for store in stores().await {
        let outcome = import(&store.storage, &path).await;
        assert_eq!((outcome.report.messages, outcome.failed.len()), (1, 1));
        assert!(outcome.failed[0].1.contains("too early"), "{outcome:?}");
    }
}

#[tokio::test]
async fn times_without_a_zone_are_in_the_one_that_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mixed.json");
    std::fs::write(&path, MIXED).unwrap();
    let storage = Storage::open("memory:").await.unwrap();
    assert!(import_in(&storage, &path, Some("+02:00")).await.failed.is_empty());
    let found = messages(&storage, "mixed").await;
    assert_eq!(time(&found[0]), "2025-06-28T00:33:47.214584+02:00");
    assert_eq!(time(&found[2]), "2025-06-27T10:00:00Z", "a time that says its zone stays");
    let exported: Value = serde_json::from_str(&export(&storage, "mixed", "craftx-py").await.text).unwrap();
    assert_eq!(exported[0]["timestamp"], "2025-06-27T22:33:47.214584Z", "the program knew no offsets");
}

#[tokio::test]
async fn each_key_of_a_memory_file_is_a_message() {
    let text = r#"{
  "name": {"data": "Ada \u00e9\ud83e\udd16", "metadata": {}, "timestamp": "2025-07-14T10:00:00.123456"},
  "list": {"data": [1, null], "metadata": {"user": "u"}, "timestamp": "2025-07-14T09:00:00"},
  "odd": {"data": null, "metadata": null, "timestamp": 5}
}"#;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("memory.json");
    std::fs::write(&path, text).unwrap();
    for store in stores().await {
        let outcome = import(&store.storage, &path).await;
        assert_eq!((outcome.format, outcome.report.messages), ("craftx-py-memory", 3));
        let found = messages(&store.storage, "memory").await;
        assert!(found.iter().all(|message| message.role.as_str() == "memory"));
        assert_eq!((found[0].text(), time(&found[0]).as_str()), (Some("Ada é🤖"), "2025-07-14T10:00:00.123456"));
        assert_eq!(found[1].content.clone().into_value(), Some(json!([1, null])));
        assert_eq!(found[1].metadata["craftx-py-memory"], json!({"key": "list", "metadata": {"user": "u"}}));
        assert_eq!(found[2].metadata["craftx-py-memory"]["timestamp"], 5);
    }
    let error = formats::named("craftx-py-memory").unwrap();
    assert_eq!(error.container(), None);
}

const FIRST_SCHEMA: &str = "
    CREATE TABLE conversations (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL,
        message TEXT NOT NULL, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
    CREATE INDEX idx_conversations_session_id ON conversations(session_id);
    CREATE TABLE sessions (session_id TEXT PRIMARY KEY, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
        updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
    CREATE TABLE model_configs (id INTEGER PRIMARY KEY AUTOINCREMENT, model_name TEXT UNIQUE NOT NULL, config JSON,
        created_at DATETIME DEFAULT CURRENT_TIMESTAMP);";
const LAST_SCHEMA: &str = "
    CREATE TABLE conversations (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, role TEXT NOT NULL,
        message TEXT NOT NULL, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
    CREATE INDEX idx_conv_sid ON conversations(session_id);
    CREATE TABLE sessions (session_id TEXT PRIMARY KEY, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
        updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);";

#[tokio::test]
async fn a_database_is_read_by_row_and_its_times_are_utc() {
    for schema in [FIRST_SCHEMA, LAST_SCHEMA] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("craftx.db");
        let database = Connection::open(&path).unwrap();
        database.execute_batch(schema).unwrap();
        database
            .execute_batch(
                r#"INSERT INTO conversations VALUES
                    (1, 'b', 'user', 'one', '2026-11-22 21:04:17', '{"priority": "high", "big": 9007199254740993}'),
                    (2, 'a', 'user', 'other', '2026-11-22 21:04:16', NULL),
                    (3, 'b', 'assistant', 'two', '2026-11-22 21:04:16', '{"n": NaN}'),
                    (4, 'b', 'user', 5, '2025-06-28T00:33:47.214584', '{}'),
                    (5, 'b', 'user', x'00ff', '2026-11-22 21:04:18', '{}'),
                    (6, 'b', 'tool', CAST(x'41ff' AS TEXT), '2026-11-22 21:04:18', '{}'),
                    (7, 'b', '', 'canary', '2026-11-22 21:04:18', '{}'),
                    (8, '', 'user', 'canary', '2026-11-22 21:04:18', '{}'),
                    (9, 'b', 'user', 'last', 'yesterday', '[1]');
                   INSERT INTO sessions VALUES
                    ('a', '2026-11-22 21:04:16', '2026-11-22 21:04:16', '{"title": "t"}'),
                    ('b', '2026-11-22 21:04:16', '2026-11-23 00:00:00', 'no JSON'),
                    ('empty', '2026-11-22 21:04:16', NULL, '{"only": "metadata"}');"#,
            )
            .unwrap();
        drop(database);
        for store in stores().await {
            let outcome = import(&store.storage, &path).await;
            assert_eq!((outcome.format, outcome.report.messages), ("craftx-py-sqlite", 5), "{outcome:?}");
            let rows: Vec<_> = outcome.failed.iter().map(|(row, _)| *row).collect();
            assert_eq!(rows, [8, 5, 6, 7], "{outcome:?}");
            assert!(!format!("{outcome:?}").contains("canary"));
            let found = messages(&store.storage, "b").await;
            let said: Vec<_> = found.iter().map(|message| (message.text().unwrap(), time(message))).collect();
            let said: Vec<_> = said.iter().map(|(text, time)| (*text, time.as_str())).collect();
            assert_eq!(
                said,
                [
                    ("one", "2026-11-22T21:04:17Z"),
                    ("two", "2026-11-22T21:04:16Z"),
                    ("5", "2025-06-28T00:33:47.214584"),
                    ("last", ""),
                ]
            );
            assert_eq!(found[0].metadata["big"], 9_007_199_254_740_993_u64);
            assert_eq!(found[1].metadata["metadata"], r#"{"n": NaN}"#, "kept, though it is no JSON");
            assert_eq!(Value::Object(found[3].metadata.clone()), json!({"metadata": [1], "timestamp": "yesterday"}));
            let of = |session: &'static str| store.storage.metadata(session);
            let created = json!({"created_at": "2026-11-22 21:04:16"});
            assert_eq!(Value::Object(of("a").await.unwrap()), json!({"title": "t", "craftx-py-sqlite": created}));
            assert_eq!(
                Value::Object(of("empty").await.unwrap()),
                json!({"only": "metadata", "craftx-py-sqlite": created})
            );
            assert_eq!(
                of("b").await.unwrap()["craftx-py-sqlite"],
                json!({"metadata": "no JSON", "created_at": "2026-11-22 21:04:16", "updated_at": "2026-11-23 00:00:00"})
            );
        }
    }
}

#[tokio::test]
async fn a_database_that_has_grown_adds_what_is_new() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("craftx.db");
    let database = Connection::open(&path).unwrap();
    database.execute_batch(LAST_SCHEMA).unwrap();
    let storage = Storage::open("memory:").await.unwrap();
    for (minute, applied) in [(0, 2), (1, 1), (2, 1)] {
        // What a save of the program does.
        let now = format!("2026-11-22 21:{minute:02}:00");
        database
            .execute("INSERT INTO conversations(session_id, role, message, timestamp, metadata) VALUES('s', 'user', 'x', ?1, '{}')", [&now])
            .unwrap();
        database
            .execute("INSERT INTO sessions VALUES('s', ?1, ?1, '{}') ON CONFLICT DO UPDATE SET updated_at = ?1", [&now])
            .unwrap();
        let outcome = import(&storage, &path).await;
        assert_eq!((outcome.report.applied, outcome.report.failed), (applied, 0), "{outcome:?}");
    }
}

/// The rows of a database, read by nothing but SQLite.
fn rows(path: &Path, query: &str) -> Vec<(String, String, String, String, String)> {
    let database = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let text = |row: &rusqlite::Row<'_>, at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default);
    let rows =
        statement.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?, text(row, 3)?, text(row, 4)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn sessions_of(rows: &[(String, String, String, String, String)]) -> Vec<String> {
    let mut names: Vec<_> = rows.iter().map(|row| row.0.clone()).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn every_database_sample_of_craftx_py_goes_in_whole() {
    for generation in ["g1", "g2", "g3"] {
        let Some(path) = samples(&format!("craftxpy/{generation}/craftx.db")) else { return };
        let query = "SELECT session_id, role, message, timestamp, metadata FROM conversations ORDER BY session_id, id";
        let originals = rows(&path, query);
        for store in stores().await {
            let outcome = import(&store.storage, &path).await;
            assert_eq!((outcome.report.sessions, outcome.report.messages), (7, originals.len() as u64));
            assert!(outcome.failed.is_empty());
            for session in sessions_of(&originals) {
                let found = messages(&store.storage, &session).await;
                let expected: Vec<_> = originals.iter().filter(|row| row.0 == session).collect();
                assert_eq!(found.len(), expected.len(), "{} {generation} {session}", store.name);
                for (message, (_, role, text, timestamp, metadata)) in found.iter().zip(expected) {
                    assert_eq!((message.role.as_str(), message.text()), (role.as_str(), Some(text.as_str())));
                    assert_eq!(time(message), format!("{}Z", timestamp.replace(' ', "T")));
                    let metadata: Value = serde_json::from_str(metadata).unwrap();
                    assert_eq!(Value::Object(message.metadata.clone()).to_string(), metadata.to_string());
                }
            }
        }
    }
}

/// What every database of one JSON value a row has in common.
async fn each_row_comes_out_as_it_went_in(path: &Path, query: &str, format: &str, out: &str) {
    let originals = rows(path, query);
    assert!(!originals.is_empty());
    for store in stores().await {
        let outcome = import(&store.storage, path).await;
        assert_eq!((outcome.format, outcome.report.messages), (format, originals.len() as u64), "{outcome:?}");
        assert!(outcome.failed.is_empty(), "{outcome:?}");
        for session in sessions_of(&originals) {
            let expected: Vec<_> = originals.iter().filter(|row| row.0 == session).collect();
            let written = export(&store.storage, &session, out).await;
            let exported: Vec<Value> = serde_json::from_str(&written.text).unwrap();
            let given: Vec<Value> = expected.iter().map(|row| serde_json::from_str(&row.1).unwrap()).collect();
            assert_eq!(exported, given, "{} {session}", store.name);
            for (message, row) in messages(&store.storage, &session).await.iter().zip(expected) {
                let at = if row.2.is_empty() { String::new() } else { format!("{}Z", row.2.replace(' ', "T")) };
                assert_eq!(time(message), at);
            }
        }
    }
}

const ITEMS: &str =
    "SELECT session_id, message_data, created_at, NULL, NULL FROM agent_messages ORDER BY session_id, id";
const HISTORY: &str = "SELECT session_id, message, NULL, NULL, NULL FROM message_store ORDER BY session_id, id";

#[tokio::test]
async fn the_samples_of_the_agents_sdk_and_of_langchain_come_out_as_they_went_in() {
    if let Some(path) = samples("openai_agents.db") {
        // SQLite writes beside a database that has a write-ahead log, even to read it.
        let folder = TempDir::new().unwrap();
        let copy = folder.path().join("openai.db");
        std::fs::copy(path, &copy).unwrap();
        each_row_comes_out_as_it_went_in(&copy, ITEMS, "openai-agents", "openai-responses").await;
    }
    if let Some(path) = samples("langchain/history.db") {
        each_row_comes_out_as_it_went_in(&path, HISTORY, "langchain-sql", "langchain").await;
    }
}

#[tokio::test]
async fn a_database_of_the_agents_sdk_is_read_item_by_item() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("openai.db");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            r#"PRAGMA journal_mode = WAL;
               CREATE TABLE agent_sessions (session_id TEXT PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                   updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
               CREATE TABLE agent_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
                   message_data TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
               INSERT INTO agent_sessions VALUES ('s', '2026-11-22 22:03:10', '2026-11-22 22:03:12');
               INSERT INTO agent_messages VALUES
                   (1, 's', '{"role": "user", "content": "hi é"}', '2026-11-22 22:03:10'),
                   (2, 's', '{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}', '2026-11-22 22:03:11'),
                   (3, 's', '{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{ \"a\":1}"}', '2026-11-22 22:03:11'),
                   (4, 's', '{"type": "function_call_output", "call_id": "c", "output": "4"}', '2026-11-22 22:03:12');"#,
        )
        .unwrap();
    each_row_comes_out_as_it_went_in(&path, ITEMS, "openai-agents", "openai-responses").await;
    database
        .execute_batch(
            r#"INSERT INTO agent_messages VALUES (5, 's', '{"role": "user", "content": "canary', '2026-11-22 22:03:13'),
                                                 (6, 's', '["canary"]', '2026-11-22 22:03:13'),
                                                 (7, 's', '{"role": "user", "content": "last"}', '2026-11-22 22:03:13');"#,
        )
        .unwrap();
    let storage = Storage::open("memory:").await.unwrap();
    let outcome = import(&storage, &path).await;
    let rows: Vec<_> = outcome.failed.iter().map(|(row, _)| *row).collect();
    assert_eq!((outcome.report.messages, rows), (5, vec![5, 6]));
    assert!(!format!("{outcome:?}").contains("canary"));
    assert_eq!(messages(&storage, "s").await[4].text(), Some("last"));
    let created = json!({"created_at": "2026-11-22 22:03:10"});
    assert_eq!(storage.metadata("s").await.unwrap()["openai-agents"], created);
}

#[tokio::test]
async fn a_database_of_langchain_is_read_message_by_message() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            r#"CREATE TABLE message_store (id INTEGER NOT NULL, session_id TEXT, message TEXT, PRIMARY KEY (id));
               INSERT INTO message_store VALUES
                   (1, 's', '{"type": "human", "data": {"content": "2+2? \u00e9", "additional_kwargs": {}, "type": "human", "name": null, "id": null}}'),
                   (2, 't', '{"type": "human", "data": {"content": "other", "type": "human"}}'),
                   (3, 's', '{"type": "ai", "data": {"content": "", "type": "ai", "tool_calls": [{"name": "add", "args": {"a": 2}, "id": "c", "type": "tool_call"}]}}'),
                   (4, 's', '{"type": "tool", "data": {"content": "4", "type": "tool", "tool_call_id": "c", "status": "success"}}');"#,
        )
        .unwrap();
    each_row_comes_out_as_it_went_in(&path, HISTORY, "langchain-sql", "langchain").await;
    let bad =
        r#"INSERT INTO message_store VALUES (5, 's', '{"type": "human", "canary'), (6, NULL, '{}'), (7, 's', NULL)"#;
    database.execute_batch(bad).unwrap();
    let storage = Storage::open("memory:").await.unwrap();
    let outcome = import(&storage, &path).await;
    let mut rows: Vec<_> = outcome.failed.iter().map(|(row, _)| *row).collect();
    rows.sort_unstable();
    assert_eq!((outcome.report.messages, rows), (4, vec![5, 6, 7]));
    assert!(!format!("{outcome:?}").contains("canary"));
}
