//! Shows what craftx does with conversations, in JSON files and in SQLite, and checks every result.
//!
//! `cargo run --example storage_demo`
//!
//! ```text
//! == And back again
//! the sessions after opening again: ["many", "only here", "talk", "名前"]
//! the sessions after opening again: ["many", "only here", "talk", "名前"]
//! everything was as it should be
//! ```
#![allow(clippy::expect_used, clippy::panic, reason = "an example stops at the first thing that is not as it says")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use craftx::{
    Budget, Conversation, ErrorKind, Expect, ManualClock, Message, NewMessage, Result, Storage, TryStreamExt,
    conversation_json,
};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().to_str().expect("a path of UTF-8");
    let json = Storage::open(&format!("json:{folder}/chat_logs")).await?;
    let sqlite = Storage::open(&format!("sqlite:{folder}/craftx.db")).await?;
    for (name, storage) in [("JSON files", &json), ("SQLite", &sqlite)] {
        println!("== {name}");
        talk(storage).await?;
        edit(storage).await?;
        compare(storage).await?;
        skew(storage).await?;
        unchanged(storage).await?;
        many(storage).await?;
    }
    println!("== From one to the other");
    copy(&json, &sqlite).await?;
    json.close().await?;
    sqlite.close().await?;
    println!("== And back again");
    reopen(&format!("json:{folder}/chat_logs")).await?;
    reopen(&format!("sqlite:{folder}/craftx.db")).await?;
    println!("everything was as it should be");
    Ok(())
}

async fn talk(storage: &Storage) -> Result<()> {
    storage.append("talk", NewMessage::user("What is a UUID?")).await?;
    storage.append("talk", NewMessage::assistant("128 bits, unique.").metadata("model", "demo")).await?;
    storage.save_conversation("talk", "Thanks!", "user", None).await?;
    let last = storage.last("talk", 2).await?;
    check("the last two messages, in order", texts(&last), ["128 bits, unique.", "Thanks!"]);
    let window = storage.window("talk", Budget::new().messages(1)).await?;
    check("a window of one message", texts(&window), ["Thanks!"]);
    Ok(())
}

async fn edit(storage: &Storage) -> Result<()> {
    let all = storage.load_conversation("talk").await?;
    let question = all.first().map(|message| message.id).expect("a message");
    storage.fork("talk", question, "another way").await?;
    storage.append("another way", NewMessage::assistant("A number.")).await?;
    check("a fork", texts(&storage.load_conversation("another way").await?), ["What is a UUID?", "A number."]);
    let popped = storage.pop("talk").await?;
    check("the popped message", popped.as_ref().and_then(Message::text), Some("Thanks!"));
    storage.set_metadata("another way", "title", "Numbers").await?;
    storage.clear("another way").await?;
    let title = storage.metadata("another way").await?.remove("title");
    check("a cleared session keeps its title", title, Some(json!("Numbers")));
    storage.delete_session("another way").await?;
    let gone = storage.load_conversation("another way").await.map_err(|error| error.kind());
    check("a deleted session is not an empty one", gone.err(), Some(ErrorKind::NotFound));
    Ok(())
}

async fn compare(storage: &Storage) -> Result<()> {
    let version = storage.session("talk").await?.map(|session| session.version).expect("a session");
    storage.append("talk", NewMessage::user("And a ULID?")).await?;
    let late = storage.append_expecting("talk", vec![NewMessage::assistant("Late")], Expect::Version(version)).await;
    check("an agent that was overtaken is told", late.map_err(|error| error.kind()).err(), Some(ErrorKind::Conflict));
    Ok(())
}

async fn skew(storage: &Storage) -> Result<()> {
    let an_hour_ago = ManualClock::new(SystemTime::now() - Duration::from_secs(3_600));
    let slow = Storage::new(storage.stack().clone()).with_clock(Arc::new(an_hour_ago));
    slow.append("talk", NewMessage::assistant("Sorts by time.")).await?;
    let last = storage.last("talk", 1).await?;
    check("an answer from a clock an hour behind comes last", texts(&last), ["Sorts by time."]);
    Ok(())
}

async fn unchanged(storage: &Storage) -> Result<()> {
    let line = r#"{"session_id":"名前","lang":"ja","messages":[{"id":"m0","role":"user","content":" \u0000 é "},
        {"id":"m1","role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"arguments":"{\"x\": 1.0}"}}]}]}"#;
    let conversation = Conversation::parse(line)?;
    let first = storage.import_conversation(&conversation).await?;
    let second = storage.import_conversation(&conversation).await?;
    check("an import, and the same once more", (first.applied, second.applied), (Some(3), Some(0)));
    let messages = storage.load_conversation("名前").await?;
    let out = conversation_json(&conversation.session, &storage.metadata("名前").await?, &messages);
    check("what went in came out", out, serde_json::from_str::<Value>(line).expect("JSON"));
    Ok(())
}

async fn many(storage: &Storage) -> Result<()> {
    let tasks = (0..20).map(|n| storage.append("many", NewMessage::user(n.to_string())));
    futures_util::future::try_join_all(tasks).await?;
    let stored: Vec<Message> = storage.history("many").try_collect().await?;
    check("twenty writers at once, messages stored", stored.len(), 20);
    Ok(())
}

async fn copy(from: &Storage, to: &Storage) -> Result<()> {
    from.append("only here", NewMessage::user("moved")).await?;
    let first = from.copy_session("only here", to).await?;
    let second = from.copy_session("only here", to).await?;
    check("records copied, and copied again", (first.applied, second.applied), (Some(1), Some(0)));
    let (here, there) = (from.load_conversation("only here").await?, to.load_conversation("only here").await?);
    check("both sides are equal", here == there, true);
    Ok(())
}

async fn reopen(url: &str) -> Result<()> {
    let storage = Storage::open_existing(url).await?;
    let names: Vec<String> = storage.list_sessions().await?.into_iter().map(|id| id.to_string()).collect();
    check("the sessions after opening again", names, ["many", "only here", "talk", "名前"]);
    storage.close().await
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::text).collect()
}

fn check<T: std::fmt::Debug + PartialEq<E>, E: std::fmt::Debug>(what: &str, found: T, expected: E) {
    if found != expected {
        panic!("{what}: found {found:?}, expected {expected:?}");
    }
    println!("{what}: {found:?}");
}
