//! Which name stands for which backend or layer: a value, not a global.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::Map;

use crate::{
    DynBackend, Error, ErrorKind, Layer, Limits, Location, Part, Result, Stack, StackConfig, Validate, is_name, nearest,
};

/// Builds a backend from its options. Does no I/O.
pub type Factory = Arc<dyn Fn(&Part<'_>) -> Result<DynBackend> + Send + Sync>;

/// Builds a layer from its options. Does no I/O.
pub type LayerFactory = Arc<dyn Fn(&Part<'_>) -> Result<Box<dyn Layer>> + Send + Sync>;

/// The backends and layers that can be built by name. Plugins add theirs.
///
/// A name stands for one backend or one layer, since it names the table of its options too.
///
/// ```
/// use craftx_core::{Location, Memory, Registry};
/// use std::sync::Arc;
/// let mut registry = Registry::new();
/// registry.register("memory", |_| Ok(Arc::new(Memory::new())));
/// assert!(registry.build(&Location::parse("memory:")?).is_ok());
/// let error = registry.build(&Location::parse("memroy:")?).unwrap_err();
/// assert_eq!(error.to_string(), "open: there is no scheme `memroy`, nearest: `memory`");
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    parts: BTreeMap<String, Kind>,
    missing: BTreeMap<String, String>,
}

#[derive(Clone)]
enum Kind {
    Backend(Factory),
    Layer(LayerFactory),
}

/// The name of the layer that every stack has.
const VALIDATE: &str = "validate";

impl Registry {
    /// A registry without any scheme, and with the layer that every stack has, [`Validate`].
    pub fn new() -> Self {
        let mut registry = Self { parts: BTreeMap::new(), missing: BTreeMap::new() };
        registry.register_layer(VALIDATE, |part| {
            let limits: Limits = part.config()?;
            limits.check_depth()?;
            Ok(Box::new(Validate::new(limits)))
        });
        registry
    }

    /// Adds a scheme, or replaces what has its name.
    pub fn register(
        &mut self,
        scheme: impl Into<String>,
        factory: impl Fn(&Part<'_>) -> Result<DynBackend> + Send + Sync + 'static,
    ) {
        self.put(scheme.into(), Kind::Backend(Arc::new(factory)));
    }

    /// Adds a layer that configurations can name, or replaces what has its name.
    pub fn register_layer(
        &mut self,
        name: impl Into<String>,
        factory: impl Fn(&Part<'_>) -> Result<Box<dyn Layer>> + Send + Sync + 'static,
    ) {
        self.put(name.into(), Kind::Layer(Arc::new(factory)));
    }

    fn put(&mut self, name: String, kind: Kind) {
        self.missing.remove(&name);
        self.parts.insert(name, kind);
    }

    /// Says what would bring a scheme or layer that is not there, such as "the cargo feature `sqlite`".
    pub fn mention_missing(&mut self, name: impl Into<String>, brought_by: impl Into<String>) {
        let name = name.into();
        if !self.parts.contains_key(&name) {
            self.missing.insert(name, brought_by.into());
        }
    }

    /// The schemes that are there.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(|(_, kind)| matches!(kind, Kind::Backend(_))).map(|(name, _)| name.as_str())
    }

    /// The layers that are there.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(|(_, kind)| matches!(kind, Kind::Layer(_))).map(|(name, _)| name.as_str())
    }

    /// The names that are not there and of which it is known what would bring them.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.missing.keys().map(String::as_str)
    }

    /// Builds the backend at a location. Does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] for an unknown scheme, naming the nearest one or what would bring the missing one,
    /// or for wrong options.
    pub fn build(&self, location: &Location) -> Result<DynBackend> {
        let scheme = location.scheme();
        let factory = self.backend(scheme).map_err(|error| error.during("open"))?;
        factory(&Part::new(scheme, location.table(), self))
            .map_err(|error| error.during("open").with("scheme", format_args!("`{scheme}`")))
    }

    /// Builds a stack. Does no I/O.
    ///
    /// Options for `validate` count even if that layer is not named, because every stack has it.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] naming the key, and the nearest known name or what would bring a missing one: for
    /// an unknown backend or layer, for a layer that is named twice, for wrong options, and for options of what is no
    /// part of the stack. Also those of [`StackBuilder::build`](crate::StackBuilder::build).
    pub fn build_stack(&self, config: &StackConfig) -> Result<Stack> {
        self.stack(config).map_err(|error| error.during("configure"))
    }

    fn stack(&self, config: &StackConfig) -> Result<Stack> {
        let factory = self.backend(&config.backend).map_err(|error| error.below("backend"))?;
        let layers: Vec<_> = config.layers.iter().map(|name| Ok((name, self.layer(name)?))).collect::<Result<_>>()?;
        check_parts(config)?;
        let none = Map::new();
        let part = |name| Part::new(name, config.options.get(name).unwrap_or(&none), self);
        let backend = factory(&part(&config.backend)).map_err(|error| error.below(&config.backend))?;
        let mut builder = Stack::builder(&config.backend, backend);
        for (name, factory) in layers {
            builder = builder.boxed_layer(factory(&part(name)).map_err(|error| error.below(name))?);
        }
        if config.options.contains_key(VALIDATE) && !config.layers.iter().any(|name| name == VALIDATE) {
            let layer = self.layer(VALIDATE)?(&part(VALIDATE)).map_err(|error| error.below(VALIDATE))?;
            builder = builder.in_its_place(layer);
        }
        builder.build().map_err(|error| error.below("layers"))
    }

    fn backend(&self, scheme: &str) -> Result<&Factory> {
        match self.parts.get(scheme) {
            Some(Kind::Backend(factory)) => Ok(factory),
            Some(Kind::Layer(_)) => Err(wrong(format!("`{scheme}` is a layer and no backend"))),
            None => Err(self.unknown("scheme", scheme, self.schemes())),
        }
    }

    fn layer(&self, name: &str) -> Result<&LayerFactory> {
        let found = match self.parts.get(name) {
            Some(Kind::Layer(factory)) => Ok(factory),
            Some(Kind::Backend(_)) => Err(wrong(format!("`{name}` is a backend and no layer"))),
            None => Err(self.unknown("layer", name, self.layers())),
        };
        found.map_err(|error| error.below("layers"))
    }

    /// The names may be what was typed into the wrong place, so only what looks like a name is quoted.
    fn unknown<'a>(&'a self, what: &str, name: &str, here: impl Iterator<Item = &'a str>) -> Error {
        if let Some(brought_by) = self.missing.get(name) {
            return wrong(format!("the {what} `{name}` needs {brought_by}"));
        }
        let error = match is_name(name) {
            true => wrong(format!("there is no {what} `{name}`")),
            false => wrong(format!("this is not the name of a {what}")),
        };
        let here: Vec<_> = here.collect();
        match nearest(name, here.iter().copied().chain(self.missing())) {
            Some(nearest) => error.with("nearest", format_args!("`{nearest}`")),
            None => error.with("known", format_args!("`{}`", here.join("`, `"))),
        }
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

/// Options must belong to a part, or they would do nothing; a layer that is there twice could not have its own.
fn check_parts(config: &StackConfig) -> Result<()> {
    let mut parts = BTreeSet::from([config.backend.as_str(), VALIDATE]);
    let mut layers = BTreeSet::new();
    for layer in &config.layers {
        if !layers.insert(layer.as_str()) {
            return Err(wrong("a layer is named twice".to_owned())
                .below("layers")
                .with("layer", format_args!("`{layer}`")));
        }
    }
    parts.append(&mut layers);
    match config.options.keys().find(|part| !parts.contains(part.as_str())) {
        None => Ok(()),
        Some(stray) => {
            let shown = if is_name(stray) { stray } else { "…" };
            let error = wrong("the stack has no such part".to_owned()).below(shown);
            let parts: Vec<_> = parts.into_iter().collect();
            Err(match nearest(stray, parts.iter().copied()) {
                Some(nearest) => error.with("nearest", format_args!("`{nearest}`")),
                None => error.with("parts", format_args!("`{}`", parts.join("`, `"))),
            })
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.parts.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Memory, Slot};
    use serde_json::{Value, json};

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        primary: StackConfig,
        #[serde(default)]
        secondary: Vec<StackConfig>,
    }

    /// Memory stores, and a composite that keeps its first leg and builds them all.
    fn registry() -> Registry {
        let mut registry = Registry::new();
        registry.register("memory", |part| {
            #[derive(serde::Deserialize)]
            #[serde(deny_unknown_fields)]
            struct NoOptions {}
            part.config::<NoOptions>()?;
            Ok(Arc::new(Memory::new()))
        });
        registry.register("pair", |part| {
            let pair: Pair = part.config()?;
            for (index, leg) in pair.secondary.iter().enumerate() {
                part.build(&format!("secondary.{index}"), leg)?;
            }
            Ok(part.build("primary", &pair.primary)?.backend().clone())
        });
        registry.mention_missing("sqlite", "the cargo feature `sqlite`");
        registry.mention_missing("encrypt", "the cargo feature `encrypt`");
        registry
    }

    fn build(table: Value) -> Result<Stack> {
        registry().build_stack(&StackConfig::from_table(table)?)
    }

    fn refused(table: Value) -> String {
        build(table).unwrap_err().to_string()
    }

    #[test]
    fn options_of_a_layer_reach_it_named_or_not() {
        for layers in [json!(["validate"]), json!([])] {
            let stack =
                build(json!({ "backend": "memory", "layers": layers, "validate": { "max_batch": 7 } })).unwrap();
            assert_eq!(stack.capabilities().max_batch, Some(7));
            assert!(stack.below(Slot::Validate).unwrap().capabilities().max_batch.is_none(), "only one validates");
        }
    }

    #[test]
    fn composites_nest() {
        let leg = |batch: u32| json!({ "backend": "memory", "validate": { "max_batch": batch } });
        let inner = json!({ "backend": "pair", "pair": { "primary": leg(5), "secondary": [leg(9)] } });
        let stack = build(json!({ "backend": "pair", "pair": { "primary": inner } })).unwrap();
        assert_eq!(stack.capabilities().max_batch, Some(5));
    }

    #[test]
    fn errors_inside_of_composites_name_the_whole_key() {
        let nested = |leg: Value| {
            let inner =
                json!({ "backend": "pair", "pair": { "primary": { "backend": "memory" }, "secondary": [leg] } });
            refused(json!({ "backend": "pair", "pair": { "primary": inner } }))
        };
        for (leg, expected) in [
            (
                json!({ "backend": "memory", "memory": { "path": "canary" } }),
                "configure: there are no options here, key: `pair.primary.pair.secondary.0.memory.path`",
            ),
            (
                json!({ "backend": "memroy" }),
                "configure: there is no scheme `memroy`, key: `pair.primary.pair.secondary.0.backend`, nearest: `memory`",
            ),
            (json!({}), "configure: a key is missing, key: `pair.primary.pair.secondary.0.backend`"),
            (
                json!({ "backend": "memory", "layers": "validate" }),
                "configure: this must be a list, not text, key: `pair.primary.pair.secondary.0.layers`",
            ),
        ] {
            assert_eq!(nested(leg), expected);
        }
    }

    #[test]
    fn what_is_unknown_missing_twice_or_in_the_wrong_place_is_named() {
        for (table, expected) in [
            (json!({ "backend": "sqlite" }), "the scheme `sqlite` needs the cargo feature `sqlite`, key: `backend`"),
            (json!({ "backend": "sqltie" }), "there is no scheme `sqltie`, key: `backend`, nearest: `sqlite`"),
            (json!({ "backend": "validate" }), "`validate` is a layer and no backend, key: `backend`"),
            (
                json!({ "backend": "s3://user:canary@host" }),
                "this is not the name of a scheme, key: `backend`, known: `memory`, `pair`",
            ),
            (
                json!({ "backend": "memory", "layers": ["encrypt"] }),
                "the layer `encrypt` needs the cargo feature `encrypt`, key: `layers`",
            ),
            (
                json!({ "backend": "memory", "layers": ["valdate"] }),
                "there is no layer `valdate`, key: `layers`, nearest: `validate`",
            ),
            (json!({ "backend": "memory", "layers": ["pair"] }), "`pair` is a backend and no layer, key: `layers`"),
            (
                json!({ "backend": "memory", "layers": ["validate", "validate"] }),
                "a layer is named twice, key: `layers`, layer: `validate`",
            ),
            (
                json!({ "backend": "memory", "pair": {} }),
                "the stack has no such part, key: `pair`, parts: `memory`, `validate`",
            ),
            (
                json!({ "backend": "memory", "validate": { "max_depth": 1_000 } }),
                "this must not be greater than 96, key: `validate.max_depth`",
            ),
        ] {
            let error = build(table).unwrap_err();
            assert_eq!(error.to_string().split_once(": ").unwrap().1, expected);
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        }
    }
}
