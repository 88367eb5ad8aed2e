//! What a store itself says of its backups, so that every machine that opens it sees it: metadata of a session in a
//! tenant that is in no backup. Written through all layers, so that in an encrypted store it is ciphertext like the rest.

use std::collections::BTreeMap;

use craftx_core::{Context, Record, Result, SessionId, Tenant, Time, WriteOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::create::BackedUp;
use super::verify::CheckedArchive;
use super::walk::Walk;
use crate::Storage;
use crate::inventory::OF_BACKUP;

const SESSION: &str = "state";
const LAST: &str = "last";
const VERIFIED: &str = "verified";
/// Before the digest of an archive that was restored.
const RESTORED: &str = "restored.";

/// When a store was backed up, and a backup of it was checked, with success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct State {
    /// The last backup that has everything.
    pub last: Option<Moment>,
    /// The last archive of this store that was checked.
    pub verified: Option<Moment>,
}

/// When something was done with an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Moment {
    /// When: of a backup, when it began.
    pub time: Time,
    /// The digest of the archive.
    pub digest: String,
}

/// When a store was backed up last, and when a backup of it was checked last, as far as it was told.
///
/// The storage must be for the system.
///
/// # Errors
/// Those of the store.
///
/// # Cancel safety
/// May be dropped at any time.
pub async fn state(storage: &Storage) -> Result<State> {
    let walk = Walk::new(storage);
    Ok(State { last: moment(&walk, LAST).await?, verified: moment(&walk, VERIFIED).await? })
}

pub(super) async fn backed_up(walk: &Walk, done: &BackedUp) -> Result<()> {
    set(walk, LAST, &Moment { time: done.about.time.clone(), digest: done.digest.clone() }).await
}

pub(super) async fn verified(walk: &Walk, checked: &CheckedArchive) -> Result<()> {
    set(walk, VERIFIED, &now(walk, &checked.digest)?).await
}

/// The archive with this digest was restored into the store.
pub(super) async fn restored(walk: &Walk, digest: &str) -> Result<()> {
    set(walk, &format!("{RESTORED}{digest}"), &now(walk, digest)?).await
}

/// Whether the archive with this digest was restored into the store.
pub(super) async fn has_restored(walk: &Walk, digest: &str) -> Result<bool> {
    Ok(moment(walk, &format!("{RESTORED}{digest}")).await?.is_some())
}

fn now(walk: &Walk, digest: &str) -> Result<Moment> {
    let (cx, _) = place(walk)?;
    Ok(Moment { time: Time::try_from(cx.clock.wall())?, digest: digest.to_owned() })
}

/// The identity of the store is a part of the key: what is copied to another store says nothing of that one.
async fn key(walk: &Walk, what: &str) -> Result<String> {
    Ok(format!("{what}.{}", walk.status().await?.store))
}

async fn moment(walk: &Walk, what: &str) -> Result<Option<Moment>> {
    let (cx, session) = place(walk)?;
    let (key, found) = (key(walk, what).await?, walk.top.session(&cx, &session).await?);
    let value = found.as_ref().and_then(|found| found.metadata.get(&key)).cloned();
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

async fn set(walk: &Walk, what: &str, moment: &Moment) -> Result<()> {
    let (cx, session) = place(walk)?;
    let after = walk.top.session(&cx, &session).await?.map(|found| found.version);
    // A struct of texts always serialises.
    let value = serde_json::to_value(moment).unwrap_or(Value::Null);
    let set = BTreeMap::from([(key(walk, what).await?, Some(value))]);
    let record = Record::Session { stamp: cx.mint(after)?, set };
    walk.top.write(&cx, &session, &[record], &WriteOptions::fresh()).await.map(drop)
}

fn place(walk: &Walk) -> Result<(Context, SessionId)> {
    Ok((walk.context(&Tenant::new(OF_BACKUP)?), SessionId::new(SESSION)?))
}
