//! Puts layers over a store by name: one that asks no more, one that tries again, one that gives up in time.
//!
//! ```text
//! validate
//! breaker
//! retry
//! timeout
//! memory (atomic_batch, compare_and_append, detects_conflict, sealed, recent_first, metadata_filter, scope, search)
//! stored: 1 message
//! ```

use craftx::{NewMessage, Prepare, StackConfig, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let layers = StackConfig::new("memory").layer("breaker").layer("retry").layer("timeout");
    // Each part has a table of options. In a file this is `[retry]` and `attempts = 5`.
    let config = layers.option("retry", "attempts", 5);
    let stack = craftx::builtin().build_stack(&config)?;

    // The order is checked: a time limit belongs around each try, and not around all of them.
    let wrong = StackConfig::new("memory").layer("timeout").layer("retry");
    match craftx::builtin().build_stack(&wrong) {
        Ok(_) => println!("any order will do"),
        Err(error) => println!("{error}"),
    }

    println!("{}", stack.describe());
    let storage = Storage::new(stack);
    storage.prepare(Prepare::Migrate).await?;
    storage.append("chat", NewMessage::user("Hello")).await?;
    println!("stored: {} message", storage.last("chat", 9).await?.len());
    Ok(())
}
