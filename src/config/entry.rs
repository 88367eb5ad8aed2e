//! What each source says: one value under one key.

use craftx_core::{Error, ErrorKind, Result, is_name, nearest};
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

/// A key as errors show it.
pub(super) fn shown(path: &[String]) -> String {
    format!("`{}`", path.join("."))
}

/// What is shown in place of what may be secret.
pub(super) const MASK: &str = "…";

/// Refuses a key that does not look like one. It may be a secret in the wrong place, so it is not shown.
pub(super) fn check_names(path: &[String], origin: &Origin) -> Result<()> {
    if path.iter().all(|key| is_name(key)) {
        return Ok(());
    }
    let masked: Vec<_> = path.iter().map(|key| if is_name(key) { key.clone() } else { MASK.to_owned() }).collect();
    Err(wrong("a name consists of up to 40 letters, digits, `_`, `-` and `+`", &masked, origin))
}

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
