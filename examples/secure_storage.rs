//! Encrypts conversations and limits who reads them: owners and grants, keys that rotate, shredding that reaches every copy.
//!
//! ```text
//! eve reads it: not_found
//! bob reads it once it is granted: In the attic.
//! plaintext in any file: false
//! rotated: 3 data keys; the old key still protects 0
//! shredded: 1 data key, 4 steps, complete: true
//! ann reads the backup: key_unavailable
//! ann reads what was not shredded: Kept.
//! ```

use std::fs;
use std::path::Path;

use craftx::access::{Action, Grantee, Guard};
use craftx::encrypt_layer::{Encrypted, Keyring};
use craftx::{Caller, Error, ErrorKind, NewMessage, Prepare, Result, SessionId, StackConfig, Storage};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(failed)?;
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    // On the command line: `craftx keys new keyring.json`. Whoever loses it loses everything.
    let keyring = folder.path().join("keyring.json");
    Keyring::generate("2026-11")?.create(&keyring)?;
    let storage = open(&data, folder.path()).await?;
    let (ann, bob, eve) = (named(&storage, "ann"), named(&storage, "bob"), named(&storage, "eve"));
    ann.append("plans", NewMessage::user("In the attic.")).await?;
    ann.append("other", NewMessage::user("Kept.")).await?;

    println!("eve reads it: {}", read(&eve, "plans").await);
    let (guard, keys) = (handle::<Guard>(&storage)?, handle::<Encrypted>(&storage)?);
    let plans = SessionId::new("plans")?;
    guard.grant(&ann.context(), &plans, &Grantee::principal("bob")?, [Action::Read]).await?;
    println!("bob reads it once it is granted: {}", read(&bob, "plans").await);
    println!("plaintext in any file: {}", holds(folder.path(), b"In the attic.").map_err(failed)?);

    // A new key for what is new; then the rest is wrapped by it, and the old one can go.
    let system = storage.for_caller(Caller::System).context();
    Keyring::change(&keyring, |keyring| keyring.add("2027-11"))?;
    let rotated = keys.rotate(&system).await?;
    let status = keys.rotation_status(&system).await?;
    let needed: u64 = status.keys.iter().filter(|key| key.id == "2026-11").map(|key| key.data_keys).sum();
    println!("rotated: {} data keys; the old key still protects {needed}", rotated.rewrapped);
    if status.is_complete() {
        Keyring::change(&keyring, |keyring| keyring.retire("2026-11").and_then(|()| keyring.destroy("2026-11")))?;
    }

    // A backup of the data is not one of the keys: what is shredded is gone there too.
    copy(&data, &backup).map_err(failed)?;
    let receipt = keys.shred(&system, &plans).await?;
    let (count, steps) = (receipt.data_keys, receipt.steps.len());
    println!("shredded: {count} data key, {steps} steps, complete: {}", receipt.is_complete());
    storage.close().await?;
    let restored = open(&backup, folder.path()).await?;
    println!("ann reads the backup: {}", read(&named(&restored, "ann"), "plans").await);
    println!("ann reads what was not shredded: {}", read(&named(&restored, "ann"), "other").await);
    restored.close().await
}

/// In a file this is `layers = ["access", "encrypt"]`, `[[access.allow]]`, `[encrypt]` and so on.
async fn open(data: &Path, keys: &Path) -> Result<Storage> {
    let config = StackConfig::from_table(json!({
        "backend": "json",
        "json": { "path": data },
        "layers": ["access", "encrypt"],
        "access": { "allow": [{ "create": true }] },
        "encrypt": {
            "keyring": format!("file:{}", keys.join("keyring.json").display()),
            "keys": { "backend": "sqlite", "sqlite": { "path": keys.join("keys.db") } },
        },
    }))?;
    let storage = Storage::new(craftx::builtin().build_stack(&config)?);
    storage.prepare(Prepare::Migrate).await?;
    Ok(storage)
}

fn named(storage: &Storage, who: &str) -> Storage {
    storage.for_caller(Caller::principal(who, [""; 0]))
}

fn handle<B: craftx::Backend>(storage: &Storage) -> Result<&B> {
    storage.stack().find::<B>().ok_or_else(|| Error::new(ErrorKind::Unexpected, "the layer is not there"))
}

/// The last text of a session, or why it cannot be had.
async fn read(storage: &Storage, session: &str) -> String {
    match storage.last(session, 1).await {
        Ok(messages) => messages.first().and_then(|message| message.text()).unwrap_or("nothing").to_owned(),
        Err(error) => error.kind().as_str().to_owned(),
    }
}

/// Copies the files of a folder, as a backup does.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy(&path, &to)? } else { fs::copy(&path, &to).map(drop)? }
    }
    Ok(())
}

/// Whether any file in a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match path.is_dir() {
            true => holds(&path, bytes)?,
            false => fs::read(&path)?.windows(bytes.len()).any(|window| window == bytes),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn failed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "a file cannot be used").because(error)
}
