//! Appends messages to a conversation and reads them back, after the store was closed and opened again.
//!
//! ```text
//! user: What is a UUID?
//! assistant: 128 bits, unique.
//! 2 messages, the last one by assistant
//! ```

use craftx::{NewMessage, Storage, TryStreamExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("craftx.db").display());

    let storage = Storage::open(&url).await?;
    storage.append("chat-1", NewMessage::user("What is a UUID?")).await?;
    // When `append` returns, the message survives a crash and loss of power.
    storage.append("chat-1", NewMessage::assistant("128 bits, unique.").metadata("model", "demo")).await?;
    storage.close().await?;

    let storage = Storage::open_existing(&url).await?;
    // A stream, page by page: nothing has to fit into memory.
    let mut history = storage.history("chat-1");
    while let Some(message) = history.try_next().await? {
        println!("{}: {}", message.role, message.text().unwrap_or_default());
    }
    let last = storage.last("chat-1", 20).await?;
    println!("{} messages, the last one by {}", last.len(), last.last().map_or("nobody", |m| m.role.as_str()));
    storage.close().await?;
    Ok(())
}
