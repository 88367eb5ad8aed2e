//! Conversations of other programs go in, are read back, and come out unchanged, through every store of this build.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::path::PathBuf;

use common::stores;
use craftx::{Conversation, ErrorKind, Storage, TryStreamExt, conversation_json};
use serde_json::Value;

const LINES: &str = include_str!("fixtures/conversations.jsonl");

/// Imports each line twice, and compares what comes out with what went in.
async fn round_trip(storage: &Storage, lines: &str) -> usize {
    let mut messages = 0;
    for line in lines.lines() {
        let conversation = Conversation::parse(line).unwrap();
        storage.import_conversation(&conversation).await.unwrap();
        assert_eq!(storage.import_conversation(&conversation).await.unwrap().applied, Some(0));
        let session = storage.session(&conversation.session).await.unwrap().unwrap();
        let stored: Vec<_> = storage.history(&conversation.session).try_collect().await.unwrap();
        let exported = conversation_json(&session.id, &session.metadata, &stored);
        let given: Value = serde_json::from_str(line).unwrap();
        assert_eq!(exported, given, "{}", conversation.session);
        assert_eq!(exported["messages"].to_string(), given["messages"].to_string(), "{}", conversation.session);
        messages += stored.len();
    }
    messages
}

#[tokio::test]
async fn every_field_survives() {
    for store in stores().await {
        assert_eq!(round_trip(&store.storage, LINES).await, 12, "{}", store.name);
    }
}

#[tokio::test]
async fn real_conversations_come_out_unchanged() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/conversations");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: there are no real conversations beside the repository");
        return;
    };
    let files: Vec<String> = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for store in stores().await {
        let mut messages = 0;
        for lines in &files {
            messages += round_trip(&store.storage, lines).await;
        }
        assert!(messages > 10_000, "{}: {messages}", store.name);
    }
}

#[tokio::test]
async fn a_parent_is_found_by_the_id_that_the_other_program_gave_it() {
    let storage = Storage::open("memory:").await.unwrap();
    let line = LINES.lines().find(|line| line.contains("parent_id")).unwrap();
    storage.import_conversation(&Conversation::parse(line).unwrap()).await.unwrap();
    let tree = storage.load_conversation("tree").await.unwrap();
    assert_eq!(tree[0].parent, None);
    assert_eq!((tree[1].parent, tree[2].parent), (Some(tree[0].id), Some(tree[0].id)));
}

#[tokio::test]
async fn an_edited_message_is_a_conflict_and_not_a_second_one() {
    for store in stores().await {
        let line = r#"{"session_id":"s","messages":[{"id":"m0","role":"user","content":"one"}]}"#;
        store.storage.import_conversation(&Conversation::parse(line).unwrap()).await.unwrap();
        let edited = Conversation::parse(&line.replace("one", "two")).unwrap();
        let error = store.storage.import_conversation(&edited).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{}", store.name);
        assert_eq!(store.storage.load_conversation("s").await.unwrap()[0].text(), Some("one"));
    }
}

#[tokio::test]
async fn importing_below_a_clear_is_an_error_that_names_the_way_out() {
    for store in stores().await {
        let conversation = Conversation::parse(LINES.lines().next().unwrap()).unwrap();
        store.storage.import_conversation(&conversation).await.unwrap();
        store.storage.delete_session(&conversation.session).await.unwrap();
        let error = store.storage.import_conversation(&conversation).await.unwrap_err();
        assert!(error.to_string().contains("--restamp"), "{}: {error}", store.name);
        let new = conversation.new_messages().unwrap();
        store.storage.append_all(&conversation.session, new).await.unwrap();
        let restored = store.storage.load_conversation(&conversation.session).await.unwrap();
        assert_eq!(restored.len(), conversation.len());
    }
}

#[test]
fn a_wrong_line_is_refused_and_not_quoted() {
    for line in [
        "[]",
        "{}",
        r#"{"session_id":1,"messages":[]}"#,
        r#"{"session_id":"s","messages":{}}"#,
        r#"{"session_id":"s","messages":["secret"]}"#,
        r#"{"session_id":"s","messages":[{"content":"secret"}]}"#,
        r#"{"session_id":"s","messages":[{"role":7,"content":"secret"}]}"#,
        r#"{"session_id":"s","messages":[{"role":"user","content":12345678901234567890123}]}"#,
        r#"{"session_id":"s","messages":[{"role":"user","content":"\ud83d"}]}"#,
    ] {
        let error = Conversation::parse(line).and_then(|c| c.records()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{line}");
        assert!(!error.to_string().contains("secret"));
    }
}
