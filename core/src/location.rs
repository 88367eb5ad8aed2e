//! Where a store is: `scheme:path?option=value`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result, json};

/// Where a store is and how it shall be opened, as written in a URL.
///
/// The form is `scheme:path` or `scheme://path`, then options after the first `?`. The path is taken as it stands:
/// nothing in it is decoded, and `sqlite:a.db` and `sqlite://a.db` both mean `a.db` in the current folder.
///
/// ```
/// use craftx_core::Location;
/// let location = Location::parse("sqlite:data/chat.db?durability=process-crash")?;
/// assert_eq!((location.scheme(), location.path()), ("sqlite", "data/chat.db"));
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Location {
    scheme: String,
    path: String,
    options: Map<String, Value>,
}

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if it has no scheme, or an option is not of the form `key=value` or given twice.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong =
            |rule: &'static str| Error::new(ErrorKind::ConfigInvalid, rule).during("open").with("url", mask(url));
        let (scheme, rest) = url
            .split_once(':')
            .ok_or_else(|| wrong("a store is written as `scheme:path`, such as `json:chat_logs`"))?;
        if scheme.is_empty()
            || !scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'+' || b == b'-')
        {
            return Err(wrong("the scheme of a store consists of lower-case letters, digits, `+` and `-`"));
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, query),
            None => (rest, ""),
        };
        let mut options = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| wrong("an option is written as `key=value`"))?;
            if options.insert(key.to_owned(), scalar(value)).is_some() {
                return Err(wrong("an option is given twice").with("option", format!("`{key}`")));
            }
        }
        let path = path.strip_prefix("//").unwrap_or(path).to_owned();
        Ok(Self { scheme: scheme.to_owned(), path, options })
    }

    /// The scheme.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The path, undecoded.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads path and options into the configuration of a backend: a struct with a field `path`, if the backend has
    /// one, and a field for each option, unknown fields denied.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] naming what is unknown, missing or of the wrong type; no value is quoted.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C> {
        let mut table = self.options.clone();
        if !self.path.is_empty() && table.insert("path".to_owned(), Value::String(self.path.clone())).is_some() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the path is given twice").during("open"));
        }
        serde_json::from_value(Value::Object(table)).map_err(|error| {
            Error::new(ErrorKind::ConfigInvalid, json::without_values(&error.to_string()))
                .during("open")
                .with("scheme", format!("`{}`", self.scheme))
        })
    }
}

/// `true`, `false` and whole numbers are what they look like; everything else is text.
fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

/// The URL without what may be secret: user information and the values of options.
fn mask(url: &str) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let shown = match (before.split_once("://"), before.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://…{}", before.get(at..).unwrap_or_default()),
        _ => before.to_owned(),
    };
    if query.is_empty() { format!("`{shown}`") } else { format!("`{shown}?…`") }
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&mask(&format!("{}:{}", self.scheme, self.path)))
    }
}
