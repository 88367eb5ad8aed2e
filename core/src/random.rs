//! Random bits for stamps and identities. Not for keys.

use std::hash::{BuildHasher, RandomState};

use uuid::Uuid;

/// 128 random bits from the operating system. Where it has none to give, they come from the seeds of the standard
/// library's hash maps: unique enough for an identity, which is all they are used for.
pub fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        Err(_) => {
            let half = |salt: u64| u128::from(RandomState::new().hash_one(salt));
            (half(0) << 64) | half(1)
        }
    }
}

/// A random identity for a store: a UUID of version 4.
pub fn random_id() -> Uuid {
    uuid::Builder::from_random_bytes(random_bits().to_ne_bytes()).into_uuid()
}
