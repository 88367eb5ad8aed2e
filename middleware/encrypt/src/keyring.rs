//! Keys in a file or a variable of the environment.

use std::fmt;

use craftx_core::{Context, Error, ErrorKind, Result, SecretString, async_trait};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::{self, COMMITMENT, SALT, TAG};
use crate::key::{KeyMaterial, SecretKey, random};
use crate::provider::{KeyContext, KeyInfo, KeyProvider, KeyState, Wrapped};

/// The version of the text that this release writes.
const VERSION: u32 = 1;
const MAX_ID_BYTES: usize = 64;
const INFO: &[u8] = b"craftx/v1/kek";

/// Keys under which data keys are wrapped: one primary key, and those that were it before.
///
/// The text of a keyring is JSON: `{"version":1,"keys":[{"id":"2026-11","state":"primary","key":"..."}]}` with 32 bytes in
/// base64url for each key. Changing a keyring changes nothing that is stored: [`rotate`](crate::Encrypted::rotate) wraps
/// the data keys under the primary key.
///
/// ```
/// use craftx_encrypt::{KeyState, Keyring};
/// let mut keyring = Keyring::generate("2026-11")?;
/// keyring.add("2027-11")?;
/// keyring.retire("2026-11")?;
/// let states: Vec<_> = keyring.keys().map(|key| (key.id, key.state)).collect();
/// assert_eq!(states, [("2026-11".into(), KeyState::Retired), ("2027-11".into(), KeyState::Primary)]);
/// assert!(!format!("{keyring:?}").contains(keyring.to_text()?.expose()));
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub struct Keyring {
    keys: Vec<Entry>,
}

struct Entry {
    id: String,
    state: KeyState,
    /// A destroyed key has none.
    key: Option<SecretKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    keys: Vec<TextEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextEntry {
    id: String,
    state: KeyState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Zeroizing<String>>,
}

impl Keyring {
    /// A keyring with one random key.
    ///
    /// # Errors
    /// As [`Keyring::add`].
    pub fn generate(id: impl Into<String>) -> Result<Self> {
        let mut keyring = Self { keys: Vec::new() };
        keyring.add(id)?;
        Ok(keyring)
    }

    /// Reads the text of a keyring.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] saying what is wrong, and with which key. Nothing of the text is quoted but ids.
    pub fn parse(text: &SecretString) -> Result<Self> {
        let read: Text = serde_json::from_str(text.expose()).map_err(|error| {
            // What serde says may quote a key.
            let place = format!("line {}, column {}", error.line(), error.column());
            wrong("this is no keyring").with("place", place)
        })?;
        if read.version != VERSION {
            let error =
                Error::new(ErrorKind::SchemaTooNew, "the keyring has a version that this release does not know");
            return Err(error.with("version", read.version));
        }
        let mut keyring = Self { keys: Vec::new() };
        for entry in read.keys {
            let key = match (entry.state, &entry.key) {
                (KeyState::Destroyed, None) => None,
                (KeyState::Destroyed, Some(_)) => return Err(wrong_key("a destroyed key is still there", &entry.id)),
                (_, None) => return Err(wrong_key("the key itself is missing", &entry.id)),
                (_, Some(text)) => {
                    Some(decode(text).ok_or_else(|| wrong_key("a key must be 32 bytes in base64url", &entry.id))?)
                }
            };
            keyring.push(Entry { id: entry.id, state: entry.state, key })?;
        }
        match keyring.keys.iter().filter(|entry| entry.state == KeyState::Primary).count() {
            1 => Ok(keyring),
            0 => Err(wrong("the keyring has no primary key")),
            _ => Err(wrong("the keyring has more than one primary key")),
        }
    }

