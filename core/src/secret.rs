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

/// What a place of a secret looks like.
const RULE: &str = "a secret is not written here; write where it is, as `env:NAME` or `file:PATH`";

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
        place.map(Self).ok_or_else(|| Error::new(ErrorKind::ConfigInvalid, RULE))
    }

    /// Reads the secret. A file's last end of line does not belong to it. Blocks while it reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] naming the variable or the file, if it is not there, empty or no UTF-8.
    pub fn resolve(&self) -> Result<SecretString> {
        let (found, whole) = match &self.0 {
            Place::Variable(name) => (std::env::var(name).map_err(|_| "the variable is not set, or no UTF-8"), true),
            Place::File(path) => {
                (std::fs::read_to_string(path).map_err(|_| "the file cannot be read, or is no UTF-8"), false)
            }
        };
        let secret = found.map(|text| SecretString::new(if whole { text } else { without_end_of_line(text) }));
        match secret {
            Ok(secret) if secret.expose().is_empty() => Err("it is empty"),
            other => other,
        }
        .map_err(|why| {
            Error::new(ErrorKind::ConfigInvalid, format!("there is no secret: {why}"))
                .with("secret", format_args!("`{self}`"))
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
        let text = String::deserialize(deserializer).map_err(|_| de::Error::custom(RULE))?;
        Self::parse(&text).map_err(|_| de::Error::custom(RULE))
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
