//! Where a store is: `scheme:path?option=value`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result, option_value, options, shown_url};

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
    /// The path is among them, so that it reaches a backend as any other option does.
    options: Map<String, Value>,
}

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if it has no scheme, an option is not of the form `key=value`, or something is given
    /// twice.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = |rule: &'static str| {
            Error::new(ErrorKind::ConfigInvalid, rule).during("open").with("url", format_args!("`{}`", shown_url(url)))
        };
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
            if options.insert(key.to_owned(), option_value(value)).is_some() {
                return Err(wrong("an option is given twice").with("option", format!("`{key}`")));
            }
        }
        let path = path.strip_prefix("//").unwrap_or(path).to_owned();
        if !path.is_empty() && options.insert("path".to_owned(), Value::String(path.clone())).is_some() {
            return Err(wrong("the path is given twice"));
        }
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
    /// [`ErrorKind::ConfigInvalid`] naming the option that is unknown, missing or of the wrong type; no value is quoted.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C> {
        options::read(self.options.clone())
            .map_err(|error| error.during("open").with("scheme", format_args!("`{}`", self.scheme)))
    }

    /// The options, the path among them.
    pub(crate) fn table(&self) -> &Map<String, Value> {
        &self.options
    }
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}:{}`", self.scheme, shown_url(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Config {
        path: String,
        readers: Option<u8>,
    }

    fn refused(url: &str) -> String {
        Location::parse(url).and_then(|location| location.config::<Config>()).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_option_is_named_and_its_value_is_not_quoted() {
        for (url, said) in [
            ("a:b?readers=canary", "open: this must be a whole number, not text, key: `readers`, scheme: `a`"),
            ("a:b?readers=256", "open: this number is out of range, key: `readers`, scheme: `a`"),
            ("a:b?reader=canary", "open: there is no such key, key: `reader`, nearest: `readers`, scheme: `a`"),
            ("a:", "open: a key is missing, key: `path`, scheme: `a`"),
            ("a:b?path=c", "open: the path is given twice, url: `a:b?…`"),
            ("a:b?x=1&x=2", "open: an option is given twice, url: `a:b?…`, option: `x`"),
            ("a://user:canary@host?x", "open: an option is written as `key=value`, url: `a://…@host?…`"),
        ] {
            assert_eq!(refused(url), said);
        }
    }

    #[test]
    fn a_path_of_digits_is_a_path() {
        for (url, path) in
            [("a:2024", "2024"), ("a:true", "true"), ("a:007", "007"), ("a:1.5", "1.5"), ("a://x/y", "x/y")]
        {
            assert_eq!(Location::parse(url).unwrap().config::<Config>().unwrap().path, path);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", Location::parse("a://user:canary@host?key=canary").unwrap());
        assert_eq!(shown, "`a:…@host`");
    }
}
