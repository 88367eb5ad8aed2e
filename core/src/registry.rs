//! Which scheme is opened by which backend: a value, not a global.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{DynBackend, Error, ErrorKind, Location, Result};

/// Builds a backend from a location. Does no I/O.
pub type Factory = Arc<dyn Fn(&Location) -> Result<DynBackend> + Send + Sync>;

/// The schemes that can be opened. Plugins add theirs.
///
/// ```
/// use craftx_core::{Location, Memory, Registry};
/// use std::sync::Arc;
/// let mut registry = Registry::new();
/// registry.register("memory", |_| Ok(Arc::new(Memory::new())));
/// assert!(registry.build(&Location::parse("memory:")?).is_ok());
/// let error = registry.build(&Location::parse("memroy:")?).unwrap_err();
/// assert_eq!(error.to_string(), "open: there is no scheme `memroy`, schemes: `memory`");
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<String, Factory>,
    missing: BTreeMap<String, String>,
}

impl Registry {
    /// A registry without any scheme.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scheme, or replaces it.
    pub fn register(
        &mut self,
        scheme: impl Into<String>,
        factory: impl Fn(&Location) -> Result<DynBackend> + Send + Sync + 'static,
    ) {
        let scheme = scheme.into();
        self.missing.remove(&scheme);
        self.factories.insert(scheme, Arc::new(factory));
    }

    /// Says what would bring a scheme that is not there, such as "the cargo feature `sqlite`".
    pub fn mention_missing(&mut self, scheme: impl Into<String>, brought_by: impl Into<String>) {
        let scheme = scheme.into();
        if !self.factories.contains_key(&scheme) {
            self.missing.insert(scheme, brought_by.into());
        }
    }

    /// The schemes that are there.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    /// Builds the backend at a location. Does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] for an unknown scheme, naming those that are there and what would bring the
    /// missing one, or for wrong options.
    pub fn build(&self, location: &Location) -> Result<DynBackend> {
        match self.factories.get(location.scheme()) {
            Some(factory) => factory(location).map_err(|error| error.during("open")),
            None => Err(self.unknown(location.scheme())),
        }
    }

    fn unknown(&self, scheme: &str) -> Error {
        let here = self.schemes().map(|scheme| format!("`{scheme}`")).collect::<Vec<_>>().join(", ");
        let message = match self.missing.get(scheme) {
            Some(brought_by) => format!("the scheme `{scheme}` needs {brought_by}"),
            None => format!("there is no scheme `{scheme}`"),
        };
        Error::new(ErrorKind::ConfigInvalid, message).during("open").with("schemes", here)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}
