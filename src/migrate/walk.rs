//! Going through a store: which one it is, its tenants, its sessions.

use craftx_core::{
    Binding, Changes, Cursor, Error, ErrorKind, Include, MAX_PAGE, Result, SessionId, SessionQuery, Tenant, Uuid,
};
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::{Deserialize, Serialize};

use crate::{Storage, inventory};

/// # Errors
/// [`ErrorKind::PermissionDenied`] unless the storage speaks for the system.
pub(super) fn system(storage: &Storage) -> Result<()> {
    storage.context().require_system()
}

/// Which store it is, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) store: Uuid,
    pub(super) scheme: String,
    pub(super) name: String,
}

impl Place {
    pub(super) async fn of(storage: &Storage) -> Result<Self> {
        let status = storage.status().await?;
        // A folder may be called by several names.
        let name = std::fs::canonicalize(status.name.as_ref());
        let name = name.map_or_else(|_| status.name.to_string(), |path| path.display().to_string());
        Ok(Self { store: status.store, scheme: status.scheme.to_owned(), name })
    }

    /// Whether both are the same store. A folder of CraftX.py has no identity until craftx writes to it: it is known by its
    /// place.
    pub(super) fn is(&self, other: &Self) -> bool {
        match self.store.is_nil() || other.store.is_nil() {
            true => self.scheme == other.scheme && self.name == other.name,
            false => self.store == other.store,
        }
    }

    /// A few characters for the name of a file.
    pub(super) fn short(&self) -> String {
        let store = if self.store.is_nil() { self.name.clone() } else { self.store.to_string() };
        // A cursor is bound by a digest, which is all that is wanted of it here.
        let digest = Cursor::new(&Binding::new("store", &Tenant::default(), [store.as_str()]), "");
        digest.as_str().chars().take(8).collect()
    }
}

/// The tenants whose data is that of users, and those that belong to a layer.
pub(super) async fn tenants(storage: &Storage) -> Result<(Vec<Tenant>, Vec<Tenant>)> {
    inventory::tenants(storage.stack().backend(), &storage.context()).await
}

/// The sessions of a tenant by the bytes of their names, cleared ones included, page by page.
pub(super) struct Sessions {
    storage: Storage,
    query: Option<SessionQuery>,
    page: std::vec::IntoIter<SessionId>,
}

impl Sessions {
    /// The sessions of the tenant of `storage`.
    pub(super) fn new(storage: &Storage) -> Self {
        let query = SessionQuery::new().include(Include::All).limit(MAX_PAGE);
        Self { storage: storage.clone(), query: Some(query), page: Vec::new().into_iter() }
    }

    /// All that are left.
    pub(super) fn stream(self) -> BoxStream<'static, Result<SessionId>> {
        let next = |mut sessions: Self| async move { Ok(sessions.next().await?.map(|session| (session, sessions))) };
        stream::try_unfold(self, next).boxed()
    }

    /// The next one; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<SessionId>> {
        loop {
            if let Some(next) = self.page.next() {
                return Ok(Some(next));
            }
            let Some(query) = self.query.take() else { return Ok(None) };
            let page = self.storage.stack().backend().sessions(&self.storage.context(), &query).await?;
            self.query = page.next.map(|next| query.cursor(Some(next)));
            self.page = page.items.into_iter().map(|session| session.id).collect::<Vec<_>>().into_iter();
        }
    }
}

pub(super) async fn count_sessions(storage: &Storage) -> Result<u64> {
    let mut count = 0;
    for tenant in tenants(storage).await?.0 {
        let mut sessions = Sessions::new(&storage.for_tenant(tenant));
        while sessions.next().await?.is_some() {
            count += 1;
        }
    }
    Ok(count)
}

pub(super) async fn is_empty(storage: &Storage) -> Result<bool> {
    inventory::is_empty(storage.stack().backend(), &storage.context()).await
}

/// A part of the records of a session. A cursor that is no longer good is left aside: reading again from the beginning is
/// slower, and nothing else.
pub(super) async fn part(storage: &Storage, session: &SessionId, from: Option<&Cursor>, limit: u32) -> Result<Changes> {
    let backend = storage.stack().backend();
    match backend.records(&storage.context(), session, from, Some(limit)).await {
        Err(error) if from.is_some() && matches!(error.kind(), ErrorKind::Conflict | ErrorKind::InvalidInput) => {
            backend.records(&storage.context(), session, None, Some(limit)).await
        }
        read => read,
    }
}

/// Whether an error of one session says that the others can be gone on with.
pub(super) fn concerns_one_session(error: &Error, reading: bool) -> bool {
    match error.kind() {
        // A file may be one that this user may not read.
        ErrorKind::PermissionDenied => reading,
        ErrorKind::Corrupted
        | ErrorKind::Conflict
        | ErrorKind::InvalidInput
        | ErrorKind::ConfigInvalid
        | ErrorKind::KeyUnavailable
        | ErrorKind::Tampered
        | ErrorKind::NotEncrypted
        | ErrorKind::NotFound
        | ErrorKind::SchemaTooNew
        | ErrorKind::Unsupported => true,
        _ => false,
    }
}
