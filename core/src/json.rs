//! Reading JSON without losing anything of it, and writing it the same way for ever.
//!
//! `serde_json` alone rounds integers that fit neither `i64` nor `u64`, keeps only the last of two equal keys, and
//! recurses. Here such input is refused before it could be changed.

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::Formatter;

use crate::{Error, ErrorKind, Result};

/// The deepest nesting of arrays and objects that is read, less than the limit of `serde_json` itself (128).
pub const MAX_DEPTH: usize = 100;

/// Parses one JSON value and refuses what could not be kept exactly.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] naming the byte at which the text is no JSON, is nested deeper than
/// [`MAX_DEPTH`], repeats a key of an object, holds a lone surrogate, or spells a number that neither an `i64`, a
/// `u64` nor an `f64` holds exactly as it is spelled (`1e2` is fine: the same number as `100.0`).
///
/// ```
/// use craftx_core::json;
/// assert_eq!(json::parse("[1, 1.5]")?, serde_json::json!([1, 1.5]));
/// assert!(json::parse("18446744073709551616").is_err());
/// assert!(json::parse(r#"{"a":1,"a":2}"#).is_err());
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub fn parse(text: &str) -> Result<Value> {
    check(text)?;
    serde_json::from_str(text).map_err(|error| not_json(&error))
}

/// The check that [`parse`] makes, for text that is then read into another type. Does not recurse.
///
/// # Errors
/// As [`parse`], though text that is no JSON may pass here and be refused by the parser.
pub fn check(text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let mut at = 0;
    // One entry for each open array (None) or object (the keys that it has so far).
    let mut open: Vec<Option<Vec<String>>> = Vec::new();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = end_of_string(bytes, at);
                let token = text.get(at..end).unwrap_or_default();
                at = end;
                if is_key(bytes, at)
                    && let Some(Some(keys)) = open.last_mut()
                {
                    let key = serde_json::from_str::<String>(token).map_err(|error| not_json(&error))?;
                    keys.push(key);
                }
                continue;
            }
            b'[' | b'{' => {
                if open.len() >= MAX_DEPTH {
                    return Err(refused("is nested deeper than 100 levels", at));
                }
                open.push((*byte == b'{').then(Vec::new));
            }
            b']' | b'}' => {
                if let Some(Some(mut keys)) = open.pop() {
                    keys.sort_unstable();
                    if keys.windows(2).any(|pair| pair.first() == pair.last()) {
                        return Err(refused("has an object with the same key twice", at));
                    }
                }
            }
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                let token = text.get(at..end).unwrap_or_default();
                if !is_exact(token) {
                    return Err(refused("has a number that cannot be held exactly", at));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Writes JSON in the one form that equality is defined on: compact, and floats as told in `docs/formats.md`.
///
/// `serde_json` has spelled floats in two ways already (`1e16`, `1e+16`), so they are spelled here.
///
/// ```
/// assert_eq!(craftx_core::json::encode(&serde_json::json!([1e16, 1.0, 1.5e-7])), "[1e16,1.0,1.5e-7]");
/// ```
pub fn encode(value: &impl Serialize) -> String {
    let mut bytes = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Canonical);
    // Writing to memory cannot fail, and nothing that craftx encodes has other keys than strings.
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

struct Canonical;

impl Formatter for Canonical {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size != 0.0 && !(1e-5..1e16).contains(&size) {
            write!(writer, "{value:e}")
        } else if value.fract() == 0.0 {
            write!(writer, "{value}.0")
        } else {
            write!(writer, "{value}")
        }
    }
}

fn refused(why: &'static str, at: usize) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("the JSON {why}")).with("byte", at)
}

/// Where and why text is no JSON, without any of the text.
pub(crate) fn not_json(error: &serde_json::Error) -> Error {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early".to_owned(),
        serde_json::error::Category::Syntax => "this is not JSON".to_owned(),
        _ => format!("the JSON has the wrong shape: {}", without_values(&error.to_string())),
    };
    Error::new(ErrorKind::InvalidInput, what).with("line", error.line()).with("column", error.column())
}

/// Serde quotes the offending value in `invalid type: string "…", expected …` and in `unknown variant …`; the rest of
/// the text is safe.
pub(crate) fn without_values(message: &str) -> String {
    let message = match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or(message),
        None => message,
    };
    if ["invalid type", "invalid value", "unknown variant"].iter().any(|quoting| message.starts_with(quoting))
        && let Some(expected) = message.rfind(", expected ")
    {
        return message.get(expected + 2..).unwrap_or_default().to_owned();
    }
    message.to_owned()
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_key(bytes: &[u8], mut at: usize) -> bool {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    bytes.get(at) == Some(&b':')
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let length =
        bytes.iter().skip(start).take_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count();
    start + length
}

