//! What is inside of an envelope: the parts one after the other, each with its length, then zeros if sizes are padded.
//!
//! Text stands as it is, so that a long one costs no escaping.

use craftx_core::{Content, Error, ErrorKind, Message, Metadata, Result, Role, json};
use serde_json::Value;

use crate::envelope::PREFIX;

const ABSENT: u8 = 0;
const TEXT: u8 = 1;
const JSON: u8 = 2;

/// The payload of a message, with room for the rest of the envelope before it. The role is part of it if it shall be sealed.
pub(crate) fn of_message(message: &Message, role: Option<&Role>) -> Vec<u8> {
    let metadata = if message.metadata.is_empty() { String::new() } else { json::encode(&message.metadata) };
    let role = role.map_or("", Role::as_str).as_bytes();
    match &message.content {
        Content::Absent => payload(ABSENT, b"", metadata.as_bytes(), role),
        Content::Text(text) => payload(TEXT, text.as_bytes(), metadata.as_bytes(), role),
        other => payload(JSON, json::encode(other).as_bytes(), metadata.as_bytes(), role),
    }
}

/// The payload of a value of the session's metadata.
pub(crate) fn of_value(value: &Value) -> Vec<u8> {
    payload(JSON, json::encode(value).as_bytes(), b"", b"")
}

fn payload(kind: u8, content: &[u8], metadata: &[u8], role: &[u8]) -> Vec<u8> {
    let parts = [content, metadata, role];
    let length = parts.iter().map(|part| 4 + part.len()).sum::<usize>();
    // Room for padding, which is never more than an eighth, and for the tag.
    let mut bytes = Vec::with_capacity(PREFIX + 1 + length + length / 8 + 32);
    bytes.resize(PREFIX, 0);
    bytes.push(kind);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// What a payload holds.
pub(crate) struct Payload {
    pub(crate) content: Content,
    pub(crate) metadata: Metadata,
    pub(crate) role: Option<Role>,
}

/// Reads a payload.
///
/// # Errors
/// [`ErrorKind::Corrupted`] if it is none: it was sealed with the right key, so a program wrote it that is not this one.
pub(crate) fn read(bytes: &[u8]) -> Result<Payload> {
    read_parts(bytes).ok_or_else(|| Error::new(ErrorKind::Corrupted, "what was sealed here is no message and no value"))
}

fn read_parts(bytes: &[u8]) -> Option<Payload> {
    let (kind, rest) = bytes.split_first()?;
    let (content, rest) = part(rest)?;
    let (metadata, rest) = part(rest)?;
    let (role, padding) = part(rest)?;
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    let content = match *kind {
        ABSENT if content.is_empty() => Content::Absent,
        TEXT => Content::Text(String::from_utf8(content.to_vec()).ok()?),
        JSON => Content::from(serde_json::from_slice::<Value>(content).ok()?),
        _ => return None,
    };
    let metadata = match metadata {
        [] => Metadata::new(),
        metadata => serde_json::from_slice(metadata).ok()?,
    };
    let role = match role {
        [] => None,
        role => Some(Role::new(std::str::from_utf8(role).ok()?).ok()?),
    };
    Some(Payload { content, metadata, role })
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// How long a payload is made to hide its length: PADME (Nikitin et al., *Reducing Metadata Leakage from Encrypted Files*,
/// 2019) leaves as many different lengths as there are digits, and adds 12 % at most.
pub(crate) fn padded(length: usize) -> usize {
    let Some(exponent) = length.checked_ilog2() else { return length };
    let digits = exponent.checked_ilog2().map_or(0, |log| log + 1);
    let mask = (1_usize << exponent.saturating_sub(digits)) - 1;
    (length + mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::Stamp;
    use serde_json::json;

    fn opened(message: &Message, role: Option<&Role>) -> Payload {
        let mut bytes = of_message(message, role).split_off(PREFIX);
        bytes.resize(padded(bytes.len()), 0);
        read(&bytes).unwrap()
    }

    #[test]
    fn every_content_comes_back_as_it_was() {
        for content in [
            Content::Absent,
            Content::Null,
            Content::from(""),
            Content::from("\0 ünïcode \u{1f980}\n"),
            Content::from(json!([])),
            Content::from(json!({"a": [1.5, -0.0, u64::MAX, null]})),
            Content::Bool(false),
        ] {
            let message = Message::new(Stamp::MIN, Role::User, content).with_metadata("k", json!({"b": 1, "a": 2}));
            let payload = opened(&message, Some(&Role::Tool));
            assert_eq!((payload.content, payload.metadata), (message.content, message.metadata));
            assert_eq!(payload.role, Some(Role::Tool));
        }
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        let bytes = of_message(&Message::new(Stamp::MIN, Role::User, "abc"), None).split_off(PREFIX);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut padded = bytes.clone();
        padded.extend([0, 0, 1]);
        assert!(read(&padded).is_err());
    }

    #[test]
    fn padding_leaves_few_lengths_and_adds_little() {
        let lengths: std::collections::BTreeSet<_> = (0..100_000).map(padded).collect();
        assert!(lengths.len() < 250, "{}", lengths.len());
        for length in 1..100_000 {
            let padded = padded(length);
            assert!(padded >= length && (padded - length) * 8 <= length, "{length} {padded}");
        }
    }
}
