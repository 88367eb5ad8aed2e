//! What a reader must have seen, as text that can be handed to another process.

use craftx_core::Token;

/// A place in the history of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which cluster; positions of another one mean nothing.
    pub(crate) system: i64,
    pub(crate) timeline: u32,
    pub(crate) position: u64,
}

impl Place {
    /// Of the same width for all, so that the order of texts is the order of places.
    pub(crate) fn token(self) -> Token {
        Token(format!("pg-{:016x}-{:08x}-{:016x}", self.system, self.timeline, self.position))
    }

    /// `None` for what is no token of PostgreSQL.
    pub(crate) fn read(token: &Token) -> Option<Self> {
        let mut parts = token.0.strip_prefix("pg-")?.split('-');
        let mut next = || u64::from_str_radix(parts.next()?, 16).ok();
        let (system, timeline, position) = (next()?, next()?, next()?);
        let place = Self { system: system.cast_signed(), timeline: u32::try_from(timeline).ok()?, position };
        // One spelling only.
        (place.token() == *token).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_the_place_that_it_was() {
        for place in [
            Place { system: -1, timeline: 1, position: 0 },
            Place { system: 7_432_198_765_432_109_876, timeline: 0xffff_ffff, position: u64::MAX },
        ] {
            assert_eq!(Place::read(&place.token()), Some(place));
        }
        let at = |timeline, position| Place { system: 1, timeline, position }.token();
        assert!(at(1, 9) < at(1, 10) && at(1, 10) < at(2, 3));
        for other in ["", "pg", "pg-1-1-1", "pg-0000000000000001-00000001-0000000000000001-", "pg-1-1-g", "sqlite-1"] {
            assert_eq!(Place::read(&Token(other.into())), None, "{other}");
        }
    }
}
