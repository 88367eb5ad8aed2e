//! The one trait that a storage plugin implements.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Capabilities, Changes, Compact, Compacted, Context, Cursor, Hit, Include, MessageQuery, Messages, Page, Prepare,
    Record, Result, SearchQuery, Session, SessionId, SessionQuery, Stamp, Status, Tenant, Verified, WriteOptions,
    Written,
};

/// A backend behind a pointer: what layers wrap and stacks hold.
pub type DynBackend = Arc<dyn Backend>;

/// A store of sessions, each a set of [records](Record).
///
/// There are no default bodies, so that a layer which wraps a backend cannot forget to forward a call.
///
/// # Rules for all methods
/// - Every call ends by [`Context::deadline`]; one that has passed already is a
///   [`Timeout`](crate::ErrorKind::Timeout) and nothing is applied.
/// - Every future may be dropped at any time: nothing stays locked, leaked or half-written. A write whose future was
///   dropped happened once or not at all.
/// - Nothing of another [tenant](Context::tenant) is seen, counted or changed.
/// - What the backend does not support is [`Unsupported`](crate::ErrorKind::Unsupported), never an empty answer.
/// - After [`close`](Self::close), and before [`prepare`](Self::prepare) where the backend needs it, every call is
///   [`Closed`](crate::ErrorKind::Closed).
/// - Stored bytes that cannot be read back are [`Corrupted`](crate::ErrorKind::Corrupted), never left out.
#[async_trait]
pub trait Backend: Any + fmt::Debug + Send + Sync {
    /// What this backend can do, as far as is known before [`prepare`](Self::prepare).
    fn capabilities(&self) -> Capabilities;

    /// Connects, and creates or upgrades the store if `mode` says so. Building a backend does no I/O; this does.
    /// Returns what is true now.
    ///
    /// May be called again on an open store; [`Prepare::Check`] leaves it open or closed as it is. A store that was
    /// [closed](Self::close) stays closed.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no store and `mode` may not create one,
    /// [`SchemaTooOld`](crate::ErrorKind::SchemaTooOld) if it may not upgrade it,
    /// [`SchemaTooNew`](crate::ErrorKind::SchemaTooNew) if a newer release wrote it.
    ///
    /// # Cancel safety
    /// A migration happens whole or not at all.
    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities>;

    /// Unites the records with the session: durable when it returns, atomic, idempotent, commutative.
    ///
    /// If every record is known already, the answer is `Ok` before any expectation is looked at, so that a retry after
    /// an unknown outcome cannot conflict with itself. No dead body is stored. An empty batch changes nothing.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) with a fact `id` if a fresh message is known with other content, or
    /// with a fact `version` if the expectation does not hold; [`InvalidInput`](crate::ErrorKind::InvalidInput) if a
    /// batch under an expectation has a stamp that is not greater than the expected version. The
    /// [outcome](crate::Error::outcome) says what is known of the write.
    ///
    /// # Cancel safety
    /// If the future is dropped, the records are there once or not at all; write them again to be sure.
    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written>;

    /// The live messages, in stamp order.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the session does not exist,
    /// [`Conflict`](crate::ErrorKind::Conflict) with a fact `id` if the page holds a message that replays brought in
    /// two variants.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages>;

    /// The canonical set of records in order of arrival: what replication, migration and backup read. A session that
    /// was never written has none.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if `from` has expired: start again without it.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes>;

    /// What is known of a session; `None` if it does not exist.
    ///
    /// # Errors
    /// Those of the medium.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>>;

    /// Lists sessions by pages.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a cursor of another query or tenant.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>>;

    /// Finds messages. Any text is a legal query.
    ///
    /// # Errors
    /// Those of the medium.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>>;

    /// Lists the tenants that have records. Only for [`Caller::System`](crate::Caller::System).
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) for everybody else.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>>;

    /// Erases the bytes of what is dead and returns what was really erased.
    ///
    /// # Errors
    /// Those of the medium.
    ///
    /// # Cancel safety
    /// Each session is compacted whole or not at all.
    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted>;

    /// What is true of the store right now.
    ///
    /// # Errors
    /// Those of the medium.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn status(&self, cx: &Context) -> Result<Status>;

    /// Checks the medium itself, all tenants: reads what is stored and compares what can be compared. Changes nothing.
    /// Only for [`Caller::System`](crate::Caller::System).
    ///
    /// Damage is an answer and not an error: every problem is told with its place, and one does not hide the others.
    /// Messages with two contents are no damage; they are [listed](Verified::conflict) among the notes.
    /// Takes as long as reading the whole store.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) for everybody else,
    /// [`Timeout`](crate::ErrorKind::Timeout) if the deadline passes first, and those of a medium that cannot be read
    /// at all.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    async fn verify(&self, cx: &Context) -> Result<Verified>;

    /// Waits for what is under way and lets go of the medium. May be called again.
    ///
    /// # Errors
    /// Those of the medium; the store is closed all the same.
    ///
    /// # Cancel safety
    /// If dropped, the store may be closed or not.
    async fn close(&self, cx: &Context) -> Result<()>;
}

impl dyn Backend {
    /// The version of a session, even of one that was cleared or deleted; `None` if nothing was ever written to it.
    ///
    /// # Errors
    /// As [`sessions`](Backend::sessions).
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn version(&self, cx: &Context, session: &SessionId) -> Result<Option<Stamp>> {
        // The session itself is the first of those that begin with its name.
        let query = SessionQuery::new().include(Include::All).prefix(session.as_str()).limit(1);
        let page = self.sessions(cx, &query).await?;
        Ok(page.items.first().filter(|found| found.id == *session).map(|found| found.version))
    }
}