    /// The text of the keyring, for [`Keyring::parse`]. It holds the keys.
    ///
    /// # Errors
    /// None that is known.
    pub fn to_text(&self) -> Result<SecretString> {
        let keys = self.keys.iter().map(|entry| TextEntry {
            id: entry.id.clone(),
            state: entry.state,
            key: entry.key.as_ref().map(|key| Zeroizing::new(BASE64URL_NOPAD.encode(key.expose()))),
        });
        let text = Text { version: VERSION, keys: keys.collect() };
        let text = serde_json::to_string_pretty(&text).map_err(|_| wrong("the keyring cannot be written"))?;
        Ok(SecretString::new(text + "\n"))
    }

    /// The keys, in the order in which they were added.
    pub fn keys(&self) -> impl Iterator<Item = KeyInfo> {
        self.keys.iter().map(|entry| KeyInfo { id: entry.id.clone(), state: entry.state })
    }

    /// Adds a random key as the primary one; the one before becomes [`KeyState::Enabled`].
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if the id is taken or not 1 to 64 letters, digits, `.`, `_` and `-`;
    /// [`ErrorKind::Unavailable`] if the operating system gives no random numbers.
    pub fn add(&mut self, id: impl Into<String>) -> Result<()> {
        let entry = Entry { id: id.into(), state: KeyState::Enabled, key: Some(SecretKey::random()?) };
        self.push(entry)?;
        if let Some(id) = self.keys.last().map(|entry| entry.id.clone()) {
            self.promote(&id)?;
        }
        Ok(())
    }

    /// Makes a key the primary one; the one before becomes [`KeyState::Enabled`].
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if there is no such key, or it is retired or destroyed.
    pub fn promote(&mut self, id: &str) -> Result<()> {
        match self.entry(id)?.state {
            KeyState::Primary => return Ok(()),
            KeyState::Enabled => {}
            KeyState::Retired | KeyState::Destroyed => {
                return Err(wrong_key("a retired or destroyed key cannot become the primary one", id));
            }
        }
        for entry in &mut self.keys {
            if entry.state == KeyState::Primary {
                entry.state = KeyState::Enabled;
            }
        }
        self.entry(id)?.state = KeyState::Primary;
        Ok(())
    }

    /// Retires a key: it unwraps what it has wrapped, and cannot become the primary one again.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if there is no such key, or it is the primary one or destroyed.
    pub fn retire(&mut self, id: &str) -> Result<()> {
        let entry = self.entry(id)?;
        match entry.state {
            KeyState::Enabled | KeyState::Retired => entry.state = KeyState::Retired,
            KeyState::Primary => return Err(wrong_key("the primary key cannot be retired", id)),
            KeyState::Destroyed => return Err(wrong_key("the key is destroyed", id)),
        }
        Ok(())
    }

    /// Destroys a retired key: whatever only it can unwrap is lost for ever. Look at
    /// [`rotation_status`](crate::Encrypted::rotation_status) before.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if there is no such key, or it is not retired.
    pub fn destroy(&mut self, id: &str) -> Result<()> {
        let entry = self.entry(id)?;
        match entry.state {
            KeyState::Retired | KeyState::Destroyed => {
                entry.state = KeyState::Destroyed;
                entry.key = None;
                Ok(())
            }
            KeyState::Primary | KeyState::Enabled => Err(wrong_key("only a retired key can be destroyed", id)),
        }
    }

    fn entry(&mut self, id: &str) -> Result<&mut Entry> {
        self.keys.iter_mut().find(|entry| entry.id == id).ok_or_else(|| wrong_key("there is no such key", id))
    }

    fn push(&mut self, entry: Entry) -> Result<()> {
        if !is_id(&entry.id) {
            return Err(wrong("the id of a key has 1 to 64 letters, digits, `.`, `_` and `-`"));
        }
        if self.keys.iter().any(|known| known.id == entry.id) {
            return Err(wrong_key("there are two keys with this id", &entry.id));
        }
        self.keys.push(entry);
        Ok(())
    }
}

/// Ids are shown, so they must not be what was typed in the wrong place.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn decode(text: &str) -> Option<SecretKey> {
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
    SecretKey::from_slice(&bytes)
}

