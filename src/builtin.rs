//! The schemes that this build of craftx can open.

use std::sync::Arc;

use craftx_core::{Memory, Registry};

/// A registry with `memory:` and every backend that was chosen by cargo features. Register plugins on top of it.
///
/// ```
/// let registry = craftx::builtin();
/// assert!(registry.schemes().any(|scheme| scheme == "memory"));
/// ```
pub fn builtin() -> Registry {
    let mut registry = Registry::new();
    registry.register("memory", |part| {
        part.config::<NoOptions>()?;
        Ok(Arc::new(Memory::new()))
    });
    #[cfg(feature = "json")]
    craftx_json::register(&mut registry);
    #[cfg(feature = "sqlite")]
    craftx_sqlite::register(&mut registry);
    for feature in ["json", "sqlite"] {
        registry.mention_missing(feature, format!("the cargo feature `{feature}`"));
    }
    for (name, package) in LATER {
        registry.mention_missing(*name, format!("the package `{package}`, which comes with a later release"));
    }
    registry
}

/// Backends and layers that configurations may name already, so that nothing else is used in their place.
const LATER: &[(&str, &str)] = &[
    ("access", "craftx-access"),
    ("az", "craftx-object"),
    ("encrypt", "craftx-encrypt"),
    ("gs", "craftx-object"),
    ("hybrid", "craftx-failover"),
    ("observe", "craftx-observe"),
    ("postgres", "craftx-postgres"),
    ("redis", "craftx-redis"),
    ("retry", "craftx-retry"),
    ("s3", "craftx-object"),
    ("timeout", "craftx-retry"),
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}
