//! Backs a store up into one checked archive, then what arrived since, and restores both into another medium.
//!
//! ```text
//! whole: 3 messages of 2 sessions
//! increment: 1 messages
//! restored and checked: 4 messages
//! a damaged archive is found: corrupted
//! ```

use craftx::backup::{Archive, Backup, Restore, verify};
use craftx::{Caller, NewMessage, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = |scheme: &str, name: &str| format!("{scheme}:{}", folder.path().join(name).display());
    // Backups are about the store as a whole, all tenants: only the system may make them.
    let store = Storage::open(&url("json", "chat_logs")).await?.for_caller(Caller::System);
    store.append("first", NewMessage::user("Hello")).await?;
    store.append("first", NewMessage::assistant("Hi")).await?;
    store.append("second", NewMessage::user("Bye")).await?;

    let whole = Archive::file(folder.path().join("whole.craftx"));
    let made = Backup::of(&store).write_to(&whole).await?;
    println!("whole: {} messages of {} sessions", made.counts.messages, made.counts.sessions);

    store.append("second", NewMessage::assistant("See you")).await?;
    let increment = Archive::file(folder.path().join("increment.craftx"));
    let made = Backup::of(&store).since(whole.clone()).write_to(&increment).await?;
    println!("increment: {} messages", made.counts.messages);

    let copy = Storage::open(&url("sqlite", "copy.db")).await?.for_caller(Caller::System);
    let mut messages = 0;
    for archive in [&whole, &increment] {
        // The first one into an empty store; what builds on it is merged.
        let restored = Restore::of(archive).merge(messages > 0).into_storage(&copy).await?;
        assert!(restored.verified.is_clean());
        messages += restored.archive.counts.messages;
    }
    println!("restored and checked: {messages} messages");

    let mut bytes = std::fs::read(folder.path().join("whole.craftx"))?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    std::fs::write(folder.path().join("whole.craftx"), bytes)?;
    if let Err(error) = verify(&whole).await {
        println!("a damaged archive is found: {}", error.kind().as_str());
    }
    store.close().await?;
    copy.close().await?;
    Ok(())
}
