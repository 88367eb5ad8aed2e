//! Files of CraftX.py, the Python original: `<session>.json`, one array of messages, of any of its generations.

use std::io;
use std::time::SystemTime;

use craftx_core::{Error, ErrorKind, Message, Metadata, Result, Stamp, Time};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};
use serde_json::{Map, Value, json};

use super::{Container, Entries, Entry, Foreign, Format, Outgoing, Sample, Source, Unplaced, Written};

/// What `JSONStorage` writes. Read as a folder that is opened in place is read, with the same stamps; written as the last
/// generation wrote it, byte for byte.
#[derive(Debug)]
pub(super) struct CraftxPy;

impl Format for CraftxPy {
    fn name(&self) -> &'static str {
        "craftx-py"
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.values.iter().find_map(Value::as_object).is_some_and(|first| {
            let has = |key: &str| first.contains_key(key);
            has("role")
                && (has("message") || (has("content") && has("timestamp")))
                && !has("tool_calls")
                && !has("type")
        })
    }

    fn read(&self, source: Source) -> Result<Entries> {
        let clock = source.clock();
        let begin = Entry::session(1, source.session()?, Metadata::new());
        let messages = source.values()?.map(move |(line, value)| {
            let message = value.and_then(|value| match value {
                Value::Object(members) => foreign(members, &clock),
                _ => Err(Error::new(ErrorKind::InvalidInput, "a message is no object")),
            });
            Entry::message(line, message)
        });
        Ok(Box::new(std::iter::once(begin).chain(messages)))
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Files("json"))
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        let mut unplaced = Unplaced::default();
        session.metadata.keys().for_each(|key| unplaced.add(key));
        for message in session.messages {
            if message.parent.is_some() {
                unplaced.add("parent");
            }
            if message.sealed.is_some() {
                unplaced.add("sealed");
            }
        }
        Ok(Written::new(python_json(&session.messages.iter().map(entry).collect()), unplaced))
    }
}

/// A message of any generation, with `clock` for times that say no zone.
pub(super) fn foreign(members: Map<String, Value>, clock: &impl Fn(&str) -> Option<Time>) -> Result<Foreign> {
    // Its stamp follows from its place, which only the import knows.
    let message = craftx_json::craftx_py_message(Stamp::MIN, members)?;
    let time = message.created_at.map(|time| clock(&time.to_string()).unwrap_or(time));
    Ok(Foreign::of(message.role, message.content, message.metadata).with_time(time))
}

/// An entry as the last generation wrote it, which knew no other members.
fn entry(message: &Message) -> Value {
    json!({
        "timestamp": timestamp(message),
        "role": message.role.as_str(),
        "message": message.content.clone().into_value(),
        "metadata": message.metadata,
    })
}

/// What the program itself wrote comes out as it is spelled: local time without a zone, or UTC with a `Z`.
fn timestamp(message: &Message) -> Option<String> {
    let at = match &message.created_at {
        Some(time) => {
            let spelled = time.to_string();
            if !time.has_zone() || spelled.ends_with('Z') {
                return Some(spelled);
            }
            time.at()
        }
        // A stamp at the beginning of 1970 says that nobody knew.
        None if message.id.millis() == 0 => return None,
        None => message.id.time(),
    };
    in_micros(at)
}

/// Python's `isoformat()` of a time in UTC, and the `Z` behind it: microseconds, or none if they are 0.
fn in_micros(at: SystemTime) -> Option<String> {
    let text = Time::try_from(at).ok()?.to_string();
    let text = text.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let micros = format!("{fraction:0<6.6}");
    Some(match micros.bytes().all(|digit| digit == b'0') {
        true => format!("{seconds}Z"),
        false => format!("{seconds}.{micros}Z"),
    })
}

/// `json.dumps(value, indent=2, ensure_ascii=False)`.
fn python_json(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Python(PrettyFormatter::new()));
    // Writing a value to memory cannot fail.
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Differs from `serde_json` in floats alone.
struct Python(PrettyFormatter<'static>);

impl Formatter for Python {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        match exponent.parse::<i32>().unwrap_or_default() {
            -4..=15 if value.fract() == 0.0 => write!(writer, "{value}.0"),
            -4..=15 => write!(writer, "{value}"),
            exponent => write!(writer, "{digits}e{exponent:+03}"),
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_python_does() {
        // Each is `json.dumps` of the same number.
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (-1e22, "-1e+22"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(python_json(&json!(value)), text);
        }
    }

    #[test]
    fn strings_and_brackets_are_written_as_python_does() {
        let value = json!({"a": [], "b": {}, "c": [1, {"d": null}], "e": "\u{1}\u{8}\u{c}\n\t\"\\/\u{7f}\u{2028}é"});
        assert_eq!(
            python_json(&value),
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": null\n    }\n  ],\n  \
             \"e\": \"\\u0001\\b\\f\\n\\t\\\"\\\\/\u{7f}\u{2028}é\"\n}"
        );
    }

    #[test]
    fn times_are_those_that_the_program_could_have_written() {
        let spelled = |time: &str| {
            let mut message =
                Message::new(Stamp::mint(1_763_845_456_757, None, 0).unwrap(), craftx_core::Role::User, "x");
            message.created_at = time.parse().ok();
            timestamp(&message).unwrap()
        };
        for (time, text) in [
            ("2025-06-28T00:33:47.214584", "2025-06-28T00:33:47.214584"),
            ("2026-11-22T21:04:16Z", "2026-11-22T21:04:16Z"),
            ("2026-11-22T21:04:16.750000Z", "2026-11-22T21:04:16.750000Z"),
            ("2026-11-22T23:04:16.75+02:00", "2026-11-22T21:04:16.750000Z"),
            ("2026-11-22T23:04:16.0000001+02:00", "2026-11-22T21:04:16Z"),
            ("", "2025-11-22T21:04:16.757000Z"),
        ] {
            assert_eq!(spelled(time), text);
        }
    }
}
