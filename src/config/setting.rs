//! Every value of a configuration, with its origin, and without secrets.

use craftx_core::{Secret, is_name, shown_url};
use serde_json::Value;

use super::Origin;
use super::entry::MASK;
use super::resolved::Resolved;

/// One value of a configuration: its key, the value as it may be shown, and where it came from.
///
/// ```
/// let settings = craftx::Config::new().set("json.path", "logs").origins()?;
/// let shown: Vec<_> = settings.iter().map(|s| format!("{} = {} ({})", s.key, s.value, s.origin)).collect();
/// assert_eq!(shown[2], "json.path = \"logs\" (code)");
/// # Ok::<(), craftx::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The key, its parts separated by dots.
    pub key: String,
    /// The value as JSON; `…` if it may be secret.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Parts of names under which secrets are kept.
const SECRET: [&str; 9] =
    ["secret", "password", "passwd", "passphrase", "token", "credential", "key", "auth", "signature"];

/// Every value that was given and counts. `valid` tells whether all parts have accepted their options: as long as they have not, text
/// may stand where it was not meant to stand, and only paths and names are shown.
pub(super) fn settings(resolved: &Resolved<'_>, valid: bool) -> Vec<Setting> {
    let mut found = Vec::new();
    if let Some((name, origin)) = &resolved.profile {
        let value = Value::from(name.as_str()).to_string();
        found.push(Setting { key: "profile".to_owned(), value, origin: origin.clone() });
    }
    let mut collector = Collector { resolved, valid, path: Vec::new(), found };
    collector.collect(&Value::Object(resolved.table.clone()));
    collector.found
}

struct Collector<'a> {
    resolved: &'a Resolved<'a>,
    valid: bool,
    path: Vec<String>,
    found: Vec<Setting>,
}

impl Collector<'_> {
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(table) => {
                for (key, value) in table {
                    self.member(key.clone(), value);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (index, item) in items.iter().enumerate() {
                    self.member(index.to_string(), item);
                }
            }
            _ => {
                let origin = self.resolved.merged.origin(&self.path).unwrap_or(&Origin::Default).clone();
                let value = shown(&self.path, value, self.valid);
                self.found.push(Setting { key: self.path.join("."), value, origin });
            }
        }
    }

    fn member(&mut self, key: String, value: &Value) {
        self.path.push(key);
        self.collect(value);
        self.path.pop();
    }
}

fn shown(path: &[String], value: &Value, valid: bool) -> String {
    let key = path.last().map_or("", String::as_str);
    match value {
        Value::String(text) => Value::from(shown_text(key, text, valid)).to_string(),
        Value::Array(items) => {
            let items = items.iter().map(|item| match item {
                Value::String(text) => shown_text(key, text, valid).into(),
                Value::Array(_) | Value::Object(_) => MASK.into(),
                _ if is_secret(key) => MASK.into(),
                other => other.clone(),
            });
            Value::Array(items.collect()).to_string()
        }
        // A password of digits: where text is asked for, a number is its spelling.
        _ if is_secret(key) => Value::from(MASK).to_string(),
        other => other.to_string(),
    }
}

fn shown_text(key: &str, text: &str, valid: bool) -> String {
    // The place of a secret is none.
    if Secret::parse(text).is_ok() {
        return text.to_owned();
    }
    let may_be_shown = match key {
        "backend" | "layers" => is_name(text),
        "path" => true,
        key => valid && !is_secret(key),
    };
    if may_be_shown { shown_url(text) } else { MASK.to_owned() }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // A limit, such as `max_keys`, is none.
    !key.starts_with("max_") && SECRET.iter().any(|word| key.contains(word))
}
