//! Checking an archive by itself.

use craftx_core::{Record, Result};
use serde::Serialize;

use super::archive::Archive;
use super::format::{About, Counts};
use super::reader::{Item, Reader};
use super::state;
use super::walk::Walk;
use crate::Storage;

/// An archive that was read from its beginning to its end, and is what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckedArchive {
    /// Of what it is a backup.
    pub about: About,
    /// How much it holds.
    pub counts: Counts,
    /// The digest that it ends with, which names it.
    pub digest: String,
    /// Whether a message in it is not encrypted.
    pub plaintext: bool,
    /// Whether a message in it is ciphertext.
    pub ciphertext: bool,
}

/// Reads a whole archive and checks every count and digest in it. Needs no store.
///
/// # Errors
/// [`Corrupted`](crate::ErrorKind::Corrupted) saying where: the line, the byte of the archive, the session. What lies
/// before it is as it was written. [`SchemaTooNew`](crate::ErrorKind::SchemaTooNew) for an archive of a newer release,
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is no archive, and those of its place.
///
/// # Cancel safety
/// May be dropped at any time.
pub async fn verify(archive: &Archive) -> Result<CheckedArchive> {
    check(archive, None).await.map_err(|error| error.during("verify"))
}

/// As [`verify`]; after each session, `watch` is told how many bytes of the archive have been read.
///
/// # Errors
/// As [`verify`].
///
/// # Cancel safety
/// May be dropped at any time.
pub async fn verify_watched(archive: &Archive, watch: &(dyn Fn(u64) + Sync)) -> Result<CheckedArchive> {
    check(archive, Some(watch)).await.map_err(|error| error.during("verify"))
}

impl CheckedArchive {
    /// Lets the store say when an archive of it was checked, if it is the one that the archive was made of, and was
    /// opened with its encryption if it has one. Returns whether it was told.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn record(&self, storage: &Storage) -> Result<bool> {
        let walk = Walk::new(storage);
        let its_own = walk.status().await?.store.to_string() == self.about.store;
        // Nothing may be written in clear into a store that was opened without its encryption.
        let in_clear = (self.ciphertext || self.about.encrypted) && !walk.encrypted;
        if !its_own || in_clear || self.counts.failed > 0 {
            return Ok(false);
        }
        state::verified(&walk, self).await.map(|()| true)
    }
}

pub(super) async fn check(archive: &Archive, watch: Option<&(dyn Fn(u64) + Sync)>) -> Result<CheckedArchive> {
    let mut reader = Reader::open(archive).await?;
    let about = reader.about.clone();
    let (mut plaintext, mut ciphertext) = (false, false);
    loop {
        match reader.next().await.map_err(|error| archive.name(error))? {
            Item::Begin(_) => {}
            Item::Record(Record::Message(message)) => {
                plaintext |= message.sealed.is_none();
                ciphertext |= message.sealed.is_some();
            }
            Item::Record(_) => {}
            Item::End(_) => {
                if let Some(watch) = watch {
                    watch(reader.at());
                }
            }
            Item::Done(counts, digest) => {
                return Ok(CheckedArchive { about, counts, digest, plaintext, ciphertext });
            }
        }
    }
}
