//! Shredding: destroying the keys of a session, and then what they could open.

use std::time::SystemTime;

use craftx_core::{
    Compact, Context, DynBackend, Error, ErrorKind, Record, Result, SessionId, Tenant, Time, WriteOptions,
};
use serde::Serialize;

use crate::keys::Keys;
use crate::layer::Encrypted;
use crate::session_keys::SessionKeys;

/// How often the keys are destroyed again because somebody made one meanwhile.
const TRIES: usize = 16;

/// What a shredding did, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShredReceipt {
    /// The tenant.
    pub tenant: String,
    /// The session.
    pub session: String,
    /// When, in RFC 3339.
    pub at: String,
    /// How many data keys were destroyed; 0 if there was none any more.
    pub data_keys: u64,
    /// What was done, in order.
    pub steps: Vec<ShredStep>,
    /// What this cannot reach, in words.
    pub remains: Vec<String>,
}

/// One step of a shredding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShredStep {
    /// The scheme and the identity of the store.
    pub store: String,
    /// What was to be done there.
    pub what: String,
    /// Why it was not done; do it again later. `None` if it was done.
    pub failed: Option<String>,
}

impl ShredReceipt {
    /// Whether every step was done.
    pub fn is_complete(&self) -> bool {
        self.steps.iter().all(|step| step.failed.is_none())
    }
}

impl Encrypted {
    /// Destroys the data keys of a session, then clears the session: no copy of it can be read any more, be it in another
    /// leg, in a backup or in a file that was deleted. What only names it stays: its id, its owner, and that it was
    /// cleared.
    ///
    /// May be repeated. What another process writes with a key that it still has in memory, for
    /// [`cache_ms`](crate::EncryptConfig::cache_ms) at most, can be read by nobody; shred again to clear it.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] unless the caller is the system; those of the key store if the keys could not be
    /// destroyed. What fails after that is told by the receipt.
    ///
    /// # Cancel safety
    /// May be dropped at any time; do it again.
    pub async fn shred(&self, cx: &Context, session: &SessionId) -> Result<ShredReceipt> {
        self.shred_session(cx, session).await.map_err(|error| error.during("shred"))
    }

    async fn shred_session(&self, cx: &Context, session: &SessionId) -> Result<ShredReceipt> {
        cx.require_system()?;
        crate::acl::refuse_reserved(&cx.tenant)?;
        let keys = &self.shared.keys;
        let key_cx = Keys::context(cx);
        let mut receipt = receipt(&cx.tenant, session, cx.clock.wall());
        if self.shared.config.blind_index {
            receipt.remains.push(
                "copies of the data from before: with the key of the tenant, tokens in them tell which words were there"
                    .to_owned(),
            );
        }
        receipt.data_keys = self.destroy_keys(&key_cx, session).await?;
        let key_store = named(&keys.store, &key_cx).await;
        receipt.done(&key_store, "destroy the data keys", Ok(()));
        let erased = keys.store.compact(&key_cx, &Compact::new().session(session.clone())).await;
        receipt.done(&key_store, "erase the wrapped data keys", erased.map(drop));
        let data_store = named(&self.inner, cx).await;
        receipt.done(&data_store, "clear the session", self.clear(cx, session).await);
        let erased = self.inner.compact(cx, &Compact::new().session(session.clone())).await;
        receipt.done(&data_store, "erase what was cleared", erased.map(drop));
        // Whoever had the key in memory may have written meanwhile, or made a key of his own.
        keys.forget(cx, session);
        Ok(receipt)
    }

    async fn destroy_keys(&self, cx: &Context, session: &SessionId) -> Result<u64> {
        let keys = &self.shared.keys;
        let mut destroyed = std::collections::BTreeSet::new();
        for _ in 0..TRIES {
            keys.forget(cx, session);
            let known = SessionKeys::read(&keys.store, cx, session).await?;
            let Some(version) = known.version else { return Ok(0) };
            let before = destroyed.len();
            destroyed.extend(known.wraps().map(|wrap| wrap.key));
            if before == destroyed.len() && known.strays().next().is_none() {
                return Ok(destroyed.len() as u64);
            }
            let clear = Record::Cleared { through: version, stamp: cx.mint(Some(version))? };
            keys.store.write(cx, session, &[clear], &WriteOptions::fresh()).await?;
        }
        Err(Error::new(ErrorKind::Unavailable, "others made keys for the session all the time"))
    }

    async fn clear(&self, cx: &Context, session: &SessionId) -> Result<()> {
        let Some(version) = self.inner.version(cx, session).await? else { return Ok(()) };
        let clear = Record::Cleared { through: version, stamp: cx.mint(Some(version))? };
        self.inner.write(cx, session, &[clear], &WriteOptions::fresh()).await.map(drop)
    }
}

/// What a store is called in a receipt.
async fn named(store: &DynBackend, cx: &Context) -> String {
    match store.status(cx).await {
        Ok(status) => format!("{} ({})", status.name, status.store),
        Err(_) => "a store that does not say what it is".to_owned(),
    }
}

fn receipt(tenant: &Tenant, session: &SessionId, at: SystemTime) -> ShredReceipt {
    let at = Time::try_from(at).map(|time| time.to_string()).unwrap_or_default();
    let remains = vec![
        format!(
            "copies of the key store from before {at}: whoever has one, and the keys that wrap, can read old copies"
        ),
        "that the session existed: its name, its owner, the times and sizes that others saw".to_owned(),
    ];
    let (tenant, session) = (tenant.to_string(), session.to_string());
    ShredReceipt { tenant, session, at, data_keys: 0, steps: Vec::new(), remains }
}

impl ShredReceipt {
    fn done(&mut self, store: &str, what: &str, result: Result<()>) {
        let failed = result.err().map(|error| error.to_string());
        self.steps.push(ShredStep { store: store.to_owned(), what: what.to_owned(), failed });
    }
}
