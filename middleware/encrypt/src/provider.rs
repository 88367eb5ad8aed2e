//! Who keeps the keys under which data keys are wrapped.

use std::any::Any;
use std::fmt;

use craftx_core::{Context, Result, SessionId, Stamp, Tenant, async_trait};
use serde::{Deserialize, Serialize};

use crate::key::KeyMaterial;
use crate::place;

/// Keeps the keys under which data keys are wrapped: a [`Keyring`](crate::Keyring), or a key management service that never
/// gives a key away.
///
/// Each key has an id, which is shown in errors and stands in clear beside what it wraps.
///
/// # Rules for all methods
/// Every call ends by [`Context::deadline`]. No error holds key material.
#[async_trait]
pub trait KeyProvider: Any + fmt::Debug + Send + Sync {
    /// All keys, the destroyed ones that are still known included.
    ///
    /// # Errors
    /// Those of the provider.
    async fn keys(&self, cx: &Context) -> Result<Vec<KeyInfo>>;

    /// Wraps a data key under the [primary](KeyState::Primary) key.
    ///
    /// # Errors
    /// [`KeyUnavailable`](craftx_core::ErrorKind::KeyUnavailable) if there is none, and those of the provider.
    async fn wrap(&self, cx: &Context, of: &KeyContext<'_>, material: &KeyMaterial) -> Result<Wrapped>;

    /// Unwraps a data key, if the context is that of [`wrap`](Self::wrap).
    ///
    /// # Errors
    /// [`KeyUnavailable`](craftx_core::ErrorKind::KeyUnavailable) with a fact `key` if the key is missing, destroyed or
    /// another one than that which wrapped it, and those of the provider.
    async fn unwrap(&self, cx: &Context, of: &KeyContext<'_>, wrapped: &Wrapped) -> Result<KeyMaterial>;
}

/// A wrapped data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The id of the key that wrapped it.
    pub key: String,
    /// The ciphertext.
    pub bytes: Vec<u8>,
}

/// To which data key a ciphertext belongs. It opens with this context only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyContext<'a> {
    /// The tenant of the session.
    pub tenant: &'a Tenant,
    /// The session.
    pub session: &'a SessionId,
    /// The id of the data key.
    pub key: Stamp,
    /// How often the data key of the session was renewed before, and 1.
    pub generation: u32,
}

impl<'a> KeyContext<'a> {
    /// The context of a data key.
    pub fn new(tenant: &'a Tenant, session: &'a SessionId, key: Stamp, generation: u32) -> Self {
        Self { tenant, session, key, generation }
    }

    /// The context as bytes, for providers that bind bytes. The same for ever, and different for each data key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let generation = self.generation.to_be_bytes();
        place::parts([
            b"craftx/v1/wrap".as_slice(),
            self.tenant.as_str().as_bytes(),
            self.session.as_str().as_bytes(),
            self.key.as_bytes(),
            &generation,
        ])
    }
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its id.
    pub id: String,
    /// What it may be used for.
    pub state: KeyState,
}

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It wraps what is new. There is one.
    Primary,
    /// It unwraps, and may become the primary one.
    Enabled,
    /// It unwraps, and is to be destroyed once nothing needs it any more. It cannot become the primary one again.
    Retired,
    /// It is gone for ever, and what it wrapped with it.
    Destroyed,
}

impl KeyState {
    /// The name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Enabled => "enabled",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
        }
    }
}
