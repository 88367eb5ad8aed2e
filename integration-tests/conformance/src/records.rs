//! Short spellings for the records that the checks write.

use std::collections::BTreeMap;

use craftx_core::{Content, Grant, Message, Record, Role, Sealed, Stamp};
use serde_json::Value;

/// In the past of every clock, so that no layer takes the stamps of the checks for the future.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// A stamp `n` milliseconds after the beginning; always the same one.
pub(crate) fn at(n: u64) -> Stamp {
    Stamp::imported(BEGIN_MS + n, 0, n).unwrap_or(Stamp::MIN)
}

/// A message of the user at `n`.
pub(crate) fn text(n: u64, text: impl Into<String>) -> Record {
    Record::Message(Message::new(at(n), Role::User, text.into()))
}

/// A message with any content at `n`.
pub(crate) fn content(n: u64, content: impl Into<Content>) -> Record {
    Record::Message(Message::new(at(n), Role::Assistant, content))
}

/// A ciphertext of the message of the user at `n`.
pub(crate) fn sealed(n: u64, generation: u32, digest: &str, envelope: &str) -> Record {
    let message = Message::new(at(n), Role::User, Content::Absent);
    Record::Message(message.with_sealed(Sealed::new(generation, digest, envelope)))
}

/// Messages at `n`, `n + 1`, … whose texts are their numbers.
pub(crate) fn numbered(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(|n| text(n, n.to_string())).collect()
}

/// A patch of one key.
pub(crate) fn key(n: u64, name: &str, value: Value) -> Record {
    keys(n, [(name, Some(value))])
}

/// The removal of one key.
pub(crate) fn unset(n: u64, name: &str) -> Record {
    keys(n, [(name, None)])
}

/// A patch of several keys.
pub(crate) fn keys<'a>(n: u64, set: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Record {
    let set: BTreeMap<_, _> = set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Record::Session { stamp: at(n), set }
}

/// The deletion at `n` of the message at `id`.
pub(crate) fn deleted(id: u64, n: u64) -> Record {
    Record::Deleted { id: at(id), stamp: at(n) }
}

/// A clear at `n` of everything up to `through`.
pub(crate) fn cleared(through: u64, n: u64) -> Record {
    Record::Cleared { through: at(through), stamp: at(n) }
}

/// Who owns the session and to whom reading is granted.
pub(crate) fn acl(n: u64, owner: &str, readers: &[&str]) -> Record {
    let grants = readers.iter().map(|to| Grant { to: (*to).to_owned(), actions: vec!["read".to_owned()] }).collect();
    Record::Acl { stamp: at(n), owner: Some(owner.to_owned()), grants }
}
