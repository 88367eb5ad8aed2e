//! What is tested: one store, how to open it again, and what has to outlive it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use craftx_core::{Backend, DynBackend};

/// Why a store could not be made.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type Factory = Arc<dyn Fn() -> BoxFuture<Result<Subject, Failure>> + Send + Sync>;
type Open = Arc<dyn Fn() -> BoxFuture<Result<DynBackend, Failure>> + Send + Sync>;
type Bytes = Arc<dyn Fn() -> Result<Vec<u8>, Failure> + Send + Sync>;

/// A fresh, empty store, made by the factory of a [`Kit`](crate::Kit) once for every check. The kit prepares it.
///
/// ```
/// use craftx_conformance::Subject;
/// use craftx_core::Memory;
/// let folder = std::env::temp_dir(); // a guard that deletes the folder when it is dropped, say
/// let subject = Subject::new(Memory::new()).holding(folder);
/// ```
pub struct Subject {
    pub(crate) backend: DynBackend,
    pub(crate) open: Option<Open>,
    pub(crate) bytes: Option<Bytes>,
    /// Dropped last.
    pub(crate) guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// A store that cannot be opened again.
    pub fn new(backend: impl Backend) -> Self {
        Self::from(Arc::new(backend) as DynBackend)
    }

    /// Says how to open the same store again. The kit calls it after it has closed the store, after it has dropped it
    /// without closing it, and, where the store is `shared`, while it is open. Without this, the checks that need it
    /// are skipped.
    #[must_use]
    pub fn reopening<F, B>(mut self, open: F) -> Self
    where
        F: Fn() -> B + Send + Sync + 'static,
        B: Future<Output = Result<DynBackend, Failure>> + Send + 'static,
    {
        self.open = Some(Arc::new(move || Box::pin(open())));
        self
    }

    /// Says how to read all the bytes of the medium, so that the kit can see whether what was erased is really gone.
    #[must_use]
    pub fn with_bytes(mut self, bytes: impl Fn() -> Result<Vec<u8>, Failure> + Send + Sync + 'static) -> Self {
        self.bytes = Some(Arc::new(bytes));
        self
    }

    /// Keeps `guard`, such as a temporary folder, until the store is dropped.
    #[must_use]
    pub fn holding(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}

impl From<DynBackend> for Subject {
    fn from(backend: DynBackend) -> Self {
        Self { backend, open: None, bytes: None, guards: Vec::new() }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("backend", &self.backend)
            .field("reopens", &self.open.is_some())
            .field("shows_bytes", &self.bytes.is_some())
            .finish_non_exhaustive()
    }
}
