//! What CraftX.py, the Agents SDK and LangChain left behind goes in whole, once, and as it was; what is broken is named.
#![cfg(all(feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod databases;

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