/// Whether `serde_json` holds the number that this token spells, digit for digit.
pub(crate) fn is_exact(token: &str) -> bool {
    if token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok() {
        // `-0` is the integer 0 to Rust and the float -0.0 to serde_json, which keeps it.
        return true;
    }
    match token.parse::<f64>() {
        // The digits that were given must be the shortest that give the same double. Halfway between two such spellings
        // Rust takes the one, `serde_json`, Python and JavaScript the other.
        Ok(double) => {
            let given = decimal(token);
            let even = serde_json::Number::from_f64(double).map(|number| decimal(&number.to_string()));
            even.is_some_and(|even| given == even || given == decimal(&format!("{double:e}")))
        }
        // Not a number at all: the parser says so better.
        Err(_) => true,
    }
}

/// The significant digits and the exponent of a decimal number, in one form for each value.
fn decimal(token: &str) -> (bool, String, i64) {
    let negative = token.starts_with('-');
    let token = token.trim_start_matches('-');
    let (mantissa, exponent) = match token.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().unwrap_or(i64::MAX / 2)),
        None => (token, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return (negative, String::new(), 0);
    }
    let zeros = (digits.len() - significant.len()) as i64;
    (negative, significant.to_owned(), exponent - fraction.len() as i64 + zeros)
}

/// The nesting of a value, counted without recursion; at most `limit + 1`.
pub(crate) fn depth(value: &Value, limit: usize) -> usize {
    let mut deepest = 0;
    let mut rest = vec![(value, 0)];
    while let Some((value, depth)) = rest.pop() {
        deepest = deepest.max(depth);
        if deepest > limit {
            break;
        }
        match value {
            Value::Array(items) => rest.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => rest.extend(members.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    deepest
}

/// Whether all values that are equal to this one have the same text: not so for objects, whose keys may be in another order,
/// and for 0.0 and -0.0. For media that compare values by their text.
pub fn has_one_text(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Number(number) => !number.is_f64(),
        Value::Array(items) => items.iter().all(has_one_text),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_exactly_or_refused() {
        for token in [
            "0",
            "-0",
            "-0.0",
            "1.0",
            "1e2",
            "1E+2",
            "0.1",
            "1.5e-7",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "5e-324",
            "1.7976931348623157e308",
            "100000000000000000000",
            "2.50",
            // The double lies halfway between these two.
            "1658206780088562.2",
            "1658206780088562.3",
        ] {
            assert!(parse(token).is_ok(), "{token}");
        }
        for token in [
            "18446744073709551616",
            "-9223372036854775809",
            "3.14159265358979323846",
            "1e400",
            "1e-400",
            "0.1000000000000000055511151231257827",
            "123456789012345678901234567890",
            "9007199254740993.0",
            "4e-324",
        ] {
            assert!(parse(token).is_err(), "{token}");
            assert!(parse(&format!(r#"{{"a":[{token}]}}"#)).is_err(), "{token}");
        }
        assert!(parse(r#"["3.14159265358979323846"]"#).is_ok(), "digits inside a string are text");
    }

    #[test]
    fn floats_are_spelled_in_one_way() {
        for (value, spelled) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e16"),
            (123456789012345680.0, "1.2345678901234568e17"),
            (1e-5, "0.00001"),
            (9.5e-6, "9.5e-6"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
        ] {
            assert_eq!(encode(&value), spelled);
            assert_eq!(parse(spelled).unwrap().as_f64().unwrap().to_bits(), f64::to_bits(value));
        }
    }

    #[test]
    fn repeated_keys_are_refused_however_they_are_spelled() {
        assert!(parse(r#"{"a":{"b":1},"c":{"b":1}}"#).is_ok());
        assert!(parse(r#"{"a":1,"\u0061" : 2}"#).is_err());
        assert!(parse(r#"[{"a":"a","b":"a"}]"#).is_ok());
    }

    #[test]
    fn depth_is_limited_before_anything_recurses() {
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        assert!(parse(&format!("{}{}", "[".repeat(100), "]".repeat(100))).is_ok());
        assert!(parse(&format!("{}{}", "[".repeat(101), "]".repeat(101))).is_err());
    }

    #[test]
    fn lone_surrogates_and_junk_are_refused_without_being_quoted() {
        for text in [r#""\ud800""#, "{", "nope", r#"{"secret":}"#, "\"\u{1}\"", ""] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!error.to_string().contains("secret"));
        }
    }
}
