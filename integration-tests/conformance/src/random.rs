//! Random choices that a seed repeats.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose tests.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for the case with this number.
    pub(crate) fn case(seed: u64, number: u64) -> Self {
        Self(Self(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93)).bits())
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// True in `of` cases of a hundred.
    pub(crate) fn percent(&mut self, of: u64) -> bool {
        self.below(100) < of
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }

    /// A character of any plane.
    pub(crate) fn character(&mut self) -> char {
        let limit = match self.below(4) {
            0 => 0x80,
            1 => 0x800,
            2 => 0x1_0000,
            _ => 0x11_0000,
        };
        char::from_u32(self.below(limit) as u32).unwrap_or('\u{fffd}')
    }

    pub(crate) fn text(&mut self, longest: u64) -> String {
        let length = self.below(longest + 1);
        (0..length).map(|_| self.character()).collect()
    }
}
