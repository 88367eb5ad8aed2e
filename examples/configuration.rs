//! Chooses a store by profile, file and code, and tells which source won.
//!
//! ```text
//! profile from `…/craftx.toml:1`
//! backend from built-in profile `production_sqlite`
//! sqlite.path from code
//! sqlite.readers from `…/craftx.toml:4`
//! 1 message in `sqlite:`
//! configure: there is no such key, key: `sqlite.reader`, nearest: `readers`, source: code
//! for 500 sessions and 1 GB: production_sqlite
//! ```

use craftx::{Config, NewMessage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("craftx.toml");
    std::fs::write(&file, "profile = 'production_sqlite'\n\n[sqlite]\nreaders = 2\n")?;

    // `Config::from_env()` would look at the environment too, and `Storage::from_env()` opens what it says.
    let path = folder.path().join("chat.db").display().to_string();
    let config = Config::new().file(&file).set("sqlite.path", path);
    for setting in config.origins()? {
        let origin = setting.origin.to_string();
        println!("{} from {}", setting.key, origin.replace(&folder.path().display().to_string(), "…"));
    }
    let storage = config.open().await?;
    storage.append("chat", NewMessage::user("Hello")).await?;
    println!("{} message in `{}:`", storage.last("chat", 9).await?.len(), storage.status().await?.scheme);
    storage.close().await?;

    // Nothing is ignored silently.
    if let Err(error) = Config::new().profile("production_sqlite").set("sqlite.reader", 4).check() {
        println!("{error}");
    }
    println!("for 500 sessions and 1 GB: {}", craftx::recommend(500, 1_000_000_000).profile);
    Ok(())
}
