//! Deletes a message, clears and deletes sessions, and erases the bytes from the disk.
//!
//! ```text
//! the secret is in the store: true
//! after the deletion, messages: 1
//! after the compaction, the secret is in the store: false
//! a cleared session keeps its title: "Numbers"
//! a deleted session is not an empty one: there is no such session
//! ```

use std::path::Path;

use craftx::{Compact, NewMessage, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let storage = Storage::open(&format!("sqlite:{}", folder.path().join("craftx.db").display())).await?;
    storage.append("chat", NewMessage::user("Remember this number.")).await?;
    let secret = storage.append("chat", NewMessage::user("It is hunter2.")).await?;
    storage.set_metadata("chat", "title", "Numbers").await?;
    println!("the secret is in the store: {}", is_stored(folder.path(), b"hunter2")?);

    // A deletion is a record: a late retry or an old copy cannot bring the message back.
    storage.delete_message("chat", secret.id).await?;
    println!("after the deletion, messages: {}", storage.load_conversation("chat").await?.len());
    // From here on its bytes are in no file of the store.
    storage.compact(&Compact::new()).await?;
    println!("after the compaction, the secret is in the store: {}", is_stored(folder.path(), b"hunter2")?);

    storage.clear("chat").await?;
    let title = storage.metadata("chat").await?.remove("title").unwrap_or_default();
    println!("a cleared session keeps its title: {title}");
    storage.delete_session("chat").await?;
    match storage.load_conversation("chat").await {
        Ok(_) => println!("it is still there"),
        Err(error) => println!("a deleted session is not an empty one: {}", error.message()),
    }
    storage.close().await?;
    Ok(())
}

/// Whether any file of the folder holds the bytes.
fn is_stored(folder: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    for entry in folder.read_dir()? {
        let file = std::fs::read(entry?.path())?;
        if file.windows(bytes.len()).any(|window| window == bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}
