//! Reading a table of options into a struct, with errors that name the key and quote no value.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Number, Value};

use crate::names::shown_key;
use crate::{Error, ErrorKind, Result, nearest};

/// Reads a table into a struct.
///
/// Where text is asked for, a number or a boolean is its spelling: URLs and environment variables cannot say which they
/// mean ([`option_value`]).
pub(crate) fn read<C: DeserializeOwned>(table: impl Into<Value>) -> Result<C> {
    let (table, path) = (table.into(), RefCell::new(Vec::new()));
    let traced = Traced { value: table.clone(), path: &path };
    C::deserialize(traced).map_err(|wrong| wrong.without_values(&table).at(path.into_inner()))
}

/// What the text of an option means, in a URL or an environment variable: booleans and numbers are what they look like,
/// unless they would be spelled in another way; everything else is text.
///
/// ```
/// use craftx_core::option_value;
/// use serde_json::json;
/// assert_eq!(option_value("8"), json!(8));
/// assert_eq!(option_value("0.5"), json!(0.5));
/// assert_eq!(option_value("007"), json!("007"));
/// ```
pub fn option_value(text: &str) -> Value {
    let whole = text.parse::<i64>().ok().map(Number::from);
    let number = whole.or_else(|| Number::from_f64(text.parse().ok()?));
    match (text.parse::<bool>(), number) {
        (Ok(value), _) => Value::Bool(value),
        (_, Some(number)) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
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
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0, path: self.path }),
            Value::Object(members) => visitor.visit_map(Members::new(members, self.path)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Bool(value) => visitor.visit_string(value.to_string()),
            Value::Number(number) => visitor.visit_string(number.to_string()),
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

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value {
            // Serde would take a list for the fields without their names.
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"a table")),
            _ => self.deserialize_any(visitor),
        }
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
        identifier ignored_any
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

    /// Takes out every text of the table that somebody else may have quoted.
    fn without_values(mut self, table: &Value) -> Self {
        let mut rest = if self.foreign { vec![table] } else { Vec::new() };
        let mut texts = Vec::new();
        while let Some(value) = rest.pop() {
            match value {
                Value::String(text) if text.len() > 2 => texts.push(text.as_str()),
                Value::Array(items) => rest.extend(items),
                Value::Object(members) => rest.extend(members.values()),
                _ => {}
            }
        }
        // The longest first: a shorter one may be a part of it.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        for text in texts {
            let escaped = format!("{text:?}");
            self.rule = self.rule.replace(text, "…").replace(escaped.trim_matches('"'), "…");
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        First,
        Second { depth: u32 },
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Table {
        number: i16,
        ratio: f32,
        flag: bool,
        text: String,
        maybe: Option<u32>,
        choice: Option<Choice>,
        list: Vec<u8>,
        pair: (u8, u8),
        map: BTreeMap<String, u8>,
        inner: Inner,
        address: Option<std::net::IpAddr>,
        anything: Value,
    }

    #[derive(Debug, Default, Deserialize)]
    struct Inner {
        name: String,
    }

    fn said(table: Value) -> String {
        read::<Table>(table).unwrap_err().to_string()
    }

    #[test]
    fn text_that_looks_like_a_number_is_still_text_where_text_is_asked_for() {
        for text in
            ["0", "-1", "9223372036854775807", "0.5", "5.0", "1e-7", "true", "007", "1.50", "+1", "NaN", "inf", ""]
        {
            let table: Table = read(json!({ "text": option_value(text) })).unwrap();
            assert_eq!(table.text, text);
        }
        let numbers: Vec<_> =
            ["-1", "0.5", "5.0", "1e-7"].map(option_value).into_iter().filter(Value::is_number).collect();
        assert_eq!(numbers.len(), 4);
    }

    #[test]
    fn every_shape_is_read() {
        let table: Table = read(json!({
            "number": -32768, "ratio": 0.5, "flag": false, "text": 2024, "maybe": null, "choice": "first",
            "list": [1, 2], "pair": [3, 4], "map": { "a": 1 }, "inner": { "name": true }, "address": "::1",
            "anything": { "a": [1.5, null] },
        }))
        .unwrap();
        assert_eq!((table.number, table.ratio, table.flag, table.maybe), (-32768, 0.5, false, None));
        assert_eq!((table.text.as_str(), table.inner.name.as_str()), ("2024", "true"));
        assert_eq!(
            (table.choice, table.list, table.pair, table.map.len()),
            (Some(Choice::First), vec![1, 2], (3, 4), 1)
        );
        assert_eq!(table.anything, json!({ "a": [1.5, null] }));
        let nested: Table = read(json!({ "choice": { "second": { "depth": 2 } }, "maybe": 3 })).unwrap();
        assert_eq!((nested.choice, nested.maybe), (Some(Choice::Second { depth: 2 }), Some(3)));
    }

    #[test]
    fn whatever_is_wrong_is_named_and_no_value_is_quoted() {
        for (table, expected) in [
            (json!({ "number": 32768 }), "this number is out of range, key: `number`"),
            (json!({ "number": 1.5 }), "this must be a whole number, not a number, key: `number`"),
            (json!({ "ratio": "canary" }), "this must be a number, not text, key: `ratio`"),
            (json!({ "flag": "canary" }), "this must be a boolean, not text, key: `flag`"),
            (json!({ "text": ["canary"] }), "this must be a string, not a list, key: `text`"),
            (json!({ "maybe": {} }), "this must be a whole number, not a table, key: `maybe`"),
            (json!({ "choice": "frist" }), "this must be `first` or `second`, key: `choice`, nearest: `first`"),
            (json!({ "choice": 5 }), "this must be one of its names, not a number, key: `choice`"),
            (json!({ "choice": { "second": {} } }), "a key is missing, key: `choice.second.depth`"),
            (json!({ "list": [1, 2, 256] }), "this number is out of range, key: `list.2`"),
            (json!({ "map": { "canary@x": "y" } }), "this must be a whole number, not text, key: `map.…`"),
            (json!({ "inner": {} }), "a key is missing, key: `inner.name`"),
            (json!({ "inner": "canary" }), "this must be a table, not text, key: `inner`"),
            (json!({ "address": "canary" }), "invalid IP address syntax, key: `address`"),
            (json!({ "falg": 1 }), "there is no such key, key: `falg`, nearest: `flag`"),
            (json!(["canary"]), "this must be a table, not a list"),
        ] {
            assert_eq!(said(table), expected);
        }
    }

    #[test]
    fn a_value_that_somebody_else_quotes_is_taken_out() {
        #[derive(Debug)]
        struct Loud;
        impl<'de> Deserialize<'de> for Loud {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Err(de::Error::custom(format!("{text} and {text:?} are wrong")))
            }
        }
        let table = json!({ "key": "can\"ary", "other": "can" });
        let error = read::<BTreeMap<String, Loud>>(table).unwrap_err();
        assert_eq!(error.to_string(), "… and \"…\" are wrong, key: `key`");
    }
}
