//! Which options belong to the stack, and which were only inherited.

use std::collections::BTreeSet;

use craftx_core::{Registry, Result};
use serde_json::{Map, Value};

use super::Origin;
use super::entry::{suggesting, wrong};
use super::merged::Merged;

/// The layer that every stack has, named or not.
const ALWAYS: &str = "validate";

/// Takes out the options of what is no part of its stack, if they were inherited; refuses them if they were not.
pub(super) struct Parts<'a> {
    pub(super) merged: &'a Merged,
    pub(super) registry: &'a Registry,
    /// Whether a value of this origin has to be used.
    pub(super) binds: &'a dyn Fn(&Origin) -> bool,
}

impl Parts<'_> {
    /// The table of the whole stack.
    pub(super) fn of_the_stack(&self) -> Result<Map<String, Value>> {
        self.stack(self.merged.table(), &mut Vec::new())
    }

    fn stack(&self, table: Map<String, Value>, path: &mut Vec<String>) -> Result<Map<String, Value>> {
        let Some(parts) = named_parts(&table).filter(|parts| parts.iter().all(|part| self.is_known(part))) else {
            // Whoever builds the stack says what is wrong with the names.
            return Ok(table);
        };
        let mut kept = Map::new();
        for (key, value) in table {
            path.push(key.clone());
            if key == "backend" || key == "layers" {
                kept.insert(key, value);
            } else if parts.contains(&key) {
                kept.insert(key, self.nested(value, path)?);
            } else if self.is_known(&key) {
                self.may_be_left_out(&value, path, &parts)?;
            } else {
                return Err(self.unknown(&key, path));
            }
            path.pop();
        }
        Ok(kept)
    }

    /// A composite backend has stacks among its options: tables with the key `backend`.
    fn nested(&self, value: Value, path: &mut Vec<String>) -> Result<Value> {
        let mut member = |key: String, value: Value| {
            path.push(key);
            let value = self.nested(value, path)?;
            path.pop();
            Ok(value)
        };
        match value {
            Value::Array(items) => {
                let items = items.into_iter().enumerate().map(|(index, item)| member(index.to_string(), item));
                items.collect::<Result<_>>().map(Value::Array)
            }
            Value::Object(table) if table.contains_key("backend") => self.stack(table, path).map(Value::Object),
            Value::Object(table) => {
                let members = table.into_iter().map(|(key, value)| Ok((key.clone(), member(key, value)?)));
                members.collect::<Result<_>>().map(Value::Object)
            }
            other => Ok(other),
        }
    }

    fn is_known(&self, part: &str) -> bool {
        self.known().any(|known| known == part)
    }

    fn known(&self) -> impl Iterator<Item = &str> {
        self.registry.schemes().chain(self.registry.layers()).chain(self.registry.missing())
    }

    fn may_be_left_out(&self, value: &Value, path: &mut Vec<String>, parts: &BTreeSet<String>) -> Result<()> {
        match value {
            Value::Object(table) if !table.is_empty() => table.iter().try_for_each(|(key, value)| {
                path.push(key.clone());
                self.may_be_left_out(value, path, parts)?;
                path.pop();
                Ok(())
            }),
            _ => match self.merged.origin(path).filter(|origin| (self.binds)(origin)) {
                None => Ok(()),
                Some(origin) => {
                    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
                    let error = wrong("this belongs to no part of the stack", path, origin);
                    Err(error.with("parts", format_args!("`{}`", parts.join("`, `"))))
                }
            },
        }
    }

    fn unknown(&self, key: &str, path: &[String]) -> craftx_core::Error {
        let origin = self.merged.origin(path).unwrap_or(&Origin::Default);
        let error = wrong("there is no such key", path, origin);
        let top = if path.len() == 1 { ["profile", "profiles"].as_slice() } else { &[] };
        suggesting(error, key, ["backend", "layers"].into_iter().chain(top.iter().copied()).chain(self.known()))
    }
}

/// The backend and the layers of a stack, if it is plain which they are.
fn named_parts(table: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let mut parts = BTreeSet::from([table.get("backend")?.as_str()?.to_owned(), ALWAYS.to_owned()]);
    if let Some(layers) = table.get("layers") {
        for layer in layers.as_array()? {
            parts.insert(layer.as_str()?.to_owned());
        }
    }
    Some(parts)
}
