//! The metadata of a session.

use std::collections::BTreeMap;

use craftx_core::{Expect, Metadata, Record, Result, SessionId, Stamp, WriteOptions};
use serde_json::Value;

use super::Storage;

impl Storage {
    /// The metadata of a session; empty if it has none or does not exist.
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn metadata(&self, session: impl AsRef<str>) -> Result<Metadata> {
        Ok(self.session(session).await?.map(|found| found.metadata).unwrap_or_default())
    }

    /// Sets one key of a session's metadata, and makes the session if it does not exist.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a key or a value beyond the [limits](crate::Limits).
    pub async fn set_metadata(
        &self,
        session: impl AsRef<str>,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Stamp> {
        let patch = BTreeMap::from([(key.into(), Some(value.into()))]);
        self.patch_metadata(session, patch, Expect::Anything).await
    }

    /// Sets and removes (`None`) keys at once, if the session is as expected: compare-and-set. Returns the version of
    /// the session afterwards. Patches of different keys never undo each other.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) with the fact `version` if somebody got in between.
    pub async fn patch_metadata(
        &self,
        session: impl AsRef<str>,
        patch: BTreeMap<String, Option<Value>>,
        expect: Expect,
    ) -> Result<Stamp> {
        let session = SessionId::new(session)?;
        let cx = self.context();
        let mut after = self.known_version(&cx, &session).await?;
        if let Expect::Version(version) = expect {
            after = after.max(Some(version));
        }
        let options = WriteOptions::fresh().expecting(expect);
        let mut stamp = cx.mint(after)?;
        let mut written =
            self.write(&self.context(), &session, &[Record::Session { stamp, set: patch.clone() }], &options).await?;
        if let Some(cleared) = written.cleared.filter(|cleared| stamp <= *cleared) {
            // Killed by a clear that this process had not seen: once more, above it.
            stamp = cx.mint(written.version.max(Some(cleared)))?;
            written = self.write(&self.context(), &session, &[Record::Session { stamp, set: patch }], &options).await?;
        }
        Ok(written.version.unwrap_or(stamp))
    }
}
