#![doc = include_str!("../README.md")]

mod backend;
mod cache;
mod config;
mod crypto;
mod data_key;
mod envelope;
mod every;
mod key;
mod keyring;
mod keyring_file;
mod keyring_source;
mod keys;
mod layer;
mod open;
mod payload;
mod place;
mod provider;
mod reencrypt;
mod register;
mod rotate;
mod seal;
mod sealed_value;
mod session_keys;
mod shred;
mod verify;
mod wrap;

pub use config::EncryptConfig;
pub use key::KeyMaterial;
pub use keyring::Keyring;
pub use keyring_source::KeyringSource;
pub use layer::{Encrypt, Encrypted};
pub use provider::{KeyContext, KeyInfo, KeyProvider, KeyState, Wrapped};
pub use reencrypt::{DataKeyUse, Reencrypted};
pub use register::register;
pub use rotate::{KeyUse, Rotated, RotationStatus};
pub use shred::{ShredReceipt, ShredStep};
