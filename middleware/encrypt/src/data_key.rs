//! Data keys: they seal the messages of one session.

use craftx_core::{Error, ErrorKind, Result, Stamp};
use data_encoding::BASE64URL_NOPAD;

use crate::crypto::{self, Digester};
use crate::envelope::{self, HEADER, PREFIX};
use crate::key::{KEY, KeyMaterial, SecretKey};
use crate::payload;
use crate::place::{self, Place};
use crate::words::Tokens;

/// Bytes of the digest that stands beside an envelope.
const DIGEST: usize = 16;
const INFO: &[u8] = b"craftx/v1/msg";

/// A data key, and the digest key of its session. A renewed data key has the digest key of the one before, so that a
/// message keeps its digest; both die together when the session is shredded.
pub(crate) struct DataKey {
    /// The stamp under which it was wrapped first. Greater generations are newer.
    pub(crate) id: Stamp,
    pub(crate) generation: u32,
    data: SecretKey,
    digest: SecretKey,
    digester: Digester,
}

/// What sealing gives.
pub(crate) struct SealedText {
    /// Tells whether two ciphertexts say the same.
    pub(crate) digest: String,
    pub(crate) envelope: String,
}

impl DataKey {
    fn new(id: Stamp, generation: u32, data: SecretKey, digest: SecretKey) -> Self {
        let digester = Digester::new(&digest);
        Self { id, generation, data, digest, digester }
    }

    /// A first key for a session.
    ///
    /// # Errors
    /// As [`SecretKey::random`].
    pub(crate) fn first(id: Stamp) -> Result<Self> {
        Ok(Self::new(id, 1, SecretKey::random()?, SecretKey::random()?))
    }

    /// A key to come after this one.
    ///
    /// # Errors
    /// As [`SecretKey::random`].
    pub(crate) fn renewed(&self, id: Stamp) -> Result<Self> {
        let digest = SecretKey::filled(|out| out.copy_from_slice(self.digest.expose()));
        Ok(Self::new(id, self.generation.saturating_add(1), SecretKey::random()?, digest))
    }

    /// The bytes to wrap.
    pub(crate) fn material(&self) -> KeyMaterial {
        KeyMaterial::new(self.data.expose().iter().chain(self.digest.expose()).copied().collect())
    }

    /// A key from the bytes that were wrapped; `None` if they are none.
    pub(crate) fn from_material(id: Stamp, generation: u32, material: &KeyMaterial) -> Option<Self> {
        let (data, digest) = material.expose().split_at_checked(KEY)?;
        Some(Self::new(id, generation, SecretKey::from_slice(data)?, SecretKey::from_slice(digest)?))
    }

    /// Seals a [`payload`] that has room for the envelope before it.
    ///
    /// The salt follows from the place, the words beside the envelope, the payload and the length alone, so that a retry gives the same bytes; and it
    /// comes with no other text, as whatever is bound to the ciphertext is in the digest or in the key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a payload of 4 GiB or more.
    pub(crate) fn seal(
        &self,
        place: &Place<'_>,
        words: &[String],
        mut payload: Vec<u8>,
        pad: bool,
    ) -> Result<SealedText> {
        if u32::try_from(payload.len()).is_err() {
            return Err(too_large());
        }
        let place = place.bytes();
        let digest = self.digester.digest(&place, payload.get(PREFIX..).unwrap_or_default());
        if pad {
            let length = payload.len().saturating_sub(PREFIX);
            payload.resize(PREFIX + payload::padded(length), 0);
        }
        let words = place::parts(words.iter().map(String::as_bytes));
        let salt = self.digester.salt(&digest, payload.len().saturating_sub(PREFIX), &words);
        let short = short(&digest);
        let header = envelope::header(self.id);
        let aad = aad(place, &words, &header, &short);
        let text = payload.get_mut(PREFIX..).unwrap_or_default();
        let sealed = crypto::seal(&self.data, &salt, &[INFO, &header], &aad, text);
        let (commitment, tag) = sealed.ok_or_else(too_large)?;
        let envelope = envelope::write(payload, self.id, &salt, &commitment, &tag);
        Ok(SealedText { digest: BASE64URL_NOPAD.encode(&short), envelope })
    }

    /// A keyed digest of what is in clear at a place. The same for all keys that descend from one.
    pub(crate) fn vouch(&self, place: &Place<'_>) -> String {
        BASE64URL_NOPAD.encode(&short(&self.digester.digest(&place.bytes(), b"")))
    }

