//! Moves all conversations from JSON files to SQLite, and does it again without harm.
//!
//! ```text
//! copied 3 records of 2 sessions
//! copied 0 records of 2 sessions
//! both stores are equal: true
//! ```

use craftx::{NewMessage, SessionQuery, Storage, TryStreamExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let old = Storage::open(&format!("json:{}", folder.path().join("chat_logs").display())).await?;
    old.append("first", NewMessage::user("Hello")).await?;
    old.append("first", NewMessage::assistant("Hi")).await?;
    old.append("second", NewMessage::user("Bye")).await?;

    let new = Storage::open(&format!("sqlite:{}", folder.path().join("craftx.db").display())).await?;
    // Interrupted half-way, or continued while the old store is still written? Run it again.
    for _ in 0..2 {
        let (mut sessions, mut records) = (0, 0);
        let mut all = old.all_sessions(SessionQuery::new());
        while let Some(session) = all.try_next().await? {
            records += old.copy_session(&session.id, &new).await?.applied.unwrap_or(0);
            sessions += 1;
        }
        println!("copied {records} records of {sessions} sessions");
    }
    let equal = old.load_conversation("first").await? == new.load_conversation("first").await?;
    println!("both stores are equal: {equal}");
    old.close().await?;
    new.close().await?;
    Ok(())
}
