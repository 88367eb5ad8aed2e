//! Opens stores by a scheme of your own: the way in for plugins.
//!
//! ```text
//! team: 1 message
//! open: there is no scheme `tema`, nearest: `team`
//! open: there is no such key, key: `reader`, nearest: `readers`, scheme: `team`
//! ```

use std::sync::Arc;

use craftx::sqlite_backend::{Sqlite, SqliteConfig};
use craftx::{NewMessage, Prepare, Storage};

/// What stands in the URL, or in the table `[team]` of a configuration.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Team {
    path: String,
    #[serde(default = "two")]
    readers: u32,
}

fn two() -> u32 {
    2
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().to_owned();

    // A plugin brings a function that does this: `my_plugin::register(&mut registry)`.
    let mut registry = craftx::builtin();
    registry.register("team", move |part| {
        let team: Team = part.config()?;
        let config = SqliteConfig::new(root.join(team.path).with_extension("db")).readers(team.readers);
        Ok(Arc::new(Sqlite::new(config)?))
    });

    let storage = Storage::open_with(&registry, "team:support", Prepare::Migrate).await?;
    storage.append("chat", NewMessage::user("Hello")).await?;
    println!("team: {} message", storage.load_conversation("chat").await?.len());
    storage.close().await?;

    for wrong in ["tema:support", "team:support?reader=4"] {
        if let Err(error) = Storage::open_with(&registry, wrong, Prepare::Migrate).await {
            println!("{error}");
        }
    }
    Ok(())
}
