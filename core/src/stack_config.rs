//! What a stack is made of, as data.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{Result, is_name, nearest, options};

/// What a stack is made of: a backend, layers, and a table of options for each of them.
///
/// As a table it has the keys `backend` and `layers`; every other key names a part and holds its options. A composite
/// backend has whole stacks among its options, so stacks nest.
///
/// ```
/// use craftx_core::{Registry, StackConfig};
/// use serde_json::json;
/// # let mut registry = Registry::new();
/// # registry.register("memory", |_| Ok(std::sync::Arc::new(craftx_core::Memory::new())));
/// let config = StackConfig::from_table(json!({
///     "backend": "memory",
///     "layers": ["validate"],
///     "validate": { "max_batch": 100 },
/// }))?;
/// assert_eq!(registry.build_stack(&config)?.capabilities().max_batch, Some(100));
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct StackConfig {
    /// The scheme of the backend.
    pub backend: String,
    /// The names of the layers, outermost first.
    pub layers: Vec<String>,
    /// The options of each part, by its name.
    pub options: BTreeMap<String, Map<String, Value>>,
}

impl StackConfig {
    /// A backend without options and layers.
    pub fn new(backend: impl Into<String>) -> Self {
        Self { backend: backend.into(), ..Self::default() }
    }

    /// Adds a layer inside of those added before.
    #[must_use]
    pub fn layer(mut self, name: impl Into<String>) -> Self {
        self.layers.push(name.into());
        self
    }

    /// Sets an option of a part.
    #[must_use]
    pub fn option(mut self, part: impl Into<String>, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.entry(part.into()).or_default().insert(key.into(), value.into());
        self
    }

    /// Reads a table. Whether the parts are known is found out by [`Registry::build_stack`](crate::Registry::build_stack).
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) naming the key, if `backend` is missing or a value has the
    /// wrong type; no value is quoted.
    pub fn from_table(table: Value) -> Result<Self> {
        options::read(table)
    }
}

impl<'de> Deserialize<'de> for StackConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        impl<'de> Visitor<'de> for Table {
            type Value = StackConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the table of a stack")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<StackConfig, A::Error> {
                let mut backend = None;
                let mut config = StackConfig::default();
                while let Some(key) = members.next_key::<String>()? {
                    match key.as_str() {
                        "backend" => backend = Some(members.next_value()?),
                        "layers" => config.layers = members.next_value()?,
                        _ => {
                            let table = members.next_value_seed(OptionsOf(&key))?;
                            config.options.insert(key, table);
                        }
                    }
                }
                config.backend = backend.ok_or_else(|| serde::de::Error::missing_field("backend"))?;
                Ok(config)
            }
        }

        deserializer.deserialize_map(Table)
    }
}

/// The table of a part. What is no table may be another key with a typo.
struct OptionsOf<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for OptionsOf<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Map::deserialize(deserializer).map_err(|error| match nearest(self.0, KEYS.iter().copied()) {
            Some(_) => serde::de::Error::unknown_field(self.0, KEYS),
            None => error,
        })
    }
}

/// The keys of a stack that name no part.
const KEYS: &[&str] = &["backend", "layers"];

impl fmt::Debug for StackConfig {
    /// Shows names and no value of an option.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &String| if is_name(name) { name.clone() } else { "…".to_owned() };
        let keys = |table: &Map<String, Value>| table.keys().map(shown).collect::<Vec<_>>();
        f.debug_struct("StackConfig")
            .field("backend", &shown(&self.backend))
            .field("layers", &self.layers.iter().map(shown).collect::<Vec<_>>())
            .field("options", &self.options.iter().map(|(part, table)| (shown(part), keys(table))).collect::<Vec<_>>())
            .finish()
    }
}
