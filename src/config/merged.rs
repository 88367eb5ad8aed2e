//! All sources put over each other, by figment.

use std::collections::BTreeMap;

use craftx_core::Result;
use figment::value::{Dict, Empty, Num, Tag, Value as Tagged};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::{Map, Value};

use super::Origin;
use super::entry::{Entry, check_names, unusable, wrong};

/// All sources put over each other. Tables are merged, everything else replaces what it lies over.
#[derive(Clone, Default)]
pub(super) struct Merged {
    figment: Figment,
    /// Each value carries the tag of the entry that set it.
    origins: BTreeMap<Tag, Origin>,
    /// A table carries the tag of what was put into it last, so where it begins is kept here.
    tables: BTreeMap<Vec<String>, Origin>,
}

/// One entry as a source for figment, so that each value has a tag of its own.
struct Leaf(Dict);

impl Provider for Leaf {
    fn metadata(&self) -> Metadata {
        Metadata::named("craftx")
    }

    fn data(&self) -> Result<BTreeMap<Profile, Dict>, figment::Error> {
        Ok(BTreeMap::from([(Profile::Default, self.0.clone())]))
    }
}

impl Merged {
    /// Puts an entry over what is there. A list is replaced as a whole, or one of its items is named by its number.
    pub(super) fn put(&mut self, entry: Entry) -> Result<()> {
        let Entry { path, value, origin } = entry;
        check_names(&path, &origin)?;
        if value.as_object().is_some_and(Map::is_empty) {
            self.tables.insert(path.clone(), origin.clone());
        }
        let mut root = self.root()?;
        let leaf = match list_on_the_way(&root, &path) {
            None => nested(&path, tagged(value)),
            Some(depth) => {
                set(&mut root, &path, tagged(value))
                    .ok_or_else(|| wrong("the list has no such item", &path, &origin))?;
                let (list, _) = path.split_at(depth);
                nested(list, find(&root, list).cloned().unwrap_or_else(|| Tagged::from(Vec::<Tagged>::new())))
            }
        };
        // A key has at least one part, so this is a table.
        let Tagged::Dict(_, leaf) = leaf else { return Ok(()) };
        self.figment = std::mem::take(&mut self.figment).merge(Leaf(leaf));
        if let Some(value) = find(&self.root()?, &path) {
            self.origins.insert(value.tag(), origin);
        }
        Ok(())
    }

    fn root(&self) -> Result<Tagged> {
        // None of the sources fails, so nothing of figment's wording, which quotes values, is ever shown.
        let mut data = self.figment.data().map_err(|_| unusable("the sources cannot be merged"))?;
        Ok(Tagged::from(data.remove(&Profile::Default).unwrap_or_default()))
    }

    /// The value under a key.
    pub(super) fn get(&self, path: &[String]) -> Option<Value> {
        find(&self.root().ok()?, path).map(plain)
    }

    /// Where the value under a key came from.
    pub(super) fn origin(&self, path: &[String]) -> Option<&Origin> {
        let root = self.root().ok()?;
        match (find(&root, path)?, self.tables.get(path)) {
            (Tagged::Dict(..), Some(origin)) => Some(origin),
            (value, _) => self.origins.get(&value.tag()),
        }
    }

    /// Everything.
    pub(super) fn table(&self) -> Map<String, Value> {
        match self.get(&[]) {
            Some(Value::Object(table)) => table,
            _ => Map::new(),
        }
    }
}

/// How many keys of the path lead to the first list on it, if that is not its end.
fn list_on_the_way(root: &Tagged, path: &[String]) -> Option<usize> {
    (0..path.len()).find(|depth| matches!(find(root, path.split_at(*depth).0), Some(Tagged::Array(..))))
}

fn find<'a>(root: &'a Tagged, path: &[String]) -> Option<&'a Tagged> {
    path.iter().try_fold(root, |value, key| match value {
        Tagged::Dict(_, table) => table.get(key),
        Tagged::Array(_, items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Sets a value inside of tables and lists; a list grows by one item at most.
fn set(root: &mut Tagged, path: &[String], value: Tagged) -> Option<()> {
    let Some((key, rest)) = path.split_first() else {
        // A table is put over a table by its members, which come by themselves.
        if !matches!((&*root, &value), (Tagged::Dict(..), Tagged::Dict(..))) {
            *root = value;
        }
        return Some(());
    };
    match root {
        Tagged::Array(_, items) => {
            let index = key.parse::<usize>().ok()?;
            if index == items.len() {
                items.push(Tagged::from(Dict::new()));
            }
            set(items.get_mut(index)?, rest, value)
        }
        Tagged::Dict(_, table) => set(table.entry(key.clone()).or_insert_with(|| Dict::new().into()), rest, value),
        other => {
            *other = nested(path, value);
            Some(())
        }
    }
}

fn nested(path: &[String], value: Tagged) -> Tagged {
    path.iter().rev().fold(value, |value, key| Dict::from([(key.clone(), value)]).into())
}

fn tagged(value: Value) -> Tagged {
    match value {
        Value::Null => Empty::None.into(),
        Value::Bool(value) => value.into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => items.into_iter().map(tagged).collect::<Vec<_>>().into(),
        Value::Object(table) => table.into_iter().map(|(key, value)| (key, tagged(value))).collect::<Dict>().into(),
    }
}

fn plain(value: &Tagged) -> Value {
    match value {
        Tagged::String(_, text) => Value::String(text.clone()),
        Tagged::Char(_, letter) => Value::String(letter.to_string()),
        Tagged::Bool(_, value) => Value::Bool(*value),
        Tagged::Num(_, Num::I64(number)) => (*number).into(),
        Tagged::Num(_, Num::U64(number)) => (*number).into(),
        Tagged::Num(_, Num::F64(number)) => (*number).into(),
        // No source has any other number.
        Tagged::Num(..) | Tagged::Empty(..) => Value::Null,
        Tagged::Dict(_, table) => {
            table.iter().map(|(key, value)| (key.clone(), plain(value))).collect::<Map<_, _>>().into()
        }
        Tagged::Array(_, items) => items.iter().map(plain).collect::<Vec<_>>().into(),
    }
}
