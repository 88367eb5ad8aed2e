//! Formats of other programs: what is read comes out again as it was, and what crosses to another format says the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod common;

use std::path::PathBuf;

use common::stores;
use craftx::formats::{self, ImportOptions, Imported, Outgoing, Source, Unplaced};
use craftx::{SessionId, Storage, TryStreamExt};
use serde_json::{Value, json};

/// Files that are beside the repository on some machines only.
fn shared(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        eprintln!("skipped: `{name}` is not beside the repository");
    }
    text
}

async fn import(storage: &Storage, text: &str) -> (&'static str, Imported, Vec<String>) {
    let session = Some(SessionId::new("s").unwrap());
    let mut source = Source::reader(std::io::Cursor::new(text.as_bytes().to_vec())).with_session(session);
    let format = formats::detect(&source.sample()).unwrap();
    let mut errors = Vec::new();
    let entries = format.read(source).unwrap();
    let report = formats::import(storage, entries, &ImportOptions::new(), &mut |line, error| {
        errors.push(format!("{line}: {error}"));
    })
    .await
    .unwrap();
    (format.name(), report, errors)
}

async fn export(storage: &Storage, session: &str, format: &str) -> (Value, Unplaced) {
    let id = SessionId::new(session).unwrap();
    let metadata = storage.metadata(session).await.unwrap();
    let messages: Vec<_> = storage.history(session).try_collect().await.unwrap();
    let written = formats::named(format).unwrap().write(&Outgoing::new(&id, &metadata, &messages)).unwrap();
    let value = serde_json::from_str(&written.text).unwrap_or(Value::String(written.text));
    (value, written.unplaced)
}

/// Imports a file twice, and expects its one session to come out in its own format as it went in.
async fn round_trip(name: &str, text: &str, session: &str) {
    let given: Value = serde_json::from_str(text).unwrap();
    for store in stores().await {
        let (found, report, errors) = import(&store.storage, text).await;
        assert_eq!((found, errors), (name, Vec::new()), "{}", store.name);
        let (_, again, _) = import(&store.storage, text).await;
        assert_eq!((again.applied, again.known), (0, report.applied), "{}", store.name);
        let (out, unplaced) = export(&store.storage, session, name).await;
        assert!(unplaced.is_empty(), "{unplaced:?}");
        let out = if name == "sharegpt" { json!([out]) } else { out };
        assert_eq!(out, given, "{name} in {}", store.name);
    }
}

#[tokio::test]
async fn each_format_comes_out_as_it_went_in() {
    for (name, file, session) in [
        ("openai-chat", "openai_chat_completions", "s"),
        ("openai-responses", "openai_responses_items", "s"),
        ("anthropic", "anthropic_messages", "s"),
        ("langchain", "langchain_messages_to_dict", "s"),
        ("sharegpt", "sharegpt", "sg_0"),
    ] {
        if let Some(text) = shared(&format!("formats/{file}.json")) {
            round_trip(name, &text, session).await;
        }
    }
}

/// Shapes that are legal, and of which each member counts.
#[tokio::test]
async fn what_is_unusual_comes_out_as_it_went_in() {
    for (name, text) in [
        (
            "openai-chat",
            json!([
                {"content": null, "role": "assistant", "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"x\" : 1.0,  not json"}}]},
                {"role": "tool", "tool_call_id": "c", "name": "f", "content": ""},
                {"role": "assistant"}, {"role": "user", "content": []},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "audio": {"id": "a"}},
            ]),
        ),
        ("openai-chat", json!({"messages": [{"role": "user", "content": "x"}], "model": "m", "tools": []})),
        (
            "openai-responses",
            json!([
                {"role": "user", "content": "no type"},
                {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search"}},
                {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
                {"type": "item_reference", "id": "x"}, {"type": "of_tomorrow_call", "anything": [1, null]},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}]},
            ]),
        ),
        (
            "anthropic",
            json!({"messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "u"}, "title": null}]},
            {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "opaque"}, {"type": "new_kind"}]},
        ], "system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "max_tokens": 5}),
        ),
        (
            "langchain",
            json!([
                {"type": "chat", "data": {"role": "critic", "content": "x", "type": "chat"}},
                {"type": "remove", "data": {"content": "", "type": "remove", "id": "r"}},
                {"type": "ai", "data": {"content": [{"type": "text", "text": "a"}, "b"], "type": "ai",
                    "invalid_tool_calls": [{"name": "f", "args": "{", "id": "i", "error": null}]}},
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"],
                    "kwargs": {"content": "hello", "type": "human"}},
            ]),
        ),
        (
            "sharegpt",
            json!([{"conversations": [{"from": "user", "value": "a", "weight": 0}], "id": "s", "lang": "en"}]),
        ),
    ] {
        round_trip(name, &text.to_string(), "s").await;
    }
}

