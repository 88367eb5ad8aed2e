//! The three variables of the *CraftX.py Storage System Guide*.
//!
//! The Python original changed only keys that the chosen profile had on its top level, ignored the paths of hybrids, and
//! let `CRAFTX_STORAGE_TYPE=sqlite` silently drop the second copy of a hybrid. Here a variable works wherever it has a
//! meaning, and is an error everywhere else.

use craftx_core::{Registry, Result};
use serde_json::Value;

use super::Origin;
use super::entry::{Entry, keys, shown, suggesting};
use super::merged::Merged;
use super::variables::{self, Variables, about};

/// The paths that the original opened when it was told nothing but the type.
const DEFAULT_PATHS: [(&str, &str); 2] = [("sqlite", "craftx.db"), ("json", "chat_logs")];

/// Puts the guide's variables over the rest of the environment.
pub(super) fn apply(merged: &mut Merged, variables: &Variables, registry: &Registry) -> Result<()> {
    if let Some(kind) = &variables.kind {
        apply_type(merged, &kind.to_ascii_lowercase(), variables, registry)?;
    }
    let paths = [
        ("sqlite", variables::DB_PATH, &variables.db_path),
        ("json", variables::STORAGE_PATH, &variables.storage_path),
    ];
    for (scheme, name, value) in paths {
        if let Some(value) = value {
            apply_path(merged, scheme, name, value)?;
        }
    }
    Ok(())
}

fn apply_type(merged: &mut Merged, kind: &str, variables: &Variables, registry: &Registry) -> Result<()> {
    let origin = Origin::Variable { name: variables::TYPE.to_owned() };
    let backend = keys(["backend"]);
    if variables.entries.iter().any(|entry| entry.path == backend) {
        let error = about(variables::TYPE, "two variables choose the backend");
        return Err(error.with("other", format_args!("variable `{}`", variables::BACKEND)));
    }
    if !registry.schemes().chain(registry.missing()).any(|known| known == kind) {
        return Err(suggesting(about(variables::TYPE, "there is no such type of storage"), kind, registry.schemes()));
    }
    let chosen = merged.get(&backend).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    if chosen == kind {
        return Ok(());
    }
    let because = |rule: &str| {
        let error = about(variables::TYPE, rule).with("backend", format_args!("`{chosen}`"));
        match merged.origin(&backend) {
            Some(origin) => error.with("chosen_by", origin),
            None => error,
        }
    };
    if is_composite(merged, &chosen) {
        return Err(because("this would silently drop the other copies of the data; choose a profile with one store"));
    }
    if kind == "hybrid" && !is_composite(merged, kind) {
        return Err(because("this needs a profile with several stores, such as `production_hybrid`"));
    }
    merged.put(Entry::new(backend, kind, origin.clone()))?;
    for (scheme, path) in DEFAULT_PATHS {
        let key = keys([scheme, "path"]);
        if scheme == kind && merged.get(&key).is_none() {
            merged.put(Entry::new(key, path, origin.clone()))?;
        }
    }
    Ok(())
}

fn apply_path(merged: &mut Merged, scheme: &str, name: &str, value: &str) -> Result<()> {
    let origin = Origin::Variable { name: name.to_owned() };
    let mut stacks = Vec::new();
    stacks_over(scheme, &Value::Object(merged.table()), &mut Vec::new(), &mut stacks);
    let [stack] = stacks.as_slice() else {
        let error = match stacks.len() {
            0 => about(name, format!("this means the path of a `{scheme}` store, and the stack has none")),
            _ => about(name, format!("the stack has several `{scheme}` stores, and this does not say which")),
        };
        let found: Vec<_> = stacks.iter().map(|stack| shown(&path_in(stack, scheme))).collect();
        return Err(match (found.as_slice(), merged.origin(&keys(["backend"]))) {
            ([], Some(origin)) => error.with("chosen_by", origin),
            ([], None) => error,
            _ => error.with("keys", found.join(", ")),
        });
    };
    let key = path_in(stack, scheme);
    if let Some(other @ Origin::Variable { .. }) = merged.origin(&key)
        && *other != (Origin::Variable { name: variables::TYPE.to_owned() })
    {
        let error = about(name, "two variables say the same").with("other", other);
        return Err(error.with("key", shown(&key)));
    }
    merged.put(Entry::new(key, value, origin))
}

/// The key of the path of the store in a stack.
fn path_in(stack: &[String], scheme: &str) -> Vec<String> {
    [stack.to_vec(), keys([scheme, "path"])].concat()
}

/// Whether the options of a backend have whole stacks in them.
fn is_composite(merged: &Merged, backend: &str) -> bool {
    merged.get(&keys([backend])).is_some_and(|options| holds_stack(&options))
}

fn holds_stack(value: &Value) -> bool {
    match value {
        Value::Object(table) => table.contains_key("backend") || table.values().any(holds_stack),
        Value::Array(items) => items.iter().any(holds_stack),
        _ => false,
    }
}

/// The keys of all stacks, nested ones included, whose backend has this scheme.
fn stacks_over(scheme: &str, value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut member = |key: &str, value: &Value| {
        path.push(key.to_owned());
        stacks_over(scheme, value, path, found);
        path.pop();
    };
    match value {
        Value::Object(table) => match table.get("backend").and_then(Value::as_str) {
            Some(backend) if backend == scheme => found.push(path.clone()),
            // What belongs to another backend than the chosen one does not count.
            Some(backend) => table.get(backend).into_iter().for_each(|options| member(backend, options)),
            None => table.iter().for_each(|(key, value)| member(key, value)),
        },
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| member(&index.to_string(), item));
        }
        _ => {}
    }
}
