//! The keyring: making it, listing its keys, and letting go of those that nothing needs any more.

use std::path::Path;

use craftx::encrypt_layer::{KeyInfo, KeyState, Keyring, KeyringSource};
use craftx::{Error, ErrorKind};
use jiff::Timestamp;
use serde_json::json;

use super::Opened;
use crate::args::{KeysDestroy, KeysNew, KeysRetire};
use crate::ask;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};

pub(crate) fn new(global: &Global, new: &KeysNew) -> Result<Exit, Failure> {
    let file = &new.file;
    let there = file.try_exists().map_err(|error| Failure::file(file.display().to_string(), error))?;
    let (id, keys) = if there {
        Keyring::change(file, |keyring| {
            let id = new.id.clone().unwrap_or_else(|| free_id(keyring));
            keyring.add(id.as_str())?;
            Ok((id, keyring.keys().collect::<Vec<_>>()))
        })?
    } else {
        let id = new.id.clone().unwrap_or_else(today);
        let keyring = Keyring::generate(id.as_str())?;
        keyring.create(file)?;
        (id, keyring.keys().collect())
    };
    output::say(match there {
        false => "back it up, apart from the store and from its data keys: without it nothing can be read",
        true => "back it up; from now on it wraps what is new, and `craftx keys rotate` wraps the rest",
    });
    let mut out = Out::new();
    if global.json {
        out.object(json!({"file": file, "made": !there, "id": id, "keys": keys}))?;
    } else {
        print(&mut out, &keys)?;
    }
    out.finish()?;
    Ok(Exit::Ok)
}

/// The date in UTC.
fn today() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// The date, with a number if there is a key of that name.
fn free_id(keyring: &Keyring) -> String {
    let (today, known) = (today(), keyring.keys().map(|key| key.id).collect::<Vec<_>>());
    let numbered = (2..).map(|number: u64| format!("{today}.{number}"));
    std::iter::once(today.clone()).chain(numbered).find(|id| !known.contains(id)).unwrap_or(today)
}

pub(crate) async fn list(global: &Global) -> Result<Exit, Failure> {
    let opened = Opened::new(global, global.open_existing().await?);
    let keys = opened.layer()?.keys(&opened.cx).await?;
    opened.close().await?;
    let mut out = Out::new();
    match global.json {
        true => keys.iter().try_for_each(|key| out.object(json!({"id": key.id, "state": key.state})))?,
        false => print(&mut out, &keys)?,
    }
    out.finish()?;
    Ok(Exit::Ok)
}

pub(crate) async fn retire(global: &Global, retire: &KeysRetire) -> Result<Exit, Failure> {
    let opened = Opened::new(global, global.open_existing().await?);
    let file = unneeded(&opened, &retire.id).await?;
    let keys = Keyring::change(file, |keyring| {
        keyring.retire(&retire.id)?;
        Ok(keyring.keys().collect::<Vec<_>>())
    })?;
    changed(global, &opened, &retire.id, &keys).await
}

pub(crate) async fn destroy(global: &Global, destroy: &KeysDestroy) -> Result<Exit, Failure> {
    let opened = Opened::new(global, global.open_existing().await?);
    let file = unneeded(&opened, &destroy.id).await?;
    // Nobody is asked for what will be refused.
    Keyring::read(file)?
        .destroy(&destroy.id)
        .map_err(|error| error.during("destroy the key").with("file", format_args!("`{}`", file.display())))?;
    let what = format!("the key {:?} is destroyed: whatever only it opens, such as an old backup, is lost", destroy.id);
    if !ask::agrees(global, destroy.yes, what).await? {
        return Ok(Exit::Interrupted);
    }
    let keys = Keyring::change(file, |keyring| {
        keyring.destroy(&destroy.id)?;
        Ok(keyring.keys().collect::<Vec<_>>())
    })?;
    changed(global, &opened, &destroy.id, &keys).await
}

/// The file of the keyring, if the store needs this key no more.
async fn unneeded<'a>(opened: &'a Opened, id: &str) -> Result<&'a Path, Error> {
    let layer = opened.layer()?;
    let status = layer.rotation_status(&opened.cx).await?;
    if let Some(key) = status.keys.iter().find(|key| key.id == id && key.data_keys > 0) {
        let error = Error::new(ErrorKind::Conflict, "the key still protects something");
        // Rotation wraps under the primary key, so that key itself needs another one first.
        let say = match key.state {
            Some(KeyState::Primary) => "`craftx keys new` to add a key, then `craftx keys rotate`",
            _ => "`craftx keys rotate`",
        };
        return Err(error
            .with("key", output::quoted(id))
            .with("data_keys", key.data_keys)
            .with("sessions", key.sessions)
            .with("say", say));
    }
    let file = layer.provider::<KeyringSource>().and_then(KeyringSource::path);
    file.ok_or_else(|| Error::unsupported("this: it is not in a file; change it where it is kept", "the keyring"))
}

async fn changed(global: &Global, opened: &Opened, id: &str, keys: &[KeyInfo]) -> Result<Exit, Failure> {
    opened.close().await?;
    let mut out = Out::new();
    match global.json {
        true => out.object(json!({"id": id, "keys": keys}))?,
        false => print(&mut out, keys)?,
    }
    out.finish()?;
    Ok(Exit::Ok)
}

fn print(out: &mut Out, keys: &[KeyInfo]) -> Result<(), Failure> {
    keys.iter().try_for_each(|key| out.line(format_args!("{:<10} {}", key.state.as_str(), key.id)))
}
