//! The conformance kit over an encrypted store in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use craftx_conformance::{Failure, Subject, conformance};
use craftx_core::Memory;
use craftx_encrypt::{Encrypt, EncryptConfig, Keyring};

fn encrypted(config: EncryptConfig) -> Result<Subject, Failure> {
    let keyring = Arc::new(Keyring::generate("a")?);
    let layer = Encrypt::new(keyring, Arc::new(Memory::new()), config)?;
    Ok(Subject::new(layer.over(Arc::new(Memory::new()))?))
}

conformance!(encrypted_memory, || async { encrypted(EncryptConfig::default()) }, |kit| kit.cases(500).sequences(200));
conformance!(
    encrypted_memory_padded_with_sealed_roles_and_without_a_cache,
    || async { encrypted(EncryptConfig::default().pad(true).seal_roles(true).cache_ms(0)) },
    |kit| kit.cases(300).sequences(100)
);
conformance!(
    encrypted_memory_with_a_blind_index,
    || async { encrypted(EncryptConfig::default().blind_index(true).pad(true)) },
    |kit| kit.cases(300).sequences(100)
);