    /// What makes the tokens of the tenant, if this is a key of one. The same for all keys that descend from one.
    pub(crate) fn tokens(&self) -> Tokens {
        Tokens::new(&self.digest)
    }

    /// Opens an envelope that this key sealed. `words` and `digest` are what stands beside it.
    ///
    /// # Errors
    /// [`ErrorKind::Tampered`] if anything was changed, or belongs elsewhere.
    pub(crate) fn open(
        &self,
        place: &Place<'_>,
        words: &[String],
        digest: &str,
        envelope: envelope::Envelope,
    ) -> Result<Vec<u8>> {
        let changed = || Error::new(ErrorKind::Tampered, "what was sealed here was changed, or belongs elsewhere");
        let mut short = [0; DIGEST];
        match BASE64URL_NOPAD.decode(digest.as_bytes()) {
            Ok(bytes) if bytes.len() == DIGEST => short.copy_from_slice(&bytes),
            _ => return Err(changed()),
        }
        let header = envelope::header(self.id);
        let words = place::parts(words.iter().map(String::as_bytes));
        let aad = aad(place.bytes(), &words, &header, &short);
        let envelope::Envelope { salt, commitment, mut text, tag, .. } = envelope;
        crypto::open(&self.data, &salt, &[INFO, &header], &aad, &commitment, &mut text, &tag).map_err(|_| changed())?;
        Ok(text)
    }
}

fn too_large() -> Error {
    Error::invalid("content", "is too large to be encrypted")
}

/// What is bound to a ciphertext: where it belongs, the words beside it if there are any, version, suite and key, and the
/// digest beside it. The last two have one length each, so that the parts cannot be told apart in two ways.
fn aad(mut place: Vec<u8>, words: &[u8], header: &[u8; HEADER], digest: &[u8; DIGEST]) -> Vec<u8> {
    if !words.is_empty() {
        place.extend(place::parts([words]));
    }
    place.extend_from_slice(header);
    place.extend_from_slice(digest);
    place
}

fn short(digest: &[u8; 32]) -> [u8; DIGEST] {
    let mut short = [0; DIGEST];
    short.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Field;
    use craftx_core::{Message, Role, SessionId, Tenant};

    fn key(id: u64) -> DataKey {
        let material = KeyMaterial::new((0..64).collect());
        DataKey::from_material(Stamp::mint(id, None, 0).unwrap(), 1, &material).unwrap()
    }

    fn sealed(key: &DataKey, text: &str, pad: bool) -> (SealedText, Message) {
        let message = Message::new(Stamp::mint(1, None, 1).unwrap(), Role::User, text);
        let (tenant, session) = (Tenant::default(), SessionId::new("s").unwrap());
        let place = Place { tenant: &tenant, session: &session, field: Field::Message(&message) };
        (key.seal(&place, &[], payload::of_message(&message, None), pad).unwrap(), message)
    }

    #[test]
    fn the_same_text_in_the_same_place_gives_the_same_bytes() {
        let (one, other) = (sealed(&key(1), "hello", false).0, sealed(&key(1), "hello", false).0);
        assert_eq!((one.digest, one.envelope), (other.digest, other.envelope));
    }

    #[test]
    fn another_key_of_the_session_gives_the_same_digest_and_other_bytes() {
        let first = key(1);
        let renewed = first.renewed(Stamp::mint(2, None, 0).unwrap()).unwrap();
        let (one, other) = (sealed(&first, "hello", false).0, sealed(&renewed, "hello", false).0);
        assert_eq!(one.digest, other.digest);
        assert_ne!(one.envelope, other.envelope);
        assert_eq!(renewed.generation, 2);
    }

    #[test]
    fn a_padded_text_has_another_salt_and_the_same_digest() {
        let (one, other) =
            (sealed(&key(1), "hello, hello, hello!", false).0, sealed(&key(1), "hello, hello, hello!", true).0);
        assert_eq!(one.digest, other.digest);
        let salt = |sealed: &SealedText| envelope::read(&sealed.envelope).unwrap().salt;
        assert_ne!(salt(&one), salt(&other));
    }

    #[test]
    fn an_envelope_is_as_long_as_its_text_and_what_the_format_says() {
        let (sealed, _) = sealed(&key(1), "hello", false);
        let bytes = BASE64URL_NOPAD.decode(sealed.envelope.as_bytes()).unwrap();
        assert_eq!(bytes.len(), envelope::OVERHEAD + 1 + 12 + 5);
        assert_eq!(envelope::OVERHEAD, 92);
    }
}
