//! Reading `craftx.toml`: every value with its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use craftx_core::Result;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Origin;
use super::entry::{Entry, check_names, keys, suggesting, unusable, wrong};

/// Why a file counts for nothing that is there and is text.
const UNREADABLE: &str = "the file cannot be read";

/// What a file says.
#[derive(Clone, Default)]
pub(super) struct File {
    /// The profile that is to be used when none is named.
    pub(super) profile: Option<(String, Origin)>,
    /// What stands on the top level.
    pub(super) entries: Vec<Entry>,
    pub(super) profiles: BTreeMap<String, FileProfile>,
}

/// A profile that a file describes.
#[derive(Clone)]
pub(super) struct FileProfile {
    pub(super) origin: Origin,
    pub(super) extends: Option<(String, Origin)>,
    pub(super) description: Option<String>,
    pub(super) entries: Vec<Entry>,
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;

impl File {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such file",
                std::io::ErrorKind::InvalidData => "the file is no UTF-8",
                _ => UNREADABLE,
            };
            let unusable = unusable(why).with("file", format_args!("`{}`", path.display()));
            match why == UNREADABLE {
                true => unusable.with("reason", error.kind()).because(error),
                false => unusable.because(error),
            }
        })?;
        let place = |line, profile| Origin::File { path: path.to_owned(), line, profile };
        Self::parse(&text, &place)
    }

    /// Reads the text of a file. `place` tells where a line is.
    pub(super) fn parse(text: &str, place: &dyn Fn(usize, Option<String>) -> Origin) -> Result<Self> {
        let reader = Reader { text, place };
        let document = DeTable::parse(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            unusable(format!("this is not TOML: {}", error.message())).with("source", reader.origin(start, None))
        })?;
        reader.document(document.get_ref())
    }

    /// Whether the top level describes a stack of its own, which stands on no profile.
    pub(super) fn own_stack(&self) -> Option<&Origin> {
        let backend = self.entries.iter().find(|entry| entry.path == ["backend"])?;
        self.profile.is_none().then_some(&backend.origin)
    }
}

struct Reader<'a> {
    text: &'a str,
    place: &'a dyn Fn(usize, Option<String>) -> Origin,
}

impl Reader<'_> {
    fn origin(&self, byte: usize, profile: Option<&str>) -> Origin {
        let line = self.text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1;
        (self.place)(line, profile.map(str::to_owned))
    }

    fn document(&self, table: &DeTable<'_>) -> Result<File> {
        let mut file = File::default();
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("profile", value) => file.profile = Some(self.text(key, value, &keys(["profile"]), None)?),
                ("profiles", DeValue::Table(profiles)) => {
                    for (name, value) in profiles {
                        let profile = self.profile(name, value.get_ref())?;
                        file.profiles.insert(name.get_ref().to_string(), profile);
                    }
                }
                ("profiles", _) => {
                    return Err(wrong(
                        "this must be a table",
                        &keys(["profiles"]),
                        &self.origin(key.span().start, None),
                    ));
                }
                _ => self.value(key, value, Vec::new(), None, &mut file.entries)?,
            }
        }
        Ok(file)
    }

    fn profile(&self, name: &Key<'_>, value: &DeValue<'_>) -> Result<FileProfile> {
        let (origin, name) = (self.origin(name.span().start, Some(name.get_ref())), name.get_ref());
        check_names(&keys(["profiles", name]), &origin)?;
        let DeValue::Table(table) = value else {
            return Err(wrong("this must be a table", &keys(["profiles", name]), &origin));
        };
        let mut profile = FileProfile { origin, extends: None, description: None, entries: Vec::new() };
        for (key, value) in table {
            let full = keys(["profiles", name, key.get_ref()]);
            match key.get_ref().as_ref() {
                "extends" => profile.extends = Some(self.text(key, value.get_ref(), &full, Some(name))?),
                "description" => profile.description = Some(self.text(key, value.get_ref(), &full, Some(name))?.0),
                misplaced @ ("profile" | "profiles") => {
                    let error = wrong("there is no such key in a profile", &full, &self.origin(key.span().start, None));
                    return Err(suggesting(error, misplaced, ["extends", "description", "backend", "layers"]));
                }
                _ => self.value(key, value, Vec::new(), Some(name), &mut profile.entries)?,
            }
        }
        Ok(profile)
    }

    fn text(
        &self,
        at: &Key<'_>,
        value: &DeValue<'_>,
        path: &[String],
        profile: Option<&str>,
    ) -> Result<(String, Origin)> {
        let origin = self.origin(at.span().start, profile);
        match value {
            DeValue::String(text) => Ok((text.to_string(), origin)),
            _ => Err(wrong("this must be text", path, &origin)),
        }
    }

    /// Adds a value, and what is in it, each with the line of its key.
    fn value(
        &self,
        key: &Key<'_>,
        value: &Spanned<DeValue<'_>>,
        mut path: Vec<String>,
        profile: Option<&str>,
        entries: &mut Vec<Entry>,
    ) -> Result<()> {
        let origin = self.origin(key.span().start, profile);
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path, origin, profile, entries),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                entries.push(Entry::new(path.clone(), Value::Array(Vec::new()), origin));
                for (index, item) in items.iter().enumerate() {
                    let mut path = path.clone();
                    path.push(index.to_string());
                    let origin = self.origin(item.span().start, profile);
                    match item.get_ref() {
                        DeValue::Table(table) => self.table(table, path, origin, profile, entries)?,
                        _ => {
                            return Err(wrong("this must be a table, as its neighbours are", &path, &origin));
                        }
                    }
                }
                Ok(())
            }
            other => {
                let value = scalar(other).map_err(|rule| wrong(rule, &path, &origin))?;
                entries.push(Entry::new(path, value, origin));
                Ok(())
            }
        }
    }

    fn table(
        &self,
        table: &DeTable<'_>,
        path: Vec<String>,
        origin: Origin,
        profile: Option<&str>,
        entries: &mut Vec<Entry>,
    ) -> Result<()> {
        entries.push(Entry::new(path.clone(), Map::new(), origin));
        table.iter().try_for_each(|(key, value)| self.value(key, value, path.clone(), profile, entries))
    }
}

/// A value that holds no table.
fn scalar(value: &DeValue<'_>) -> Result<Value, &'static str> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| "this number is too large")?.into()
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            Value::Number(number.ok_or("this number cannot be used")?)
        }
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect::<Result<_, _>>()?,
        DeValue::Table(_) => return Err("a table cannot stand here"),
    })
}

/// The file `craftx.toml` of a folder, if it has one.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    let name = Path::new("craftx.toml");
    let path = if folder == Path::new(".") { name.to_owned() } else { folder.join(name) };
    // A link that leads nowhere is there, and an error when it is read.
    path.symlink_metadata().is_ok().then_some(path)
}
