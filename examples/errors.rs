//! Tells what an error means for the program: its kind, what is known of the write, whether a retry can help.
//!
//! ```text
//! load: there is no such session, session: `nobody` (not_found, retry: Never)
//! asked for an empty history instead: 0 messages
//! write: the deadline has passed (timeout, outcome: NotApplied, retry: Later)
//! written twice, stored once: 1
//! ```

use std::time::Duration;

use craftx::{NewMessage, Storage, StreamExt, TryStreamExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("memory:").await?;
    if let Err(error) = storage.last("nobody", 20).await {
        println!("{error} ({}, retry: {:?})", error.kind().as_str(), error.retry());
    }
    println!("asked for an empty history instead: {} messages", storage.history_or_empty("nobody").await?.len());

    // Every call has a deadline: 30 seconds unless you say otherwise.
    let message = storage.append("chat", NewMessage::user("Hello")).await?;
    let hasty = storage.with_timeout(Some(Duration::ZERO));
    if let Err(error) = hasty.append("chat", NewMessage::user("Too late")).await {
        let (kind, outcome, retry) = (error.kind().as_str(), error.outcome(), error.retry());
        println!("{error} ({kind}, outcome: {outcome:?}, retry: {retry:?})");
    }

    // An outcome that is unknown is no trouble: write the same records again, a union cannot double them.
    let session = craftx::SessionId::new("chat")?;
    let records: Vec<_> = storage.records(&session).try_collect().await?;
    let again = futures_util::stream::iter(records).map(Ok);
    storage.import_records(&session, again).await?;
    let stored = storage.load_conversation("chat").await?;
    println!("written twice, stored once: {}", stored.iter().filter(|found| found.id == message.id).count());
    Ok(())
}
