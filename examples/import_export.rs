//! Imports conversations of another program, twice, and writes them out unchanged.
//!
//! ```text
//! imported 3 records, then 0
//! the same JSON came out: true
//! restored 3 records elsewhere, both stores are equal: true
//! ```

use craftx::{Conversation, Storage, conversation_json};
use serde_json::Value;

/// One line of a file of conversations. Unknown fields and the spelling of arguments are kept.
const LINE: &str = r#"{"session_id": "a", "lang": "en", "messages": [
    {"id": "m0", "role": "user", "content": "What is 6 x 7?"},
    {"id": "m1", "role": "assistant", "content": null,
     "tool_calls": [{"id": "c", "function": {"name": "times", "arguments": "{\"x\": 6.0, \"y\":7}"}}]}]}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Storage::open("memory:").await?;
    let conversation = Conversation::parse(LINE)?;
    let first = storage.import_conversation(&conversation).await?;
    // The stamps follow from what each message is and where it stands, so doing it again changes nothing.
    let second = storage.import_conversation(&conversation).await?;
    println!("imported {} records, then {}", first.applied.unwrap_or(0), second.applied.unwrap_or(0));

    let (metadata, messages) = (storage.metadata("a").await?, storage.load_conversation("a").await?);
    let exported = conversation_json(&conversation.session, &metadata, &messages);
    println!("the same JSON came out: {}", exported == serde_json::from_str::<Value>(LINE)?);

    // Records are everything there is to know of a session, deletions included: a backup is made of them.
    let elsewhere = Storage::open("memory:").await?;
    let restored = elsewhere.import_records(&conversation.session, storage.records(&conversation.session)).await?;
    let equal = elsewhere.load_conversation("a").await? == messages;
    println!("restored {} records elsewhere, both stores are equal: {equal}", restored.applied.unwrap_or(0));
    Ok(())
}
