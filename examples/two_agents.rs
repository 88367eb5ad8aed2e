//! Two agents answer the same message; the one that was overtaken is told, reads, and tries again.
//!
//! ```text
//! the second agent: conflict
//! the second agent has read: The lamp is on. Switch it off?
//! user, first, second
//! ```

use craftx::{ErrorKind, Expect, Message, NewMessage, Stamp, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("memory:").await?;
    storage.append("home", NewMessage::user("It is dark.")).await?;
    // Both have seen the same state of the session.
    let seen = version(&storage).await?;
    let say = |name: &'static str, text: &'static str| vec![NewMessage::assistant(text).metadata("agent", name)];

    let first = say("first", "The lamp is on. Switch it off?");
    storage.append_expecting("home", first, Expect::Version(seen)).await?;
    let second = say("second", "I switch the lamp on.");
    match storage.append_expecting("home", second, Expect::Version(seen)).await {
        Err(error) if error.kind() == ErrorKind::Conflict => println!("the second agent: {}", error.kind().as_str()),
        other => println!("this should not happen: {other:?}"),
    }

    let last = storage.last("home", 1).await?;
    println!("the second agent has read: {}", last.first().and_then(Message::text).unwrap_or_default());
    let again = say("second", "Leave it on.");
    storage.append_expecting("home", again, Expect::Version(version(&storage).await?)).await?;
    let all = storage.load_conversation("home").await?;
    let who = all.iter().map(|message| message.metadata.get("agent").and_then(|name| name.as_str()).unwrap_or("user"));
    println!("{}", who.collect::<Vec<_>>().join(", "));
    Ok(())
}

/// Grows with every write to the session, deletions included.
async fn version(storage: &Storage) -> craftx::Result<Stamp> {
    Ok(storage.session("home").await?.map_or(Stamp::MIN, |session| session.version))
}
