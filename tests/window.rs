//! The newest messages that fit a budget.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use craftx::{Budget, Message, NewMessage, Record, Storage};
use serde_json::json;

async fn storage(messages: impl IntoIterator<Item = NewMessage>) -> Storage {
    let storage = Storage::open("memory:").await.unwrap();
    storage.append_all("s", messages).await.unwrap();
    storage
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text().unwrap_or("-")).collect()
}

fn call(text: &str, ids: &[&str]) -> NewMessage {
    let calls: Vec<_> = ids.iter().map(|id| json!({"id": id, "type": "function"})).collect();
    NewMessage::assistant(text).metadata("tool_calls", calls)
}

fn result(text: &str, id: &str) -> NewMessage {
    NewMessage::tool(text).metadata("tool_call_id", id)
}

#[tokio::test]
async fn messages_bytes_and_tokens_limit_it() {
    let storage = storage((0..500).map(|n| NewMessage::user(format!("{n:03}")))).await;
    let window = storage.window("s", Budget::new().messages(250)).await.unwrap();
    assert_eq!((window.len(), window[0].text(), window[249].text()), (250, Some("250"), Some("499")));
    let one = Record::Message(window[0].clone()).encode().as_str().len() as u64;
    assert_eq!(storage.window("s", Budget::new().bytes(one * 3 + 1)).await.unwrap().len(), 3);
    let three_each = |_: &Message| 3;
    assert_eq!(storage.window("s", Budget::new().tokens(10, &three_each)).await.unwrap().len(), 3);
    assert_eq!(storage.window("s", Budget::new()).await.unwrap().len(), 500);
    assert!(storage.window("s", Budget::new().messages(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_tool_result_never_comes_without_its_call() {
    let storage = storage([
        NewMessage::user("ask"),
        call("call", &["a", "b"]),
        result("A", "a"),
        result("B", "b"),
        NewMessage::assistant("answer"),
    ])
    .await;
    let sizes: Vec<usize> = {
        let mut sizes = Vec::new();
        for n in 1..=5 {
            sizes.push(storage.window("s", Budget::new().messages(n)).await.unwrap().len());
        }
        sizes
    };
    assert_eq!(sizes, [1, 1, 1, 4, 5]);
    assert_eq!(texts(&storage.window("s", Budget::new().messages(4)).await.unwrap()), ["call", "A", "B", "answer"]);
}

#[tokio::test]
async fn calls_and_results_inside_of_parts_belong_together() {
    let storage = storage([
        NewMessage::user("ask"),
        NewMessage::assistant(json!([{"type": "tool_use", "id": "t1", "name": "f", "input": {}}])),
        NewMessage::user(json!([{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}])),
        NewMessage::assistant("answer"),
    ])
    .await;
    for (n, expected) in [(1, 1), (2, 1), (3, 3), (4, 4)] {
        assert_eq!(storage.window("s", Budget::new().messages(n)).await.unwrap().len(), expected, "{n}");
    }
}

#[tokio::test]
async fn a_result_without_any_call_stays_if_the_whole_conversation_fits() {
    let storage = storage([result("lonely", "x"), NewMessage::assistant("answer")]).await;
    assert_eq!(storage.window("s", Budget::new()).await.unwrap().len(), 2);
    assert_eq!(storage.window("s", Budget::new().messages(1)).await.unwrap().len(), 1);
}
