//! What the environment says: `CRAFTX_PART__KEY`.

use std::ffi::{OsStr, OsString};

use craftx_core::{Error, Registry, Result, is_name, nearest, option_value};
use serde_json::Value;

use super::Origin;
use super::entry::{Entry, shown, suggesting, unusable};

/// What all variables begin with.
const PREFIX: &str = "CRAFTX_";
pub(super) const TYPE: &str = "CRAFTX_STORAGE_TYPE";
pub(super) const DB_PATH: &str = "CRAFTX_DB_PATH";
pub(super) const STORAGE_PATH: &str = "CRAFTX_STORAGE_PATH";
pub(super) const PROFILE: &str = "CRAFTX_PROFILE";
pub(super) const CONFIG: &str = "CRAFTX_CONFIG";
pub(super) const BACKEND: &str = "CRAFTX_BACKEND";
const LAYERS: &str = "CRAFTX_LAYERS";

/// Variables of craftx's own tests and benches. They may be set where a program that uses craftx is developed.
const OTHERS: [&str; 7] = ["TEST_", "BENCH_", "CONFORMANCE_", "FAULTS", "UPDATE", "SHARED_DATA", "WRITE_FIXTURE"];

/// What the environment says.
#[derive(Default)]
pub(super) struct Variables {
    pub(super) profile: Option<String>,
    pub(super) config: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) db_path: Option<String>,
    pub(super) storage_path: Option<String>,
    pub(super) entries: Vec<Entry>,
}

impl Variables {
    /// Reads the variables that are meant for craftx.
    pub(super) fn read(variables: &[(OsString, OsString)], registry: &Registry) -> Result<Self> {
        let mut found = Self::default();
        for (name, value) in variables {
            let Some((name, rest)) = ours(name)? else { continue };
            let value = value.to_str().ok_or_else(|| about(&name, "the value is no UTF-8"))?;
            if value.is_empty() && !rest.contains("__") {
                return Err(about(&name, "the value is empty; a variable that is not meant has to be unset"));
            }
            let slot = match name.as_str() {
                PROFILE => &mut found.profile,
                CONFIG => &mut found.config,
                TYPE => &mut found.kind,
                DB_PATH => &mut found.db_path,
                STORAGE_PATH => &mut found.storage_path,
                _ => {
                    let path = path(&name, rest, registry)?;
                    let value =
                        if path.last().is_some_and(|key| key == "layers") { list(value) } else { option_value(value) };
                    found.entries.push(Entry::new(path, value, Origin::Variable { name: name.clone() }));
                    continue;
                }
            };
            *slot = Some(value.to_owned());
        }
        found.entries.sort_by(|a, b| a.path.cmp(&b.path));
        for pair in found.entries.windows(2) {
            if let [one, other] = pair
                && other.path.starts_with(&one.path)
            {
                let error = unusable("these variables contradict each other").with("source", &one.origin);
                return Err(error.with("other", &other.origin).with("key", shown(&one.path)));
            }
        }
        Ok(found)
    }
}

/// The name of a variable that is meant for craftx, and what follows the prefix.
fn ours(name: &OsStr) -> Result<Option<(String, &str)>> {
    let Some(text) = name.to_str() else {
        return match name.to_string_lossy().starts_with(PREFIX) {
            true => Err(about(&name.to_string_lossy(), "the name is no UTF-8")),
            false => Ok(None),
        };
    };
    let Some(rest) = text.strip_prefix(PREFIX) else { return Ok(None) };
    let is_other = !rest.contains("__") && OTHERS.iter().any(|word| rest.starts_with(word));
    Ok((!is_other).then(|| (text.to_owned(), rest)))
}

/// The key that a variable names.
fn path(name: &str, rest: &str, registry: &Registry) -> Result<Vec<String>> {
    let parts: Vec<&str> = registry.schemes().chain(registry.layers()).chain(registry.missing()).collect();
    let mut path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
    // The last one is the key of an option, the others may be names of parts.
    for segment in path.iter_mut().rev().skip(1) {
        if let Some(part) = parts.iter().find(|part| part.replace(['-', '+'], "_") == *segment) {
            *segment = (*part).to_owned();
        }
    }
    let [first, others @ ..] = path.as_slice() else { return Err(about(name, "there is no such variable")) };
    if rest.bytes().any(|byte| byte.is_ascii_lowercase()) || !path.iter().all(|key| is_name(key)) {
        return Err(about(name, "a variable is written as `CRAFTX_PART__KEY`, in capitals"));
    }
    let is_part = parts.contains(&first.as_str());
    match (first.as_str(), others) {
        ("backend" | "layers", []) => Ok(path),
        (_, []) if is_part => {
            let error = about(name, "this names a part and no key of it");
            Err(error.with("nearest", format_args!("`{name}__KEY`")))
        }
        (_, [_, ..]) if is_part => Ok(path),
        _ => Err(unknown(name, rest, &parts)),
    }
}

/// There is no such variable; says which one was probably meant.
fn unknown(name: &str, rest: &str, parts: &[&str]) -> Error {
    let error = about(name, "there is no such variable");
    let names: Vec<String> = parts.iter().map(|part| part.replace(['-', '+'], "_").to_ascii_uppercase()).collect();
    if let Some((first, key)) = rest.split_once("__") {
        return match nearest(first, names.iter().map(String::as_str)) {
            Some(part) => error.with("nearest", format_args!("`{PREFIX}{part}__{key}`")),
            None => suggesting(error, first, parts.iter().copied()),
        };
    }
    let single = names.iter().find_map(|part| Some((part, rest.strip_prefix(part.as_str())?.strip_prefix('_')?)));
    match single {
        Some((part, key)) => error.with("nearest", format_args!("`{PREFIX}{part}__{key}`")),
        None => suggesting(error, name, [PROFILE, CONFIG, BACKEND, LAYERS, TYPE, DB_PATH, STORAGE_PATH]),
    }
}

/// An error about a variable.
pub(super) fn about(name: &str, rule: impl Into<String>) -> Error {
    unusable(rule).with("source", format_args!("variable `{name}`"))
}

/// The variable that sets a key.
pub(super) fn variable_of(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("__").replace(['-', '+'], "_").to_ascii_uppercase())
}

fn list(text: &str) -> Value {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}