#[tokio::test]
async fn a_call_of_a_tool_and_its_answer_are_the_same_in_every_format() {
    let chat = json!([
        {"role": "user", "name": "anna", "content": [
            {"type": "text", "text": "Zürich?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a1", "type": "function", "function": {"name": "f", "arguments": "{\"city\":\"Zürich\"}"}},
            {"id": "a2", "type": "function", "function": {"name": "f", "arguments": "{\"city\":\"東京\"}"}}]},
        {"role": "tool", "tool_call_id": "a1", "content": "11.5"},
        {"role": "tool", "tool_call_id": "a2", "content": "timeout"},
        {"role": "assistant", "content": "11.5 °C"},
    ]);
    let storage = Storage::open("memory:").await.unwrap();
    import(&storage, &chat.to_string()).await;

    let (anthropic, unplaced) = export(&storage, "s", "anthropic").await;
    assert_eq!(unplaced.iter().collect::<Vec<_>>(), [("name", 1)], "Anthropic has no place for a name");
    let messages = &anthropic["messages"];
    assert_eq!(
        messages[0]["content"][1]["source"],
        json!({"type": "base64", "media_type": "image/png", "data": "AA=="})
    );
    assert_eq!(messages[1]["content"][1]["input"], json!({"city": "東京"}));
    assert_eq!(messages[2]["role"], "user");
    assert_eq!(messages[2]["content"].as_array().unwrap().len(), 2, "both answers are in one message");
    assert_eq!(messages[3], json!({"role": "assistant", "content": "11.5 °C"}));

    let (items, _) = export(&storage, "s", "openai-responses").await;
    assert_eq!(
        items[1],
        json!({"type": "function_call", "call_id": "a1", "name": "f", "arguments": "{\"city\":\"Zürich\"}"})
    );
    assert_eq!(items[3], json!({"type": "function_call_output", "call_id": "a1", "output": "11.5"}));

    let (langchain, unplaced) = export(&storage, "s", "langchain").await;
    assert!(unplaced.is_empty());
    assert_eq!(langchain[0]["data"]["name"], "anna");
    assert_eq!(langchain[1]["data"]["tool_calls"][0]["args"], json!({"city": "Zürich"}));
    assert_eq!(langchain[3]["data"]["tool_call_id"], "a2");

    // And back again from each of them.
    for (format, out) in [("anthropic", anthropic), ("openai-responses", items), ("langchain", langchain)] {
        let other = Storage::open("memory:").await.unwrap();
        assert_eq!(import(&other, &out.to_string()).await.0, format);
        let (back, _) = export(&other, "s", "openai-chat").await;
        let said = |value: &Value| -> Vec<String> {
            let list = value.as_array().unwrap();
            let tools = list.iter().flat_map(|message| {
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                calls.into_iter().map(|call| format!("{} {}", call["id"], call["function"]))
            });
            let answers = list.iter().filter(|message| message["role"] == "tool");
            tools.chain(answers.map(|answer| format!("{} {}", answer["tool_call_id"], answer["content"]))).collect()
        };
        assert_eq!(said(&back), said(&chat), "through {format}");
    }
}

#[tokio::test]
async fn what_a_format_has_no_place_for_is_told() {
    let Some(text) = shared("formats/openai_responses_items.json") else { return };
    let storage = Storage::open("memory:").await.unwrap();
    import(&storage, &text).await;
    let (chat, unplaced) = export(&storage, "s", "openai-chat").await;
    let unplaced: Vec<_> = unplaced.iter().collect();
    assert_eq!(unplaced, [("encrypted_content", 1), ("reasoning", 1)]);
    assert!(chat.as_array().unwrap().iter().any(|message| message["tool_calls"][0]["id"] == "call_a1"));
    let (markdown, _) = export(&storage, "s", "markdown").await;
    assert!(markdown.as_str().unwrap().contains("calls get_temp"));
    // It is still there in the store.
    assert_eq!(export(&storage, "s", "openai-responses").await.0, serde_json::from_str::<Value>(&text).unwrap());
}

