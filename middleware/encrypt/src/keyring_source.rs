//! Where a keyring is.

use std::path::{Path, PathBuf};

use craftx_core::{Context, Error, ErrorKind, Result, Secret, async_trait};
use serde::Deserialize;

use crate::key::KeyMaterial;
use crate::keyring::Keyring;
use crate::provider::{KeyContext, KeyInfo, KeyProvider, Wrapped};

/// A [`Keyring`] in a file or in a variable of the environment, which is read each time that a key is needed: a key that is
/// added, retired or destroyed there is so for running programs too, as soon as the data keys that they have in memory have
/// expired.
///
/// ```
/// use craftx_encrypt::KeyringSource;
/// let keys = KeyringSource::parse("file:keyring.json")?;
/// assert!(keys.read().is_err(), "there is no such file");
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct KeyringSource(Secret);

impl KeyringSource {
    /// Reads `env:NAME` or `file:PATH`. Does no I/O.
    ///
    /// # Errors
    /// As [`Secret::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        Secret::parse(text).map(Self)
    }

    /// A keyring in a file. Does no I/O.
    ///
    /// # Errors
    /// As [`Secret::parse`], for a path that is empty or no UTF-8.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self> {
        Self::parse(&format!("file:{}", path.into().to_str().unwrap_or_default()))
    }

    /// The file, if it is in one: for those who change it.
    pub fn path(&self) -> Option<&Path> {
        self.0.file()
    }

    /// Reads the keyring. Blocks while it does.
    ///
    /// # Errors
    /// As [`Keyring::read`].
    pub fn read(&self) -> Result<Keyring> {
        match self.0.file() {
            Some(path) => Keyring::read(path),
            None => self
                .0
                .resolve()
                .and_then(|text| Keyring::parse(&text))
                .map_err(|error: Error| error.during("read the keyring")),
        }
    }
}

#[async_trait]
impl KeyProvider for KeyringSource {
    async fn keys(&self, cx: &Context) -> Result<Vec<KeyInfo>> {
        KeyProvider::keys(&self.read()?, cx).await
    }

    async fn wrap(&self, cx: &Context, of: &KeyContext<'_>, material: &KeyMaterial) -> Result<Wrapped> {
        self.read().map_err(unavailable)?.wrap(cx, of, material).await
    }

    async fn unwrap(&self, cx: &Context, of: &KeyContext<'_>, wrapped: &Wrapped) -> Result<KeyMaterial> {
        self.read().map_err(unavailable)?.unwrap(cx, of, wrapped).await
    }
}

/// A keyring that was there when the store was opened, and is not any more: its keys are missing.
fn unavailable(error: Error) -> Error {
    let missing = Error::new(ErrorKind::KeyUnavailable, error.message().to_owned()).during(error.operation());
    error.context().fold(missing, |missing, (name, value)| missing.with(name, value))
}
