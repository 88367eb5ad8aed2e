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
    registry
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}
