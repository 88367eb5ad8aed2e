//! The envelope: what stands in a store in place of a plaintext. `docs/encryption.md` says what each byte is.

use base64_simd::URL_SAFE_NO_PAD;
use craftx_core::{Error, ErrorKind, Result, Stamp};

use crate::crypto::{COMMITMENT, Commitment, SALT, Salt, TAG};

const MAGIC: [u8; 2] = *b"CX";
/// The version that this release writes.
const VERSION: u8 = 1;
/// AES-256-GCM under a key and a commitment from HKDF-SHA256.
const SUITE: u8 = 1;

/// Bytes before the salt.
pub(crate) const HEADER: usize = 2 + 1 + 1 + 16;
/// Bytes before the ciphertext.
pub(crate) const PREFIX: usize = HEADER + SALT + COMMITMENT;
/// Bytes that an envelope has besides its ciphertext.
#[cfg(test)]
pub(crate) const OVERHEAD: usize = PREFIX + TAG;

/// An envelope, taken apart.
pub(crate) struct Envelope {
    /// The data key that sealed it.
    pub(crate) key: Stamp,
    pub(crate) salt: Salt,
    pub(crate) commitment: Commitment,
    pub(crate) text: Vec<u8>,
    pub(crate) tag: [u8; TAG],
}

/// What an envelope begins with. It is bound to the ciphertext.
pub(crate) fn header(key: Stamp) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let parts = MAGIC.iter().chain([&VERSION, &SUITE]).chain(key.as_bytes());
    header.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    header
}

/// Puts together the envelope of `text`, which has [`PREFIX`] bytes of room before the ciphertext.
pub(crate) fn write(mut text: Vec<u8>, key: Stamp, salt: &Salt, commitment: &Commitment, tag: &[u8; TAG]) -> String {
    let header = header(key);
    let prefix = header.iter().chain(salt).chain(commitment);
    text.iter_mut().zip(prefix).for_each(|(to, from)| *to = *from);
    text.extend_from_slice(tag);
    URL_SAFE_NO_PAD.encode_to_string(&text)
}

/// Takes an envelope apart.
///
/// # Errors
/// [`ErrorKind::SchemaTooNew`] for a version or suite that this release does not know, [`ErrorKind::Tampered`] for what is
/// no envelope.
pub(crate) fn read(text: &str) -> Result<Envelope> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| no_envelope())?;
    take_apart(bytes).ok_or_else(no_envelope)?
}

fn take_apart(bytes: Vec<u8>) -> Option<Result<Envelope>> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let ([version, suite], rest) = rest.split_first_chunk()?;
    if *magic != MAGIC {
        return None;
    }
    if (*version, *suite) != (VERSION, SUITE) {
        let error = Error::new(ErrorKind::SchemaTooNew, "an envelope has a version that this release does not know");
        return Some(Err(error.with("version", version).with("suite", suite)));
    }
    let (key, rest) = rest.split_first_chunk()?;
    let (salt, rest) = rest.split_first_chunk()?;
    let (commitment, rest) = rest.split_first_chunk()?;
    let (text, tag) = rest.split_last_chunk()?;
    let key = Stamp::from_bytes(*key).ok()?;
    Some(Ok(Envelope { key, salt: *salt, commitment: *commitment, text: text.to_vec(), tag: *tag }))
}

fn no_envelope() -> Error {
    Error::new(ErrorKind::Tampered, "this is no envelope")
}
