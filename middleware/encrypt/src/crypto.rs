//! The primitives, each behind one function: HKDF-SHA256, AES-256-GCM with key commitment, and a keyed digest.
//!
//! Nothing here chooses a nonce. A [`Salt`] and a key give a key of their own, which encrypts one text under the nonce
//! zero; so whoever calls has to see that a salt never comes twice with different texts: by chance, or by
//! [`Digester`].

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use ctutils::CtEq;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::key::SecretKey;

/// Bytes of a salt. Two that are chosen at random are the same once in 2^96.
pub(crate) const SALT: usize = 24;
pub(crate) const COMMITMENT: usize = 32;
pub(crate) const TAG: usize = 16;

pub(crate) type Salt = [u8; SALT];
pub(crate) type Commitment = [u8; COMMITMENT];

/// A key that is used once only, so that one nonce is enough.
const NONCE: [u8; 12] = [0; 12];

/// HKDF-SHA256 of RFC 5869. `out` has at most 255 times 32 bytes.
pub(crate) fn hkdf(key: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    // Only a longer output could fail.
    let _ = Hkdf::<Sha256>::new(Some(salt), key).expand_multi_info(info, out);
}

/// HMAC-SHA256 under one key, ready for many texts. Overwritten when it is dropped, as are the copies that it makes.
pub(crate) struct Keyed(Hmac<Sha256>);

impl Keyed {
    pub(crate) fn new(key: &SecretKey) -> Self {
        // A block is what HMAC makes of every key first: one that is shorter is filled up with zeros.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(key.expose()).for_each(|(to, from)| *to = *from);
        let block: &[u8; 64] = &block;
        Self(<Hmac<Sha256> as KeyInit>::new(block.into()))
    }

    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

fn hmac(key: &SecretKey, parts: &[&[u8]]) -> [u8; 32] {
    Keyed::new(key).mac(parts)
}

/// POLYVAL of RFC 8452 over a text, padded with zeros to whole blocks, and a block with its length in bytes.
fn polyval(key: &[u8; 16], text: &[u8]) -> [u8; 16] {
    let mut hash = Polyval::new(key.into());
    hash.update_padded(text);
    let mut length = [0; 16];
    length.iter_mut().zip((text.len() as u64).to_le_bytes()).for_each(|(to, from)| *to = from);
    hash.update(&[length.into()]);
    hash.finalize().into()
}

/// AES-256-GCM in place, with a tag of 16 bytes; `None` for a text of more than 64 GiB.
fn encrypt(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
    let tag = Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), aad, text.into());
    tag.ok().map(Into::into)
}

/// Undoes [`encrypt`]; `None`, and the text as it was, if anything is not what it was.
fn decrypt(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> Option<()> {
    Aes256Gcm::new(key.into()).decrypt_inout_detached(nonce.into(), aad, text.into(), tag.into()).ok()
}

/// The key of one text, and what commits to it.
fn derive(key: &SecretKey, salt: &Salt, info: &[&[u8]]) -> (Zeroizing<[u8; 32]>, Commitment) {
    let mut both = Zeroizing::new([0; 64]);
    hkdf(key.expose(), salt, info, both.as_mut());
    let (mut once, mut commitment) = (Zeroizing::new([0; 32]), [0; COMMITMENT]);
    let (first, second) = both.split_at(32);
    once.copy_from_slice(first);
    commitment.copy_from_slice(second);
    (once, commitment)
}

/// What could not be opened, and as far as can be told why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// The key is another one, or the salt or the commitment was changed.
    NotThisKey,
    /// The ciphertext or what is bound to it was changed.
    Changed,
}

/// Encrypts `text` in place with a key of its own. Returns the commitment, which belongs before it, and the tag, which
/// belongs behind it; `None` for a text of more than 64 GiB. The same salt must never come twice with different `aad` or
/// `text`.
pub(crate) fn seal(
    key: &SecretKey,
    salt: &Salt,
    info: &[&[u8]],
    aad: &[u8],
    text: &mut [u8],
) -> Option<(Commitment, [u8; TAG])> {
    let (once, computed) = derive(key, salt, info);
    let tag = encrypt(&once, &NONCE, aad, text)?;
    Some((computed, tag))
}

/// Decrypts what [`seal`] made, in place. The commitment is compared first, in constant time; where anything is wrong, the
/// text stays as it was.
pub(crate) fn open(
    key: &SecretKey,
    salt: &Salt,
    info: &[&[u8]],
    aad: &[u8],
    commitment: &Commitment,
    text: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), Unopened> {
    let (once, computed) = derive(key, salt, info);
    if !computed.ct_eq(commitment).to_bool() {
        return Err(Unopened::NotThisKey);
    }
    decrypt(&once, &NONCE, aad, text, tag).ok_or(Unopened::Changed)
}

/// Keyed digests of texts in their places, and the salts that follow from them.
///
/// The text goes through POLYVAL under a secret key (RFC 8452 does the same), then with its place through HMAC-SHA256: a
/// universal hash and then a pseudorandom function is one of any length. The place is not hashed before, so only texts of
/// the same place could ever meet, once in about 2^100.
pub(crate) struct Digester {
    hash: SecretKey,
    mac: SecretKey,
}

impl Digester {
    /// The digester of a session, from its digest key.
    pub(crate) fn new(key: &SecretKey) -> Self {
        let part = |info: &[u8]| SecretKey::filled(|out| hkdf(key.expose(), b"", &[b"craftx/v1/digest/", info], out));
        Self { hash: part(b"hash"), mac: part(b"mac") }
    }

    /// The digest of a text in its place.
    pub(crate) fn digest(&self, place: &[u8], text: &[u8]) -> [u8; 32] {
        let mut key = Zeroizing::new([0; 16]);
        key.iter_mut().zip(self.hash.expose()).for_each(|(to, from)| *to = *from);
        let hash = polyval(&key, text);
        hmac(&self.mac, &[b"d", &(place.len() as u64).to_be_bytes(), place, &hash])
    }

    /// A salt that comes with nothing else than the text of this digest, padded to this length, and these words beside it.
    pub(crate) fn salt(&self, digest: &[u8; 32], padded: usize, words: &[u8]) -> Salt {
        let mac = hmac(&self.mac, &[b"s", &(padded as u64).to_be_bytes(), digest, words]);
        let mut salt = [0; SALT];
        salt.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        salt
    }
}

#[cfg(test)]
#[path = "crypto_vectors.rs"]
mod vectors;
