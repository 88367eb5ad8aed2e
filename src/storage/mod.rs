//! What applications hold.

mod guide;
mod metadata;
mod read;
mod records;
mod write;

pub use write::Forked;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use craftx_core::{
    Caller, Capabilities, Clock, Compact, Compacted, Context, DynBackend, Freshness, Location, Prepare, Registry,
    Result, SessionId, Stack, Stamp, Status, Tenant, Token, Verified,
};

use crate::head::Heads;

/// The time that a call may take unless [`Storage::with_timeout`] says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Conversations in a store: what applications hold.
///
/// Cheap to clone; clones for a tenant or a caller share the store. Sessions are named by text of 1 to 255 bytes
/// without control characters.
///
/// # Errors
/// Every method can fail with the errors of the medium (see [`ErrorKind`](crate::ErrorKind)) and with `Timeout` after
/// 30 seconds, or the time set by [`Storage::with_timeout`].
///
/// # Cancel safety
/// Every future may be dropped at any time. A write whose future was dropped happened once or not at all.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use craftx::{NewMessage, Storage};
/// let storage = Storage::open("memory:").await?;
/// storage.append("greetings", NewMessage::user("hello")).await?;
/// storage.append("greetings", NewMessage::assistant("hi")).await?;
/// assert_eq!(storage.last("greetings", 1).await?[0].text(), Some("hi"));
/// # Ok::<(), craftx::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Storage {
    shared: Arc<Shared>,
    cx: Context,
    timeout: Option<Duration>,
}

#[derive(Debug)]
struct Shared {
    stack: Stack,
    heads: Heads,
    /// What a reader must have seen to see everything that was written here.
    token: Mutex<Option<Token>>,
}

