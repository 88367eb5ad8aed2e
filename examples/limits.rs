//! Puts a stack together by hand, with other limits than the default ones.
//!
//! ```text
//! validate
//! memory (atomic_batch, compare_and_append, detects_conflict, sealed, recent_first, metadata_filter, scope, search)
//! write: is too large, field: record, limit_bytes: 1000, bytes: 2097, record: 0
//! stored: 0 messages
//! ```

use std::sync::Arc;

use craftx::{Limits, Memory, NewMessage, Prepare, Stack, Storage, Validate};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let mut limits = Limits::default();
    limits.max_record_bytes = 1_000;

    // Layers from the outside in. Nothing is opened before `prepare`.
    let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(Validate::new(limits)).build()?;
    println!("{}", stack.describe());
    let storage = Storage::new(stack);
    storage.prepare(Prepare::Migrate).await?;

    if let Err(error) = storage.append("chat", NewMessage::user("x".repeat(2_000))).await {
        println!("{error}");
    }
    println!("stored: {} messages", storage.history_or_empty("chat").await?.len());
    Ok(())
}
