//! What a store itself says of its backups, so that every machine that opens it sees it: metadata of a session in a
//! tenant that is in no backup.

use std::collections::BTreeMap;

use craftx_core::{Context, Record, Result, SessionId, Tenant, Time, WriteOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::create::BackedUp;
use super::verify::CheckedArchive;
use super::walk::{OURS, Walk};
use crate::Storage;

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
    let (cx, session) = place(&walk)?;
    let Some(found) = walk.backend.session(&cx, &session).await? else { return Ok(State::default()) };
    let moment = |key: &str| found.metadata.get(key).cloned().and_then(|value| serde_json::from_value(value).ok());
    Ok(State { last: moment(LAST), verified: moment(VERIFIED) })
}

pub(super) async fn backed_up(walk: &Walk, done: &BackedUp) -> Result<()> {
    set(walk, LAST, &Moment { time: done.about.time.clone(), digest: done.digest.clone() }).await
}

pub(super) async fn verified(walk: &Walk, checked: &CheckedArchive) -> Result<()> {
    let (cx, _) = place(walk)?;
    set(walk, VERIFIED, &Moment { time: Time::try_from(cx.clock.wall())?, digest: checked.digest.clone() }).await
}

/// The archive with this digest was restored into the store.
pub(super) async fn restored(walk: &Walk, digest: &str) -> Result<()> {
    let (cx, _) = place(walk)?;
    let moment = Moment { time: Time::try_from(cx.clock.wall())?, digest: digest.to_owned() };
    set(walk, &format!("{RESTORED}{digest}"), &moment).await
}

/// Whether the archive with this digest was restored into the store.
pub(super) async fn has_restored(walk: &Walk, digest: &str) -> Result<bool> {
    let (cx, session) = place(walk)?;
    let found = walk.backend.session(&cx, &session).await?;
    Ok(found.is_some_and(|found| found.metadata.get(&format!("{RESTORED}{digest}")).is_some()))
}

async fn set(walk: &Walk, key: &str, moment: &Moment) -> Result<()> {
    let (cx, session) = place(walk)?;
    let after = walk.backend.session(&cx, &session).await?.map(|found| found.version);
    // A struct of texts always serialises.
    let value = serde_json::to_value(moment).unwrap_or(Value::Null);
    let record = Record::Session { stamp: cx.mint(after)?, set: BTreeMap::from([(key.to_owned(), Some(value))]) };
    walk.backend.write(&cx, &session, &[record], &WriteOptions::fresh()).await.map(drop)
}

fn place(walk: &Walk) -> Result<(Context, SessionId)> {
    Ok((walk.context(&Tenant::new(OURS)?), SessionId::new(SESSION)?))
}