impl Storage {
    /// Opens the store at a URL such as `json:chat_logs` or `sqlite:craftx.db`, with the backends that were chosen by
    /// cargo features. Creates the store if it is not there, and upgrades one that an older release wrote.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) for a URL that cannot be understood,
    /// [`SchemaTooNew`](crate::ErrorKind::SchemaTooNew) for a store of a newer release.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(&crate::builtin(), url, Prepare::Migrate).await
    }

    /// Opens the store at a URL if it is there; never creates or upgrades one.
    ///
    /// # Errors
    /// As [`Storage::open`], [`NotFound`](crate::ErrorKind::NotFound) if there is none,
    /// [`SchemaTooOld`](crate::ErrorKind::SchemaTooOld) if it would need an upgrade.
    pub async fn open_existing(url: &str) -> Result<Self> {
        Self::open_with(&crate::builtin(), url, Prepare::Open).await
    }

    /// Opens a store with the backends of a registry, plugins among them.
    ///
    /// # Errors
    /// As [`Storage::open`] and [`Storage::open_existing`].
    pub async fn open_with(registry: &Registry, url: &str, mode: Prepare) -> Result<Self> {
        let location = Location::parse(url)?;
        let backend = registry.build(&location)?;
        let storage = Self::new(Stack::builder(location.scheme(), backend).build()?);
        storage.prepare(mode).await?;
        Ok(storage)
    }

    /// A storage over a stack. Does no I/O: call [`Storage::prepare`] before anything else.
    pub fn new(stack: Stack) -> Self {
        Self {
            shared: Arc::new(Shared { stack, heads: Heads::default(), token: Mutex::default() }),
            cx: Context::new(Tenant::default()),
            timeout: Some(DEFAULT_TIMEOUT),
        }
    }

    /// Connects, and creates or upgrades the store if `mode` says so. Returns what is true of it now.
    ///
    /// # Errors
    /// As [`Backend::prepare`](crate::Backend::prepare).
    pub async fn prepare(&self, mode: Prepare) -> Result<Capabilities> {
        self.backend().prepare(&self.of_the_application(), mode).await
    }

    /// The same store for another tenant.
    #[must_use]
    pub fn for_tenant(&self, tenant: Tenant) -> Self {
        Self { cx: self.cx.clone().with_tenant(tenant), ..self.clone() }
    }

    /// The same store for another caller.
    #[must_use]
    pub fn for_caller(&self, caller: Caller) -> Self {
        Self { cx: self.cx.clone().with_caller(caller), ..self.clone() }
    }

    /// The same store for calls that serve this request: what the application calls it stands in audit logs.
    #[must_use]
    pub fn for_request(&self, request: impl Into<Arc<str>>) -> Self {
        Self { cx: self.cx.clone().with_request(request), ..self.clone() }
    }

    /// The same store with another time limit for each call; `None` leaves only the limits of the medium.
    #[must_use]
    pub fn with_timeout(&self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The same store with another freshness of reads.
    #[must_use]
    pub fn with_freshness(&self, freshness: Freshness) -> Self {
        Self { cx: self.cx.clone().with_freshness(freshness), ..self.clone() }
    }

    /// The same store for who has been told of writes: reads see at least what the [token](Self::token) stands for.
    #[must_use]
    pub fn with_token(&self, token: Option<Token>) -> Self {
        Self { cx: self.cx.clone().with_token(token), ..self.clone() }
    }

    /// What another process has to be told to see everything that was written here, by this storage and its clones: it
    /// passes it to [`Storage::with_token`]. `None` where everybody sees every write at once.
    pub fn token(&self) -> Option<Token> {
        self.known_token().clone()
    }

    /// The same store on another clock.
    #[must_use]
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self { cx: self.cx.clone().with_clock(clock), ..self.clone() }
    }

    /// The stack below.
    pub fn stack(&self) -> &Stack {
        &self.shared.stack
    }

    /// The context of a call that begins now.
    pub fn context(&self) -> Context {
        match self.timeout {
            Some(timeout) => self.cx.clone().with_timeout(timeout),
            None => self.cx.clone(),
        }
    }

    /// Erases the bytes of what is dead in this tenant; see [`Backend::compact`](crate::Backend::compact).
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn compact(&self, what: &Compact) -> Result<Compacted> {
        self.backend().compact(&self.context(), what).await
    }

    /// What is true of the store right now.
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn status(&self) -> Result<Status> {
        self.backend().status(&self.context()).await
    }

    /// Checks the medium itself, all tenants; see [`Backend::verify`](crate::Backend::verify). Needs a storage
    /// [for](Self::for_caller) [`Caller::System`], and as much time as reading the whole store takes.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) for every other caller, and those of the medium.
    pub async fn verify(&self) -> Result<Verified> {
        self.backend().verify(&self.context()).await
    }

    /// Waits for what is under way and closes the store, for all clones.
    ///
    /// # Errors
    /// Those of the medium; the store is closed all the same.
    pub async fn close(&self) -> Result<()> {
        self.backend().close(&self.of_the_application()).await
    }

    /// Opening and closing a store is up to the application, whomever this storage speaks for.
    fn of_the_application(&self) -> Context {
        self.context().with_caller(Caller::System)
    }

    fn backend(&self) -> &DynBackend {
        self.shared.stack.backend()
    }

    /// A token cannot be left half-changed.
    fn known_token(&self) -> MutexGuard<'_, Option<Token>> {
        self.shared.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, token: Option<&Token>) {
        let mut known = self.known_token();
        if known.as_ref() < token {
            *known = token.cloned();
        }
    }

    fn learn(&self, session: &SessionId, stamp: Option<Stamp>) {
        self.shared.heads.learn(&self.cx.tenant, session, stamp);
    }

    /// The greatest stamp known in the session. The first write of a process to a session looks it up, so that it
    /// writes after what is there even if this machine's clock is behind.
    async fn known_version(&self, cx: &Context, session: &SessionId) -> Result<Option<Stamp>> {
        if let Some(known) = self.shared.heads.get(&cx.tenant, session) {
            return Ok(known);
        }
        let version = self.backend().session(cx, session).await?.map(|found| found.version);
        self.learn(session, version);
        Ok(version)
    }
}
