//! Reading a table of options into a struct, with errors that name the key and quote no value.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::names::shown_key;
use crate::{Error, ErrorKind, Result, nearest};

/// Reads a table into a struct.
///
/// Where text is asked for, a whole number or a boolean is its spelling: URLs and environment variables cannot say
/// which they mean.
pub(crate) fn read<C: DeserializeOwned>(table: impl Into<Value>) -> Result<C> {
    let path = RefCell::new(Vec::new());
    let traced = Traced { value: table.into(), path: &path };
    C::deserialize(traced).map_err(|wrong| wrong.at(path.into_inner()))
}

/// A value that knows its keys. The path is that of the value which is being read; an error leaves it there.
struct Traced<'a> {
    value: Value,
    path: &'a RefCell<Vec<String>>,
}

impl<'a> Traced<'a> {
    /// Reads one member, with its key at the end of the path meanwhile.
    fn member<'de, S: DeserializeSeed<'de>>(
        path: &'a RefCell<Vec<String>>,
        value: Value,
        seed: S,
    ) -> Result<S::Value, Wrong> {
        let read = seed.deserialize(Traced { value, path })?;
        path.borrow_mut().pop();
        Ok(read)
    }
}

/// Calls the visitor with text; what the visitor says of it never quotes it.
fn visit_text<'de, V: Visitor<'de>>(text: String, visitor: V) -> Result<V::Value, Wrong> {
    visitor.visit_string(text.clone()).map_err(|wrong: Wrong| wrong.without(&text))
}

impl<'de> Deserializer<'de> for Traced<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => Err(de::Error::custom("the number cannot be held exactly")),
            },
            Value::String(text) => visit_text(text, visitor),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0, path: self.path }),
            Value::Object(members) => visitor.visit_map(Members::new(members, self.path)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Bool(value) => visit_text(value.to_string(), visitor),
            Value::Number(number) if !number.is_f64() => visit_text(number.to_string(), visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            Value::Object(members) => visitor.visit_enum(MapAccessDeserializer::new(Members::new(members, self.path))),
            other => Err(de::Error::invalid_type(unexpected(&other), &"one of its names")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

struct Members<'a> {
    members: serde_json::map::IntoIter,
    value: Option<Value>,
    path: &'a RefCell<Vec<String>>,
}

impl<'a> Members<'a> {
    fn new(members: Map<String, Value>, path: &'a RefCell<Vec<String>>) -> Self {
        Self { members: members.into_iter(), value: None, path }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.path.borrow_mut().push(key.clone());
        self.value = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        Traced::member(self.path, self.value.take().unwrap_or_default(), seed)
    }
}

struct Items<'a> {
    items: std::vec::IntoIter<Value>,
    index: usize,
    path: &'a RefCell<Vec<String>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(value) = self.items.next() else { return Ok(None) };
        self.path.borrow_mut().push(self.index.to_string());
        self.index += 1;
        Traced::member(self.path, value, seed).map(Some)
    }
}

/// What is wrong with an option. Holds names, never a value.
#[derive(Debug, Default)]
struct Wrong {
    rule: String,
    /// A key that is not there, below the path.
    missing: Option<&'static str>,
    nearest: Option<&'static str>,
    known: &'static [&'static str],
    /// Someone else worded the rule.
    foreign: bool,
}

impl Wrong {
    fn of(rule: impl Into<String>) -> Self {
        Self { rule: rule.into(), ..Self::default() }
    }

    /// Takes out the value, if someone else has quoted it.
    fn without(mut self, value: &str) -> Self {
        if self.foreign && value.len() > 2 {
            let escaped = format!("{value:?}");
            let escaped = escaped.trim_matches('"');
            self.rule = self.rule.replace(value, "…").replace(escaped, "…");
        }
        self
    }

    fn at(self, mut path: Vec<String>) -> Error {
        path.extend(self.missing.map(str::to_owned));
        let mut error = Error::new(ErrorKind::ConfigInvalid, self.rule);
        if !path.is_empty() {
            error = error.with("key", shown_key(&path));
        }
        match (self.nearest, self.known) {
            (Some(nearest), _) => error.with("nearest", format_args!("`{nearest}`")),
            (None, []) => error,
            (None, known) => error.with("known", format_args!("`{}`", known.join("`, `"))),
        }
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { foreign: true, ..Self::of(message.to_string()) }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::of(format!("this must be {}, not {}", plain(expected), kind(found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match plain(expected).as_str() {
            "a whole number" | "a number" => Self::of("this number is out of range"),
            other => Self::of(format!("this must be {other}")),
        }
    }

    fn invalid_length(_: usize, expected: &dyn de::Expected) -> Self {
        Self::of(format!("this must be {}", plain(expected)))
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self {
            nearest: nearest(found, known.iter().copied()),
            ..Self::of(format!("this must be `{}`", known.join("` or `")))
        }
    }

    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        match known {
            [] => Self::of("there are no options here"),
            _ => Self { nearest: nearest(found, known.iter().copied()), known, ..Self::of("there is no such key") },
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::of("a key is missing") }
    }
}

/// What serde expects, without the names of Rust's types.
fn plain(expected: &dyn de::Expected) -> String {
    match expected.to_string().as_str() {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "path string" => "a path".to_owned(),
        "a map" => "a table".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => Unexpected::Float(number.as_f64().unwrap_or_default()),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// What was found, without its value.
fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        _ => "what it is",
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)
    }
}

impl std::error::Error for Wrong {}