#[tokio::test]
async fn every_branch_of_a_chatgpt_export_is_read_and_linked() {
    let Some(text) = shared("formats/chatgpt_export_branch.json") else { return };
    for store in stores().await {
        let (format, report, errors) = import(&store.storage, &text).await;
        assert_eq!((format, report.sessions, report.messages, errors.len()), ("chatgpt", 1, 6, 0));
        let messages = store.storage.load_conversation("conv-123").await.unwrap();
        let ids: Vec<_> = messages.iter().map(|message| message.metadata["chatgpt"]["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["msg-1", "msg-2", "msg-3", "msg-4", "msg-5", "msg-6"]);
        let parent = |index: usize| messages.iter().position(|other| Some(other.id) == messages[index].parent);
        assert_eq!([0, 1, 2, 3, 4, 5].map(parent), [None, Some(0), Some(1), Some(2), Some(2), Some(3)]);
        assert_eq!(messages[1].text(), Some("Hello! Can you help me with a programming question?"));
        assert_eq!(messages[1].created_at.as_ref().unwrap().to_string(), "2024-01-01T00:01:40Z");
        let metadata = store.storage.metadata("conv-123").await.unwrap();
        assert_eq!(metadata["title"], "Sample conversation with branch");
        assert_eq!(metadata["chatgpt"]["current_node"], "msg-6");
        assert_eq!(import(&store.storage, &text).await.1.applied, 0);
    }
}

#[tokio::test]
async fn an_export_of_claude_is_read() {
    let text = json!([{"uuid": "c", "name": "t", "created_at": "2026-08-01T10:00:00Z", "chat_messages": [
        {"uuid": "m1", "sender": "human", "text": "Prove it.", "created_at": "2026-08-01T10:00:01.5Z", "content": []},
        {"uuid": "m2", "sender": "assistant", "text": "cut", "parent_message_uuid": "m1", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Done."}]}]}]);
    let storage = Storage::open("memory:").await.unwrap();
    let (format, report, _) = import(&storage, &text.to_string()).await;
    assert_eq!((format, report.messages), ("claude", 2));
    let messages = storage.load_conversation("c").await.unwrap();
    assert_eq!(messages[0].text(), Some("Prove it."));
    assert_eq!(messages[1].parent, Some(messages[0].id));
    assert_eq!(messages[1].metadata["claude"]["text"], "cut", "the text that disagrees is kept");
    let (chat, _) = export(&storage, "c", "openai-chat").await;
    assert_eq!(chat[1]["content"], "Done.");
    if let Some(text) = shared("formats/claude_export.json") {
        assert_eq!(import(&storage, &text).await.0, "claude");
        assert_eq!(
            storage.load_conversation("origin-matrix-claude-ai").await.unwrap()[0].text(),
            Some("Prove the parser claim.")
        );
    }
}

/// Every conversation, through every store, as lines and as Chat Completions.
#[tokio::test]
async fn real_conversations_come_out_unchanged() {
    for name in ["taubench_airline", "naughty_strings", "oasst_trees", "crosswoz_zh", "xpersona_ja"] {
        let Some(text) = shared(&format!("conversations/{name}.jsonl")) else { return };
        let storage = Storage::open("memory:").await.unwrap();
        let (format, report, errors) = import(&storage, &text).await;
        assert_eq!((format, errors), ("conversations", Vec::new()));
        assert_eq!(report.sessions as usize, text.lines().count());
        for line in text.lines() {
            let given: Value = serde_json::from_str(line).unwrap();
            let session = given["session_id"].as_str().unwrap();
            assert_eq!(export(&storage, session, "conversations").await.0, given);
            let chat = export(&storage, session, "openai-chat").await.0;
            assert_eq!(chat, given["messages"], "{session}");
        }
        assert_eq!(import(&storage, &text).await.1.applied, 0);
    }
}

#[tokio::test]
async fn a_broken_message_is_named_and_the_rest_goes_in() {
    let (good, torn) = (r#"{"role":"user","content":"good"}"#, r#"{"role":"user","cont"#);
    for (broken, why) in [
        (r#"{"role":"user","content":"\ud800"}"#, "not JSON"),
        (r#"{"role":"user","content":NaN}"#, "not JSON"),
        (r#"{"role":"user","content":1e999}"#, "exactly"),
        (r#"{"role":"user","content":1,"content":2}"#, "same key twice"),
        (r#"{"content":"no role"}"#, "missing"),
        ("7", "object"),
    ] {
        let storage = Storage::open("memory:").await.unwrap();
        let last = r#"{"role":"user","content":"last"}"#;
        let text = format!("[{good},\n{broken},\n{last}]");
        let (_, report, errors) = import(&storage, &text).await;
        assert_eq!((report.messages, report.failed), (2, 1), "{broken}: {errors:?}");
        assert!(errors[0].starts_with("2: ") && errors[0].contains(why), "{broken}: {errors:?}");
        // When it has been mended, the others are known.
        let (_, report, _) = import(&storage, &format!("[{good},\n{good},\n{last}]")).await;
        assert_eq!((report.applied, report.known), (1, 2), "{broken}");
    }
    let storage = Storage::open("memory:").await.unwrap();
    let (_, report, errors) = import(&storage, &format!("[{good},\n{torn}")).await;
    assert_eq!((report.messages, report.failed), (1, 1));
    assert!(errors[0].contains("ends too early"), "{errors:?}");
}

#[tokio::test]
async fn invalid_utf8_is_named_and_the_rest_goes_in() {
    let storage = Storage::open("memory:").await.unwrap();
    let bytes = b"[{\"role\":\"user\",\"content\":\"a\"},\n{\"role\":\"user\",\"content\":\"\xff\"}]".to_vec();
    let mut source = Source::reader(std::io::Cursor::new(bytes)).with_session(Some(SessionId::new("s").unwrap()));
    let format = formats::detect(&source.sample()).unwrap();
    let mut errors = Vec::new();
    let entries = format.read(source).unwrap();
    let mut failed = |line: u64, error: &craftx::Error| errors.push((line, error.to_string()));
    let report = formats::import(&storage, entries, &ImportOptions::new(), &mut failed).await.unwrap();
    assert_eq!(report.messages, 1);
    assert!(errors[0].0 == 2 && errors[0].1.contains("not UTF-8"), "{errors:?}");
}

#[tokio::test]
async fn equal_times_and_times_that_run_backwards_keep_the_order_of_the_file() {
    let text = json!({"session_id": "s", "messages": [
        {"role": "user", "content": "1", "created_at": "2026-01-02T00:00:00Z"},
        {"role": "user", "content": "2", "created_at": "2026-01-01T00:00:00Z"},
        {"role": "user", "content": "3"},
        {"role": "user", "content": "4", "created_at": "2026-01-02T00:00:00Z"}]});
    let storage = Storage::open("memory:").await.unwrap();
    import(&storage, &text.to_string()).await;
    let messages = storage.load_conversation("s").await.unwrap();
    let said: Vec<_> = messages.iter().map(|message| message.text().unwrap()).collect();
    assert_eq!(said, ["1", "2", "3", "4"]);
}

#[test]
fn a_format_that_does_not_exist_names_the_nearest() {
    let error = formats::named("sharegtp").unwrap_err();
    assert_eq!(error.get("nearest"), Some("`sharegpt`"));
}

#[tokio::test]
async fn metadata_never_takes_the_place_of_what_was_said() {
    let storage = Storage::open("memory:").await.unwrap();
    let message = craftx::NewMessage::user("real").metadata("content", "fake").metadata("role", "assistant");
    storage.append("s", message).await.unwrap();
    storage.set_metadata("s", "session_id", "other").await.unwrap();
    for format in ["conversations", "openai-chat"] {
        let (out, unplaced) = export(&storage, "s", format).await;
        let messages = out.get("messages").unwrap_or(&out);
        assert_eq!((&messages[0]["content"], &messages[0]["role"]), (&json!("real"), &json!("user")), "{format}");
        assert!(unplaced.iter().any(|(what, _)| what == "content"), "{format}: {unplaced:?}");
    }
    assert_eq!(export(&storage, "s", "conversations").await.0["session_id"], "s");
}

#[tokio::test]
async fn a_recording_is_a_part_of_chat_completions_too() {
    let text = json!([
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]);
    round_trip("openai-chat", &text.to_string(), "s").await;
}

/// Calls, their answers, and what is said stay in their order, whichever format had them in one message.
#[tokio::test]
async fn the_order_within_a_message_is_kept() {
    let storage = Storage::open("memory:").await.unwrap();
    let blocks = json!({"system": "x", "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "u1", "name": "f", "input": {}},
            {"type": "tool_result", "tool_use_id": "u1", "content": "ok"}, {"type": "text", "text": "so"}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "u2", "content": "late"}, {"type": "text", "text": "and now?"}]}]});
    import(&storage, &blocks.to_string()).await;
    let (chat, _) = export(&storage, "s", "openai-chat").await;
    let roles: Vec<_> = chat.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant", "tool", "user"]);
    let (sharegpt, _) = export(&storage, "s", "sharegpt").await;
    let from: Vec<_> =
        sharegpt["conversations"].as_array().unwrap().iter().map(|value| value["from"].as_str().unwrap()).collect();
    assert_eq!(from, ["system", "human", "function_call", "observation", "gpt", "observation", "human"]);
}

#[tokio::test]
async fn calls_that_follow_each_other_are_one_message_and_none_is_empty() {
    let Some(text) = shared("formats/openai_responses_items.json") else { return };
    let storage = Storage::open("memory:").await.unwrap();
    import(&storage, &text).await;
    let (chat, _) = export(&storage, "s", "openai-chat").await;
    let roles: Vec<_> = chat.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["developer", "user", "assistant", "tool", "tool", "assistant"]);
    assert_eq!(chat[2]["tool_calls"].as_array().unwrap().len(), 2);
    let (anthropic, _) = export(&storage, "s", "anthropic").await;
    assert!(anthropic["messages"].as_array().unwrap().iter().all(|message| message["content"] != json!([])));
}

#[tokio::test]
async fn calls_without_an_id_get_one_and_their_answers_the_same() {
    let Some(text) = shared("formats/sharegpt.json") else { return };
    let storage = Storage::open("memory:").await.unwrap();
    import(&storage, &text).await;
    let (chat, _) = export(&storage, "sg_0", "openai-chat").await;
    assert_eq!(chat[2]["tool_calls"][0]["id"], "call_1");
    assert_eq!(chat[3]["tool_call_id"], "call_1");
}

#[tokio::test]
async fn branches_that_a_format_cannot_show_are_told() {
    let Some(text) = shared("formats/chatgpt_export_branch.json") else { return };
    let storage = Storage::open("memory:").await.unwrap();
    import(&storage, &text).await;
    for format in ["openai-chat", "anthropic", "langchain", "sharegpt", "openai-responses"] {
        let (_, unplaced) = export(&storage, "conv-123", format).await;
        assert!(unplaced.iter().any(|found| found == ("parent", 2)), "{format}: {unplaced:?}");
    }
}

#[tokio::test]
async fn restamped_messages_keep_their_parents() {
    let Some(text) = shared("formats/chatgpt_export_branch.json") else { return };
    let storage = Storage::open("memory:").await.unwrap();
    let source = Source::reader(std::io::Cursor::new(text.into_bytes()));
    let entries = formats::named("chatgpt").unwrap().read(source).unwrap();
    let options = ImportOptions::new().restamp(true);
    formats::import(&storage, entries, &options, &mut |_, error| panic!("{error}")).await.unwrap();
    let messages = storage.load_conversation("conv-123").await.unwrap();
    let parent = |index: usize| messages.iter().position(|other| Some(other.id) == messages[index].parent);
    assert_eq!([0, 1, 2, 3, 4, 5].map(parent), [None, Some(0), Some(1), Some(2), Some(2), Some(3)]);
}

#[tokio::test]
async fn nodes_that_stand_before_their_parents_come_after_them() {
    let node = |id: &str, parent: Option<&str>| {
        json!({"id": id, "parent": parent, "children": [], "message": {
        "author": {"role": "user"}, "content": {"content_type": "text", "parts": [id]}}})
    };
    let order = [("d", Some("b")), ("c", Some("b")), ("b", Some("a")), ("a", None), ("e", Some("nowhere"))];
    let mapping: serde_json::Map<String, Value> =
        order.into_iter().map(|(id, parent)| (id.to_owned(), node(id, parent))).collect();
    let storage = Storage::open("memory:").await.unwrap();
    import(&storage, &json!([{"conversation_id": "s", "mapping": mapping}]).to_string()).await;
    let messages = storage.load_conversation("s").await.unwrap();
    let said: Vec<_> = messages.iter().map(|message| message.text().unwrap()).collect();
    assert_eq!(said, ["a", "b", "d", "c", "e"]);
    assert_eq!([messages[2].parent, messages[3].parent], [Some(messages[1].id); 2]);
}

#[tokio::test]
async fn nodes_that_go_in_a_circle_are_messages_all_the_same_and_known_the_second_time() {
    let node = |id: &str, parent: &str| {
        json!({"id": id, "parent": parent, "children": [], "message": {
        "author": {"role": "user"}, "content": {"content_type": "text", "parts": [id]}}})
    };
    let mapping: serde_json::Map<String, Value> = [("a", "e"), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")]
        .into_iter()
        .map(|(id, parent)| (id.to_owned(), node(id, parent)))
        .collect();
    let text = json!([{"conversation_id": "s", "title": "t", "mapping": mapping}]).to_string();
    let storage = Storage::open("memory:").await.unwrap();
    assert_eq!(import(&storage, &text).await.1.messages, 5);
    for _ in 0..8 {
        assert_eq!(import(&storage, &text).await.1.applied, 0);
    }
}
