//! `memory.json` of CraftX.py 0.1.2: one object, in which each key has a value, metadata and a time.

use craftx_core::{Content, Error, ErrorKind, Metadata, Result, Role, Time};
use serde_json::{Map, Value};

use super::{Container, Entries, Entry, Foreign, Format, Outgoing, Sample, Source, Written, only_read};

const NAME: &str = "craftx-py-memory";

/// What `MemoryStorage` writes: `{"key": {"data": …, "metadata": {…}, "timestamp": …}}`. Each key is a message of the role
/// `memory`, and what the program calls it.
#[derive(Debug)]
pub(super) struct CraftxPyMemory;

impl Format for CraftxPyMemory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        let is_entry = |value: &Value| {
            ["data", "metadata", "timestamp"].iter().all(|key| value.get(key).is_some())
                && value.as_object().is_some_and(|entry| entry.len() == 3)
        };
        sample.values.len() == 1 && sample.first().is_some_and(|keys| !keys.is_empty() && keys.values().all(is_entry))
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let clock = source.clock();
        let begin = Entry::session(1, source.session()?, Metadata::new());
        let messages = source.values()?.flat_map(move |(line, value)| match value {
            Ok(Value::Object(keys)) => {
                let messages = keys.into_iter().map(|(key, value)| Entry::message(line, message(key, value, &clock)));
                messages.collect()
            }
            Ok(_) => vec![Entry::new(line, Err(wrong("the file is no object of keys")))],
            Err(error) => vec![Entry::new(line, Err(error))],
        });
        Ok(Box::new(std::iter::once(begin).chain(messages)))
    }

    fn container(&self) -> Option<Container> {
        None
    }

    fn write(&self, _: &Outgoing<'_>) -> Result<Written> {
        Err(only_read(NAME))
    }
}

fn message(key: String, value: Value, clock: &impl Fn(&str) -> Option<Time>) -> Result<Foreign> {
    let Value::Object(mut entry) = value else { return Err(wrong("the value of a key is no object")) };
    let content = entry.shift_remove("data").map_or(Content::Absent, Content::from);
    let time = entry.get("timestamp").and_then(Value::as_str).and_then(clock);
    if time.is_some() {
        entry.shift_remove("timestamp");
    }
    // What else the entry has, a timestamp that is no time among it, stays with the key.
    let mut own = Map::from_iter([("key".to_owned(), Value::from(key.as_str()))]);
    own.extend(entry);
    let metadata = Metadata::from_iter([(NAME.to_owned(), Value::Object(own))]);
    Ok(Foreign::of(Role::new("memory")?, content, metadata).with_id(Some(key)).with_time(time))
}

fn wrong(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}