fn wrong(rule: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, rule)
}

fn wrong_key(rule: &'static str, id: &str) -> Error {
    let shown = if is_id(id) { id } else { "…" };
    wrong(rule).with("key", format_args!("`{shown}`"))
}

fn unavailable(why: &'static str, id: &str) -> Error {
    Error::new(ErrorKind::KeyUnavailable, why).with("key", format_args!("`{id}`"))
}

impl Keyring {
    /// Salt, commitment, ciphertext and tag; what is bound to it is the context and the id of the key.
    fn wrap_now(&self, of: &KeyContext<'_>, material: &KeyMaterial) -> Result<Wrapped> {
        let primary = self.keys.iter().find(|entry| entry.state == KeyState::Primary);
        let (id, key) = primary
            .and_then(|entry| Some((&entry.id, entry.key.as_ref()?)))
            .ok_or_else(|| Error::new(ErrorKind::KeyUnavailable, "the keyring has no primary key"))?;
        let mut salt = [0; SALT];
        random(&mut salt)?;
        let mut text = Zeroizing::new(material.expose().to_vec());
        let sealed = crypto::seal(key, &salt, &[INFO], &bound(of, id), &mut text);
        let (commitment, tag) = sealed.ok_or_else(|| Error::invalid("key", "is too large to be wrapped"))?;
        let bytes = salt.iter().chain(&commitment).chain(text.iter()).chain(&tag).copied().collect();
        Ok(Wrapped { key: id.clone(), bytes })
    }

    fn unwrap_now(&self, of: &KeyContext<'_>, wrapped: &Wrapped) -> Result<KeyMaterial> {
        let id = wrapped.key.as_str();
        let entry = self.keys.iter().find(|entry| entry.id == id);
        let entry = entry.ok_or_else(|| unavailable("the keyring lacks the key that wrapped the data key", id))?;
        let key =
            entry.key.as_ref().ok_or_else(|| unavailable("the key that wrapped the data key is destroyed", id))?;
        let opened = split(&wrapped.bytes).and_then(|(salt, commitment, text, tag)| {
            let mut text = Zeroizing::new(text.to_vec());
            crypto::open(key, salt, &[INFO], &bound(of, id), commitment, &mut text, tag).ok()?;
            Some(KeyMaterial::new(std::mem::take(&mut *text)))
        });
        opened.ok_or_else(|| {
            unavailable("the key of this id is not the one that wrapped the data key, or that was changed", id)
        })
    }
}

type Parts<'a> = (&'a [u8; SALT], &'a [u8; COMMITMENT], &'a [u8], &'a [u8; TAG]);

fn split(bytes: &[u8]) -> Option<Parts<'_>> {
    let (salt, rest) = bytes.split_first_chunk()?;
    let (commitment, rest) = rest.split_first_chunk()?;
    let (text, tag) = rest.split_last_chunk()?;
    Some((salt, commitment, text, tag))
}

fn bound(of: &KeyContext<'_>, id: &str) -> Vec<u8> {
    let mut bytes = of.to_bytes();
    bytes.extend(crate::place::parts([id.as_bytes()]));
    bytes
}

#[async_trait]
impl KeyProvider for Keyring {
    async fn keys(&self, _cx: &Context) -> Result<Vec<KeyInfo>> {
        Ok(Self::keys(self).collect())
    }

    async fn wrap(&self, _cx: &Context, of: &KeyContext<'_>, material: &KeyMaterial) -> Result<Wrapped> {
        self.wrap_now(of, material)
    }

    async fn unwrap(&self, _cx: &Context, of: &KeyContext<'_>, wrapped: &Wrapped) -> Result<KeyMaterial> {
        self.unwrap_now(of, wrapped)
    }
}

impl fmt::Debug for Keyring {
    /// Shows ids and states.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys.iter().map(|entry| (&entry.id, entry.state))).finish()
    }
}
