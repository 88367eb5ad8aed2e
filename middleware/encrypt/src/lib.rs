#![doc = include_str!("../README.md")]

mod crypto;
mod data_key;
mod envelope;
mod key;
mod keyring;
mod keyring_file;
mod payload;
mod place;
mod provider;

pub use key::KeyMaterial;
pub use keyring::Keyring;
pub use keyring_file::KeyringFile;
pub use provider::{KeyContext, KeyInfo, KeyProvider, KeyState, Wrapped};
