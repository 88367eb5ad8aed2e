//! Raw keys: never shown, never copied, overwritten when they are dropped.

use craftx_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretBox, SecretSlice};

/// Bytes of a key for AES-256 and for HMAC-SHA256.
pub(crate) const KEY: usize = 32;

/// A key.
pub(crate) struct SecretKey(SecretBox<[u8; KEY]>);

impl SecretKey {
    /// A key from the random numbers of the operating system.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if it has none to give. Nothing takes their place.
    pub(crate) fn random() -> Result<Self> {
        let mut result = Ok(());
        let key = Self::filled(|out| result = random(out));
        result.map(|()| key)
    }

    /// A key that `fill` writes.
    pub(crate) fn filled(fill: impl FnOnce(&mut [u8; KEY])) -> Self {
        Self(SecretBox::init_with_mut(fill))
    }

    /// A key from bytes; `None` if their number is another one.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEY] = bytes.try_into().ok()?;
        Some(Self::filled(|out| out.copy_from_slice(bytes)))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY] {
        self.0.expose_secret()
    }
}

/// Random bytes of the operating system.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if it has none to give.
pub(crate) fn random(out: &mut [u8]) -> Result<()> {
    getrandom::fill(out).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the operating system gives no random numbers").because(error.to_string())
    })
}

/// Key material on its way into or out of a [`KeyProvider`](crate::KeyProvider).
///
/// It is overwritten when it is dropped, and can be neither shown nor copied:
///
/// ```compile_fail,E0599
/// let material = craftx_encrypt::KeyMaterial::new(vec![0; 64]);
/// let copy = material.clone();
/// ```
///
/// ```compile_fail,E0277
/// let material = craftx_encrypt::KeyMaterial::new(vec![0; 64]);
/// println!("{material:?}");
/// ```
///
/// ```
/// let material = craftx_encrypt::KeyMaterial::new(vec![0; 64]);
/// assert_eq!(material.expose().len(), 64);
/// ```
#[allow(missing_debug_implementations, reason = "nobody may show it")]
pub struct KeyMaterial(SecretSlice<u8>);

impl KeyMaterial {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// The bytes. Show them to nobody.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}
