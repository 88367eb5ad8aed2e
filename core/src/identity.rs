//! How records are told from each other.

use crate::{Digest, Message, Record, Sealed};

/// Tells a record from others, and a renewed ciphertext from an older one.
///
/// Two records are the same if their [digests](Self::digest) are. Of a sealed message, that is the digest of all but the
/// ciphertext, the keyed digest of the content included; which of two ciphertexts is kept says
/// [`is_renewed_by`](Self::is_renewed_by).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    digest: Digest,
    sealing: Sealing,
}

/// Which ciphertext of a message is kept: the greater one.
///
/// The generation decides. Two of the same generation come from two writers who made a key at the same time; either would
/// do, so a few bytes of their digests suffice to choose the same one everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sealing {
    generation: u32,
    choice: [u8; 4],
}

impl Identity {
    const PLAIN: Sealing = Sealing { generation: 0, choice: [0; 4] };

    /// That of a record whose canonical encoding has this digest.
    pub(crate) fn of(record: &Record, encoded: Digest) -> Self {
        let Record::Message(message) = record else { return Self { digest: encoded, sealing: Self::PLAIN } };
        let Some(sealed) = &message.sealed else { return Self { digest: encoded, sealing: Self::PLAIN } };
        let [a, b, c, d, ..] = *encoded.as_bytes();
        Self {
            digest: without_ciphertext(message, sealed),
            sealing: Sealing { generation: sealed.generation, choice: [a, b, c, d] },
        }
    }

    /// Equal for records that say the same.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether `other` says the same and is kept in place of this one.
    pub fn is_renewed_by(&self, other: &Self) -> bool {
        self.digest == other.digest && self.sealing < other.sealing
    }
}

fn without_ciphertext(message: &Message, sealed: &Sealed) -> Digest {
    let mut known = Message::new(message.id, message.role.clone(), crate::Content::Absent);
    known.parent = message.parent;
    known.created_at.clone_from(&message.created_at);
    Record::Message(known.with_sealed(Sealed::new(0, sealed.digest.clone(), ""))).encode().digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Role, Stamp};

    fn sealed(generation: u32, digest: &str, envelope: &str) -> Record {
        let message = Message::new(Stamp::MIN, Role::User, Content::Absent);
        Record::Message(message.with_sealed(Sealed::new(generation, digest, envelope)))
    }

    #[test]
    fn a_renewed_ciphertext_is_the_same_record_and_takes_the_place_of_the_older_one() {
        let old = sealed(0, "d", "one").identity();
        let new = sealed(1, "d", "two").identity();
        assert_eq!(old.digest(), new.digest());
        assert!(old.is_renewed_by(&new) && !new.is_renewed_by(&old) && !new.is_renewed_by(&new));
    }

    #[test]
    fn two_ciphertexts_of_one_generation_are_chosen_between_everywhere_alike() {
        let (one, two) = (sealed(0, "d", "one").identity(), sealed(0, "d", "two").identity());
        assert_ne!(one.is_renewed_by(&two), two.is_renewed_by(&one));
    }

    #[test]
    fn what_says_something_else_is_another_record() {
        let one = sealed(0, "d", "one").identity();
        for other in [sealed(1, "e", "one"), Record::Message(Message::new(Stamp::MIN, Role::User, "one"))] {
            assert_ne!(one.digest(), other.identity().digest());
            assert!(!one.is_renewed_by(&other.identity()));
        }
        let mut renamed = sealed(1, "d", "two");
        if let Record::Message(message) = &mut renamed {
            message.role = Role::Assistant;
        }
        assert_ne!(one.digest(), renamed.identity().digest(), "what is not sealed counts too");
    }
}
