//! Stamps: the identity and the order of records.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, ErrorKind, Result, SessionId};

/// Bits of a UUIDv7 below its 48 bits of milliseconds, less version and variant.
const FREE: u32 = 74;
/// A stamp minted after another one lies up to this many bits above it, so that two writers who read the same
/// head do not mint the same stamp.
const GAP: u128 = (1 << 48) - 1;

/// A UUIDv7 minted by a hybrid logical clock, per session. `Ord` is the order of the conversation.
///
/// A stamp carries 48 bits of milliseconds since 1970 and 74 free bits, ordered as one number of 122 bits. It is
/// minted *after the greatest stamp known in its session*, so whoever has read a message writes after it, on any
/// machine and under any clock skew. (The idea is that of Kulkarni et al., *Logical Physical Clocks*, 2014,
/// packed into RFC 9562 version 7.)
///
/// ```
/// use craftx_core::Stamp;
/// let question = Stamp::mint(2_000_500, None, 7)?;
/// // This machine's clock is half a second behind, and the answer still follows the question.
/// let answer = Stamp::mint(2_000_000, Some(question), 1)?;
/// assert!(answer > question);
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp(Uuid);

impl Stamp {
    /// The smallest stamp.
    pub const MIN: Self = Self(unpack(0));
    /// The greatest stamp. Nothing can be minted after it.
    pub const MAX: Self = Self(unpack((1 << 122) - 1));

    /// Mints a stamp at `wall_ms` milliseconds since 1970, but after `after`. `random` gives 74 fresh random bits;
    /// the rest of it is ignored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `wall_ms` does not fit 48 bits (the year 10889) or nothing lies after `after`.
    pub fn mint(wall_ms: u64, after: Option<Self>, random: u128) -> Result<Self> {
        if wall_ms >= 1 << 48 {
            return Err(Error::invalid("stamp", "the clock is beyond the year 10889"));
        }
        let fresh = (u128::from(wall_ms) << FREE) | (random & ((1 << FREE) - 1));
        let packed = match after {
            Some(after) => fresh.max(pack(after.0) + 1 + (random & GAP)),
            None => fresh,
        };
        if packed >= 1 << 122 {
            return Err(Error::new(ErrorKind::InvalidInput, "no stamp is left after the greatest one of this session"));
        }
        Ok(Self(unpack(packed)))
    }

    /// The stamp of an item that was imported: `ms` milliseconds, then its `position` in its file, then a hash of
    /// where it comes from. The same item always gets the same stamp, so that a second import changes nothing.
    ///
    /// # Errors
    /// As [`Stamp::mint`].
    pub fn imported(ms: u64, position: u32, source_hash: u64) -> Result<Self> {
        let low = (u128::from(position) << 42) | u128::from(source_hash & ((1 << 42) - 1));
        Self::mint(ms, None, low)
    }

    /// The hash of where an imported item comes from, for [`Stamp::imported`]: of its `kind`, its session and its name
    /// or place there. The same on every machine and for ever; `docs/formats.md`, section 1.
    pub fn source_hash(kind: &str, session: &SessionId, item: &str) -> u64 {
        let digest = crate::cursor::digest_of_parts([kind, session.as_str(), item]);
        digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
    }

    /// The milliseconds since 1970 which the stamp carries. They may be ahead of every clock.
    pub fn millis(self) -> u64 {
        // 48 bits always fit.
        (pack(self.0) >> FREE) as u64
    }

    /// The same as a point in time.
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.millis())
    }

    /// The UUID.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// The 16 bytes of the UUID; their order is the order of the stamps.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads the 16 bytes of a UUID of version 7.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if they are not one.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self> {
        Self::try_from(Uuid::from_bytes(bytes))
    }
}

const fn pack(uuid: Uuid) -> u128 {
    let bits = uuid.as_u128();
    ((bits >> 80) << FREE) | (((bits >> 64) & 0xfff) << 62) | (bits & ((1 << 62) - 1))
}

const fn unpack(packed: u128) -> Uuid {
    Uuid::from_u128(
        ((packed >> FREE) << 80)
            | (7 << 76)
            | (((packed >> 62) & 0xfff) << 64)
            | (2 << 62)
            | (packed & ((1 << 62) - 1)),
    )
}

impl TryFrom<Uuid> for Stamp {
    type Error = Error;
    fn try_from(uuid: Uuid) -> Result<Self> {
        if uuid.get_version_num() == 7 && uuid.get_variant() == uuid::Variant::RFC4122 {
            Ok(Self(uuid))
        } else {
            Err(Error::invalid("stamp", "a stamp is a UUID of version 7"))
        }
    }
}

impl FromStr for Stamp {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        // One spelling only, so that equal stamps have equal text.
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase()) => Self::try_from(uuid),
            _ => Err(Error::invalid("stamp", "a stamp is a UUID of version 7 in lower case with hyphens")),
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; 36];
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parse_with(deserializer, "a UUID of version 7", Stamp::from_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_uuid_v7_and_round_trips() {
        for i in 0..10_000u128 {
            let stamp = Stamp::mint(1_700_000_000_000, None, i * 0x9e37_79b9_7f4a_7c15).unwrap();
            assert_eq!(Stamp::try_from(stamp.as_uuid()).unwrap(), stamp);
            assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp);
            assert_eq!(stamp.millis(), 1_700_000_000_000);
        }
    }

    #[test]
    fn grows_when_the_wall_clock_steps_back() {
        let mut last = Stamp::mint(1_000_000, None, 3).unwrap();
        for ms in [1_000_000, 999_000, 5, 1_000_001, 0] {
            let next = Stamp::mint(ms, Some(last), 11).unwrap();
            assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn order_of_text_and_bytes_is_order_of_stamps() {
        let mut stamps: Vec<_> = (0..1_000u128)
            .map(|i| Stamp::mint((i as u64 * 7919) % 500, None, i * 0x9e37_79b9_7f4a_7c15_1234).unwrap())
            .collect();
        stamps.sort();
        assert!(stamps.windows(2).all(|w| w[0].to_string() <= w[1].to_string()));
        assert!(stamps.windows(2).all(|w| w[0].as_bytes() <= w[1].as_bytes()));
    }

    #[test]
    fn nothing_is_minted_after_the_last_stamp() {
        assert!(Stamp::mint(0, Some(Stamp::MAX), 0).is_err());
        assert!(Stamp::mint(1 << 48, None, 0).is_err());
        assert!(Stamp::MIN < Stamp::MAX);
    }

    #[test]
    fn another_uuid_is_refused() {
        assert!("6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse::<Stamp>().is_err());
        let stamp = Stamp::mint(5, None, 0xabcdef).unwrap().to_string();
        assert!(stamp.to_uppercase().parse::<Stamp>().is_err());
        assert!(stamp.replace('-', "").parse::<Stamp>().is_err());
    }
}
