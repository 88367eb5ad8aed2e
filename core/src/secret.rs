//! Secrets: configurations say where they are, never what they are.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, ErrorKind, Result};

/// Where a secret is: `env:NAME`, a variable of the environment, or `file:PATH`, the content of a file. Holds no secret.
///
/// A secret itself in its place is refused, and not quoted.
///
/// ```
/// use craftx_core::Secret;
/// let password = Secret::parse("env:PATH")?;
/// assert_eq!(password.to_string(), "env:PATH");
/// assert_eq!(format!("{:?}", password.resolve()?), "[redacted]");
/// assert!(Secret::parse("hunter2").is_err());
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Variable(String),
    File(PathBuf),
}

/// What has to stand in a configuration.
const EXPECTED: &str = "where the secret is, `env:NAME` or `file:PATH`, and not the secret itself";

impl Secret {
    /// Reads `env:NAME` or `file:PATH`. Does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let place = match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Some(Place::Variable(name.to_owned())),
            Some(("file", path)) if !path.is_empty() && !path.contains(['\0', '\n']) => Some(Place::File(path.into())),
            _ => None,
        };
        place.map(Self).ok_or_else(|| Error::new(ErrorKind::ConfigInvalid, format!("this must be {EXPECTED}")))
    }

    /// The file, if it is in one: for those who want to know who may read it.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Place::File(path) => Some(path),
            Place::Variable(_) => None,
        }
    }

    /// Reads the secret. A file's last end of line does not belong to it. Blocks while it reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] naming the variable or the file, if it is not there, empty or no UTF-8.
    pub fn resolve(&self) -> Result<SecretString> {
        let found = match &self.0 {
            Place::Variable(name) => std::env::var(name).map_err(|_| "the variable is not set, or no UTF-8"),
            Place::File(path) => std::fs::read_to_string(path)
                .map(without_end_of_line)
                .map_err(|_| "the file cannot be read, or is no UTF-8"),
        };
        let secret = match found {
            Ok(text) if text.is_empty() => Err("it is empty"),
            other => other.map(SecretString::new),
        };
        secret.map_err(|why| {
            let error = Error::new(ErrorKind::ConfigInvalid, format!("there is no secret: {why}"));
            error.with("secret", format_args!("`{self}`"))
        })
    }
}

/// Whether text can be the name of a variable. Most secrets cannot.
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn without_end_of_line(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Variable(name) => write!(f, "env:{name}"),
            Place::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Whatever else stands there is a secret too, and serde would quote it.
        let wrong = || de::Error::invalid_value(de::Unexpected::Other("something else"), &EXPECTED);
        let text = String::deserialize(deserializer).map_err(|_| wrong())?;
        Self::parse(&text).map_err(|_| wrong())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A secret. It is shown as `[redacted]`, and its memory is overwritten when it is dropped, as far as safe code can.
///
/// ```
/// use craftx_core::SecretString;
/// let secret = SecretString::new("hunter2".to_owned());
/// assert_eq!((secret.expose(), secret.to_string().as_str()), ("hunter2", "[redacted]"));
/// ```
#[derive(Clone)]
pub struct SecretString(String);

impl SecretString {
    /// Wraps a secret.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself. Show it to nobody.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for SecretString {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn only_the_place_of_a_secret_is_read_and_nothing_is_quoted() {
        let read = |value| options::read::<BTreeMap<String, Secret>>(json!({ "key": value }));
        for fine in ["env:A_1", "file:/run/secrets/key", "file:C:\\key"] {
            let secret = read(json!(fine)).unwrap().remove("key").unwrap();
            assert_eq!((secret.to_string().as_str(), json!(secret)), (fine, json!(fine)));
            assert_eq!(format!("{secret:?}"), format!("Secret({fine})"));
        }
        let wrong = [
            json!("canary"),
            json!("env:canary-1"),
            json!("env:1canary"),
            json!("env:"),
            json!("file:"),
            json!("file:a\ncanary"),
        ];
        for value in wrong.into_iter().chain([
            json!(""),
            json!("vault:canary"),
            json!(12345),
            json!(true),
            json!(["canary"]),
            json!(null),
        ]) {
            let error = read(value).unwrap_err();
            assert_eq!(error.to_string(), format!("this must be {EXPECTED}, key: `key`"));
        }
    }

    #[test]
    fn a_secret_is_read_from_a_file_without_its_end_of_line() {
        let folder = std::env::temp_dir().join(format!("craftx-secret-{}", crate::random_id()));
        let reads = |content: &[u8]| {
            std::fs::write(&folder, content).unwrap();
            Secret::parse(&format!("file:{}", folder.display())).unwrap().resolve()
        };
        for (content, secret) in
            [("hunter2", "hunter2"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")]
        {
            assert_eq!(reads(content.as_bytes()).unwrap().expose(), secret);
        }
        for content in [b"".as_slice(), b"\n", b"can\xffary"] {
            let error = reads(content).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.get("secret").unwrap().starts_with("`file:") && !format!("{error:?}").contains("ary"));
        }
        std::fs::remove_file(&folder).unwrap();
        assert!(Secret::parse(&format!("file:{}", folder.display())).unwrap().resolve().is_err());
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = Secret::parse("env:CRAFTX_TEST_NOT_SET").unwrap().resolve().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no secret: the variable is not set, or no UTF-8, secret: `env:CRAFTX_TEST_NOT_SET`"
        );
    }
}
