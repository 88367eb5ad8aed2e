//! The layer.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use craftx_core::{Capabilities, Context, DynBackend, Error, ErrorKind, Layer, Result, Slot, Support};

use crate::config::EncryptConfig;
use crate::keys::Keys;
use crate::provider::{KeyInfo, KeyProvider};

/// Encrypts what is written and decrypts what is read.
///
/// ```
/// use craftx_core::{Memory, Stack};
/// use craftx_encrypt::{Encrypt, EncryptConfig, Encrypted, Keyring};
/// use std::sync::Arc;
/// let keyring = Arc::new(Keyring::generate("2026-11")?);
/// let layer = Encrypt::new(keyring, Arc::new(Memory::new()), EncryptConfig::default())?;
/// let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(layer).build()?;
/// assert!(stack.find::<Encrypted>().is_some());
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Encrypt(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) keys: Keys,
    pub(crate) config: EncryptConfig,
}

/// A backend with everything in it encrypted: what [`Encrypt`] makes of another one, and the handle of its keys.
///
/// Clones share everything. In a stack, `stack.find::<Encrypted>()` has it.
#[derive(Clone)]
pub struct Encrypted {
    pub(crate) shared: Arc<Shared>,
    pub(crate) inner: DynBackend,
}

impl Encrypt {
    /// A layer whose data keys are kept in `keys`, wrapped by `provider`.
    ///
    /// `keys` is best a store of its own with a backup of its own: whoever has an old backup of both, and the key that
    /// wraps, can read what was shredded since.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if the key store may lose what it has acknowledged, because a part of it is mirrored
    /// later, or for options that exclude each other; [`ErrorKind::Unsupported`] if the key store cannot write several
    /// records at once, or with a blind index if it cannot compare and append.
    pub fn new(provider: Arc<dyn KeyProvider>, keys: DynBackend, config: EncryptConfig) -> Result<Self> {
        config.check()?;
        let can = keys.capabilities();
        if can.mirrored_later {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "a key store must not be mirrored later: with one leg the keys that it alone has would be lost",
            ));
        }
        if can.atomic_batch == Support::No {
            return Err(Error::unsupported("several records at once", "the key store"));
        }
        if config.blind_index && can.compare_and_append == Support::No {
            // Two keys of a tenant would make two tokens of one word.
            return Err(Error::unsupported("a key that all writers agree on", "the key store"));
        }
        let keys = Keys::new(provider, keys, config.cache_sessions, config.cache());
        Ok(Self(Arc::new(Shared { keys, config })))
    }

    /// Encrypts what is in `inner`. Does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if `inner` cannot keep ciphertexts, or with a blind index if it cannot search.
    pub fn over(&self, inner: DynBackend) -> Result<Encrypted> {
        self.0.can_be_built(inner.capabilities())?;
        Ok(Encrypted { shared: Arc::clone(&self.0), inner })
    }
}

impl Layer for Encrypt {
    fn name(&self) -> &'static str {
        "encrypt"
    }

    fn slot(&self) -> Slot {
        Slot::Encrypt
    }

    fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
        self.0.can_be_built(inner)
    }

    fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
        Ok(Arc::new(self.over(inner)?))
    }
}

impl Encrypted {
    /// Who keeps the keys that wrap, if it is of this type, for what only that type can do.
    ///
    /// ```
    /// use craftx_core::Memory;
    /// use craftx_encrypt::{Encrypt, EncryptConfig, Keyring, KeyringSource};
    /// use std::sync::Arc;
    /// let keyring = Arc::new(Keyring::generate("2026-11")?);
    /// let layer = Encrypt::new(keyring, Arc::new(Memory::new()), EncryptConfig::default())?;
    /// let store = layer.over(Arc::new(Memory::new()))?;
    /// assert!(store.provider::<Keyring>().is_some() && store.provider::<KeyringSource>().is_none());
    /// # Ok::<(), craftx_core::Error>(())
    /// ```
    pub fn provider<P: KeyProvider>(&self) -> Option<&P> {
        let provider: &dyn Any = &*self.shared.keys.provider;
        provider.downcast_ref()
    }

    /// The keys that wrap, and what each of them may be used for.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] unless the caller is the system, and those of the provider.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn keys(&self, cx: &Context) -> Result<Vec<KeyInfo>> {
        cx.require_system().map_err(|error| error.during("keys"))?;
        self.shared.keys.provider.keys(cx).await.map_err(|error| error.during("keys"))
    }

    /// What can be done with ciphertext.
    pub(crate) fn allows(&self, inner: Capabilities) -> Result<Capabilities> {
        self.shared.allows(inner)
    }
}

impl Shared {
    /// What can be done with ciphertext. Nothing can be compared that the medium cannot read, nor found but by tokens, and
    /// what is sealed once is not sealed again.
    fn allows(&self, inner: Capabilities) -> Result<Capabilities> {
        if inner.sealed == Support::No {
            return Err(Error::unsupported("ciphertexts", "the store below"));
        }
        let search = if self.config.blind_index { inner.search } else { Support::No };
        let mut outer = inner.sealed(Support::No).search(search).metadata_filter(Support::No);
        // How large a ciphertext becomes depends on more than the size of the record; what is too large is refused below.
        outer.max_record_bytes = None;
        Ok(outer)
    }

    /// As [`Shared::allows`]; and tokens that nothing can look up would be shown for nothing. Where searching is only
    /// switched off for a while, they are written all the same.
    fn can_be_built(&self, inner: Capabilities) -> Result<Capabilities> {
        if self.config.blind_index && inner.search == Support::No {
            return Err(Error::unsupported("search", "the store below"));
        }
        self.allows(inner)
    }
}

impl fmt::Debug for Encrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Shared {
    /// Shows ids of keys, never a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypt")
            .field("provider", &self.keys.provider)
            .field("keys", &self.keys.store)
            .field("config", &self.config)
            .finish()
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").field("layer", &self.shared).field("inner", &self.inner).finish()
    }
}
