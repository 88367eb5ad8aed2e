//! The quick start of the README; it leaves its store, `craftx.db`, in the current folder.
//!
//! ```text
//! user: What is a UUID?
//! assistant: 128 bits, unique.
//! ```

use craftx::{NewMessage, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("sqlite:craftx.db").await?; // or "json:chat_logs"
    storage.append("chat-1", NewMessage::user("What is a UUID?")).await?;
    storage.append("chat-1", NewMessage::assistant("128 bits, unique.")).await?;
    for message in storage.last("chat-1", 20).await? {
        println!("{}: {}", message.role, message.text().unwrap_or_default());
    }
    storage.close().await
}
