//! What an encryption layer leaves of a message.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The content and the metadata of a message as ciphertext. Opaque to every medium; only the encryption layer reads it.
///
/// Sealing the same message again gives another envelope with the same [`digest`](Self::digest), so that media can tell
/// a renewed ciphertext, which takes the place of the older one, from another content under the same id, which is a
/// conflict.
///
/// `Debug` shows sizes only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Sealed {
    /// How often the keys of the session were renewed before: of two envelopes with the same digest the greater is kept.
    pub generation: u32,
    /// A keyed digest of what is sealed; the same whenever the same is sealed.
    pub digest: String,
    /// The ciphertext and what its key is found by.
    pub envelope: String,
    /// What stands for the words of the message where it can be searched: what an index has of it. Lower-case ASCII letters
    /// and digits that are [terms](crate::search::terms) of themselves, sorted and each once, so that they tell neither
    /// order nor number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

impl Sealed {
    /// A message has no more words than this.
    pub const MAX_WORDS: usize = 100_000;

    /// A ciphertext.
    pub fn new(generation: u32, digest: impl Into<String>, envelope: impl Into<String>) -> Self {
        Self { generation, digest: digest.into(), envelope: envelope.into(), words: Vec::new() }
    }

    /// Sets what stands for the words.
    #[must_use]
    pub fn with_words(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.words = BTreeSet::from_iter(words).into_iter().collect();
        self
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed(generation {}, {} bytes, {} words)", self.generation, self.envelope.len(), self.words.len())
    }
}
