//! The backends and layers that this build of craftx has.

use std::sync::Arc;

use craftx_core::{Memory, Registry};

/// A registry with `memory:` and every backend and layer that was chosen by cargo features. Register plugins on top of it.
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
    #[cfg(feature = "postgres")]
    craftx_postgres::register(&mut registry);
    #[cfg(feature = "access")]
    craftx_access::register(&mut registry);
    #[cfg(feature = "encrypt")]
    craftx_encrypt::register(&mut registry);
    #[cfg(feature = "failover")]
    craftx_failover::register(&mut registry);
    #[cfg(feature = "retry")]
    craftx_retry::register(&mut registry);
    for (name, feature) in FEATURES {
        registry.mention_missing(*name, format!("the cargo feature `{feature}`"));
    }
    for (name, package) in LATER {
        registry.mention_missing(*name, format!("the package `{package}`, which comes with a later release"));
    }
    registry
}

/// Backends and layers, and the features that bring them.
const FEATURES: &[(&str, &str)] = &[
    ("json", "json"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("sqlite", "sqlite"),
    ("access", "access"),
    ("encrypt", "encrypt"),
    ("hybrid", "failover"),
    ("breaker", "retry"),
    ("retry", "retry"),
    ("timeout", "retry"),
];

/// Backends and layers that configurations may name already, so that nothing else is used in their place.
const LATER: &[(&str, &str)] = &[
    ("az", "craftx-object"),
    ("gs", "craftx-object"),
    ("observe", "craftx-observe"),
    ("redis", "craftx-redis"),
    ("s3", "craftx-object"),
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}
