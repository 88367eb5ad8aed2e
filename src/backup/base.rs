//! The archive that an increment builds on: up to where each session was read.

use std::cmp::Ordering;

use craftx_core::{Cursor, Error, Result, SessionId, Tenant};

use super::archive::Archive;
use super::format::{About, Begin};
use super::reader::{Item, Reader};
use super::verify::check;

/// Read beside the store, in the same order, so that no cursor is kept in memory.
pub(super) struct Base {
    archive: Archive,
    reader: Reader,
    pub(super) digest: String,
    /// The session that the archive has come to, and its cursor.
    next: Option<(Begin, Option<Cursor>)>,
}

impl Base {
    /// Checks the whole archive first, and that the store which `about` tells of is the one that it was made of.
    pub(super) async fn open(archive: &Archive, about: &About) -> Result<Self> {
        let checked = check(archive, None).await?;
        if checked.about.store != about.store {
            return Err(Error::invalid("since", "the archive is a backup of another store")
                .with("archive", format!("`{archive}`"))
                .with("backup_of", &checked.about.store)
                .with("store", &about.store));
        }
        if about.position < checked.about.position {
            return Err(Error::invalid(
                "since",
                "the store was set back since the archive was written; back up all of it",
            )
            .with("archive", format!("`{archive}`")));
        }
        let reader = Reader::open(archive).await?;
        let mut base = Self { archive: archive.clone(), reader, digest: checked.digest, next: None };
        base.advance().await?;
        Ok(base)
    }

    /// Up to where a session was read; `None` if it was not, or not to its end. To be asked in order.
    pub(super) async fn cursor(&mut self, tenant: &Tenant, session: &SessionId) -> Result<Option<Cursor>> {
        let wanted = (tenant.as_str(), session.as_str());
        while let Some((begin, cursor)) = &self.next {
            match (begin.tenant.as_str(), begin.session.as_str()).cmp(&wanted) {
                Ordering::Less => self.advance().await?,
                Ordering::Equal => return Ok(cursor.clone()),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    async fn advance(&mut self) -> Result<()> {
        let mut begun = None;
        loop {
            match self.reader.next().await.map_err(|error| self.archive.name(error))? {
                Item::Begin(begin) => begun = Some(begin),
                Item::Record(_) => {}
                Item::End(end) => {
                    self.next = begun.map(|begin| (begin, end.cursor));
                    return Ok(());
                }
                Item::Done(..) => {
                    self.next = None;
                    return Ok(());
                }
            }
        }
    }
}
