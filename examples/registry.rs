//! Opens stores by a scheme of your own: the way in for plugins.
//!
//! ```text
//! team: 1 message
//! open: there is no scheme `tema`, schemes: `json`, `memory`, `sqlite`, `team`
//! ```

use std::sync::Arc;

use craftx::sqlite_backend::{Sqlite, SqliteConfig};
use craftx::{NewMessage, Prepare, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().to_owned();

    // A plugin brings a function that does this: `my_plugin::register(&mut registry)`.
    let mut registry = craftx::builtin();
    registry.register("team", move |location| {
        let config = SqliteConfig::new(root.join(location.path()).with_extension("db")).readers(2);
        Ok(Arc::new(Sqlite::new(config)?))
    });

    let storage = Storage::open_with(&registry, "team:support", Prepare::Migrate).await?;
    storage.append("chat", NewMessage::user("Hello")).await?;
    println!("team: {} message", storage.load_conversation("chat").await?.len());
    storage.close().await?;

    match Storage::open_with(&registry, "tema:support", Prepare::Migrate).await {
        Ok(_) => println!("there is such a scheme"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
