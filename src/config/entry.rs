//! What each source says: one value under one key.

use craftx_core::{Error, ErrorKind, is_name, nearest};
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
pub(super) fn wrong(rule: impl Into<String>, path: &[String], origin: &Origin) -> Error {
    unusable(rule).with("key", shown(path)).with("source", origin)
}

/// A key as errors show it. What does not look like a name may be a secret in the wrong place.
pub(super) fn shown(path: &[String]) -> String {
    format!("`{}`", key_of(path))
}

/// A key, its parts separated by dots.
pub(super) fn key_of(path: &[String]) -> String {
    let parts: Vec<_> = path.iter().map(|part| if is_name(part) { part.as_str() } else { MASK }).collect();
    parts.join(".")
}

/// What is shown in place of what may be secret.
pub(super) const MASK: &str = "…";

/// The rule for names and keys.
pub(super) const NO_NAME: &str = "a name consists of up to 40 letters, digits, `_`, `-` and `+`";

/// The path of a key.
pub(super) fn keys<const N: usize>(path: [&str; N]) -> Vec<String> {
    path.map(str::to_owned).to_vec()
}

/// An error of a configuration.
pub(super) fn unusable(rule: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, rule.into()).during("configure")
}

/// Adds the known name that was probably meant, or all of them.
pub(super) fn suggesting<'a>(error: Error, found: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    let known: Vec<_> = known.into_iter().collect();
    match nearest(found, known.iter().copied()) {
        Some(nearest) => error.with("nearest", format_args!("`{nearest}`")),
        None => error.with("known", format_args!("`{}`", known.join("`, `"))),
    }
}
