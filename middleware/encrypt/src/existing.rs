//! Encrypting what is there already: copying a plaintext store into an encrypted one.
//!
//! Not in place: the bytes of the plaintext would stay in pages, logs and backups of the same store, and until the end a
//! reader would have to take plaintext for good.

use craftx_core::{Context, Cursor, DynBackend, Error, Include, Record, Result, SessionId, WriteOptions};
use serde::Serialize;

use crate::every::{Sessions, tenants};
use crate::layer::Encrypted;

/// So many records, or bytes, are written at once.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Copied {
    /// Tenants that were gone through.
    pub tenants: u64,
    /// Sessions that were gone through, cleared ones included.
    pub sessions: u64,
    /// Records that were read.
    pub records: u64,
    /// Records that were not there yet.
    pub applied: u64,
}

impl Encrypted {
    /// Encrypts all that a plaintext store holds, of all tenants, into this store. `from` is only read; delete it, and its
    /// backups, when you have seen that everything is here.
    ///
    /// If it was interrupted, do it again: what is here already is known. When nothing is written to `from` any more, a
    /// call that applies nothing shows that all is here.
    ///
    /// # Errors
    /// [`PermissionDenied`](craftx_core::ErrorKind::PermissionDenied) unless the caller is the system,
    /// [`InvalidInput`](craftx_core::ErrorKind::InvalidInput) if `from` is the store below this one or holds ciphertext, and
    /// those of both stores.
    ///
    /// # Cancel safety
    /// May be dropped at any time; do it again.
    pub async fn encrypt_existing(&self, cx: &Context, from: &DynBackend) -> Result<Copied> {
        self.encrypt_existing_watched(cx, from, &|_| {}).await
    }

    /// As [`encrypt_existing`](Self::encrypt_existing); `watch` is told after each session what was copied so far.
    ///
    /// # Errors
    /// As [`encrypt_existing`](Self::encrypt_existing).
    ///
    /// # Cancel safety
    /// As [`encrypt_existing`](Self::encrypt_existing).
    pub async fn encrypt_existing_watched(
        &self,
        cx: &Context,
        from: &DynBackend,
        watch: &(dyn Fn(&Copied) + Sync),
    ) -> Result<Copied> {
        self.copy_all(cx, from, watch).await.map_err(|error| error.during("encrypt existing"))
    }

    async fn copy_all(&self, cx: &Context, from: &DynBackend, watch: &(dyn Fn(&Copied) + Sync)) -> Result<Copied> {
        cx.require_system()?;
        if from.status(cx).await?.store == self.inner.status(cx).await?.store {
            return Err(Error::invalid("from", "a store cannot be encrypted in place; copy it to a new one"));
        }
        let mut copied = Copied::default();
        for tenant in tenants(from, cx).await? {
            let cx = cx.clone().with_tenant(tenant);
            copied.tenants += 1;
            let mut sessions = Sessions::new(from, &cx, Include::All);
            loop {
                let page = sessions.next().await?;
                if page.is_empty() {
                    break;
                }
                for session in page {
                    copied.sessions += 1;
                    self.copy_session(&cx, from, &session, &mut copied).await?;
                    watch(&copied);
                }
            }
        }
        Ok(copied)
    }

    async fn copy_session(
        &self,
        cx: &Context,
        from: &DynBackend,
        session: &SessionId,
        copied: &mut Copied,
    ) -> Result<()> {
        let mut cursor: Option<Cursor> = None;
        loop {
            let part = from.records(cx, session, cursor.as_ref(), None).await?;
            let (mut batch, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
            for record in part.items {
                bytes += record.encode().as_str().len();
                batch.push(record);
                if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                    self.copy_batch(cx, session, &batch, copied).await?;
                    batch.clear();
                    bytes = 0;
                }
            }
            if !batch.is_empty() {
                self.copy_batch(cx, session, &batch, copied).await?;
            }
            if part.done {
                return Ok(());
            }
            cursor = Some(part.next);
        }
    }

    async fn copy_batch(&self, cx: &Context, session: &SessionId, batch: &[Record], copied: &mut Copied) -> Result<()> {
        let written = self.seal_and_write(cx, session, batch, &WriteOptions::replay()).await?;
        copied.records += batch.len() as u64;
        copied.applied += u64::from(written.applied.unwrap_or(0));
        Ok(())
    }
}
