//! A value of a session's metadata as ciphertext: an object with one member, in whose text generation and stamp stand
//! before digest and envelope.
//!
//! The generation has a fixed width and comes first, because of two values of one stamp the one with the greater text is
//! kept: a renewed ciphertext takes the place of the older one, and no later value.

use craftx_core::{Error, ErrorKind, Result, Stamp};
use serde_json::Value;

use crate::data_key::SealedText;
use crate::envelope;

/// The name of the member.
pub(crate) const MEMBER: &str = "craftx.sealed";

/// What stands in the text.
pub(crate) struct SealedValue<'a> {
    pub(crate) generation: u32,
    pub(crate) stamp: Stamp,
    pub(crate) digest: &'a str,
    pub(crate) envelope: &'a str,
}

pub(crate) fn write(generation: u32, stamp: Stamp, sealed: &SealedText) -> Value {
    let text = format!("{generation:08x}.{stamp}.{}.{}", sealed.digest, sealed.envelope);
    Value::Object(std::iter::once((MEMBER.to_owned(), Value::String(text))).collect())
}

pub(crate) fn is_sealed(value: &Value) -> bool {
    value.get(MEMBER).is_some()
}

pub(crate) fn stamp(value: &Value) -> Option<Stamp> {
    parse(text(value)?).map(|sealed| sealed.stamp)
}

/// # Errors
/// [`ErrorKind::NotEncrypted`] for a plaintext, [`ErrorKind::Tampered`] for what only looks like a ciphertext.
pub(crate) fn read(value: &Value) -> Result<SealedValue<'_>> {
    if !is_sealed(value) {
        return Err(Error::new(ErrorKind::NotEncrypted, "there is plaintext where ciphertext must be"));
    }
    text(value).and_then(parse).ok_or_else(|| Error::new(ErrorKind::Tampered, "this is no sealed value"))
}

/// The data key that sealed a value.
///
/// # Errors
/// As [`read`].
pub(crate) fn key(value: &Value) -> Result<Stamp> {
    Ok(envelope::read(read(value)?.envelope)?.key)
}

fn text(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(MEMBER)?.as_str()
}

fn parse(text: &str) -> Option<SealedValue<'_>> {
    let mut parts = text.splitn(4, '.');
    let mut next = || parts.next();
    let generation = next()?;
    // One spelling only.
    let number = u32::from_str_radix(generation, 16).ok().filter(|number| format!("{number:08x}") == generation)?;
    Some(SealedValue { generation: number, stamp: next()?.parse().ok()?, digest: next()?, envelope: next()? })
}
