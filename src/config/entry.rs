//! What each source says: one value under one key.

use craftx_core::{Error, ErrorKind};
use serde_json::Value;

use super::Origin;

/// One value, its key, and where it came from.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Entry {
    pub(super) fn new(path: Vec<String>, value: impl Into<Value>, origin: Origin) -> Self {
        Self { path, value: value.into(), origin }
    }
}

/// An error about a key.
pub(super) fn wrong(rule: impl Into<String>, key: &str, origin: &Origin) -> Error {
    unusable(rule).with("key", format_args!("`{key}`")).with("source", origin)
}

/// An error of a configuration.
pub(super) fn unusable(rule: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, rule.into()).during("configure")
}

/// Adds the known name that was probably meant, or all of them.
pub(super) fn suggesting<'a>(error: Error, found: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    let known: Vec<_> = known.into_iter().collect();
    match craftx_core::nearest(found, known.iter().copied()) {
        Some(nearest) => error.with("nearest", format_args!("`{nearest}`")),
        None => error.with("known", format_args!("`{}`", known.join("`, `"))),
    }
}
