//! What the factory of a backend or layer gets.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Registry, Result, Stack, StackConfig, options};

/// What the factory of a backend or layer gets: its name and its options, whether they came from a URL or from a table.
///
/// ```
/// use craftx_core::{Location, Memory, Registry};
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     path: std::path::PathBuf,
/// }
/// let mut registry = Registry::new();
/// registry.register("mine", |part| {
///     let config: Config = part.config()?;
///     assert_eq!(config.path.to_str(), Some("here"));
///     Ok(std::sync::Arc::new(Memory::new()))
/// });
/// assert!(registry.build(&Location::parse("mine:here")?).is_ok());
/// let error = registry.build(&Location::parse("mine:here?colour=red")?).unwrap_err();
/// assert_eq!(error.get("key"), Some("`colour`"));
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Part<'a> {
    name: &'a str,
    options: &'a Map<String, Value>,
    registry: &'a Registry,
}

impl<'a> Part<'a> {
    pub(crate) fn new(name: &'a str, options: &'a Map<String, Value>, registry: &'a Registry) -> Self {
        Self { name, options, registry }
    }

    /// The name under which the part is registered.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Reads the options into a struct, which should deny unknown fields. The path of a URL is the field `path`.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) naming the key that is unknown, missing or of the wrong type,
    /// and the nearest known one; no value is quoted.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C> {
        options::read(self.options.clone())
    }

    /// Reads some of the options into a struct, for parts that have others besides.
    ///
    /// # Errors
    /// As [`Part::config`].
    pub fn config_of<C: DeserializeOwned>(&self, keys: &[&str]) -> Result<C> {
        self.config_where(|key| keys.contains(&key))
    }

    /// Reads all but some of the options into a struct.
    ///
    /// # Errors
    /// As [`Part::config`].
    pub fn config_without<C: DeserializeOwned>(&self, keys: &[&str]) -> Result<C> {
        self.config_where(|key| !keys.contains(&key))
    }

    fn config_where<C: DeserializeOwned>(&self, wanted: impl Fn(&str) -> bool) -> Result<C> {
        let wanted = self.options.iter().filter(|(key, _)| wanted(key));
        options::read(wanted.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
    }

    /// Builds a stack that is described among the options of a composite backend, under `key`, such as `primary` or
    /// `secondary.0`. Does no I/O. Only stacks may have an option named `backend`: configurations tell them by it.
    ///
    /// # Errors
    /// As [`Registry::build_stack`], with the key of the option below `key`.
    pub fn build(&self, key: &str, config: &StackConfig) -> Result<Stack> {
        self.registry.build_stack(config).map_err(|error| error.below(key))
    }
}

impl fmt::Debug for Part<'_> {
    /// Shows the names of the options and no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).field("options", &self.options.keys()).finish()
    }
}
