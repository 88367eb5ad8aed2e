//! What the end of a file is: an interrupted append, or damage.
//!
//! Every batch is synced before the next one is written, so whatever lies behind the last whole batch, of what an
//! interrupted append left there, is one batch that was never acknowledged. Such a *torn tail* is told from damage by
//! what an interruption can do: it cuts the file at any byte (the process died), or leaves some of the disk's sectors
//! unwritten, which then read as zeros (power was lost). No line ever contains a zero byte, since JSON escapes it.
//! Everything else is damage and is never passed over.

use crate::line::{self, Part};

/// The smallest piece that a disk writes whole.
const SECTOR: u64 = 512;

/// What [`judge`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// What an interrupted append leaves.
    Torn,
    /// The line at this index, counted from 0 in the tail, is not what was written.
    Damaged(u64),
}

/// Judges the bytes from the end of the last whole batch, which is at `start` in the file, to the end of the file.
pub(crate) fn judge(start: u64, tail: &[u8]) -> Tail {
    let mut sequence = Sequence::new(start == 0);
    let mut at = 0;
    for (index, line) in tail.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let damaged = Tail::Damaged(index as u64);
        let end = at + line.len();
        match line.strip_suffix(b"\n") {
            Some(whole) => match line::part(whole) {
                Some(part) if sequence.fits(part) => {}
                Some(_) => return damaged,
                None if !sequence.ended && touches_unwritten_sector(start, tail, at, end) => {
                    sequence.gap = true;
                    // The line break before a whole line may be what is missing.
                    let last = whole.rsplit(|byte| *byte == 0).next().and_then(line::part);
                    if last.is_some_and(|part| !sequence.fits(part)) {
                        return damaged;
                    }
                }
                None => return damaged,
            },
            None if sequence.ended || line_break_was_changed(line) => return damaged,
            None => {}
        }
        at = end;
    }
    Tail::Torn
}

/// Where in its batch the tail is.
struct Sequence {
    last: Option<Part>,
    /// Whether lines may be missing since `last`.
    gap: bool,
    /// Whether the batch is over: nothing may follow.
    ended: bool,
    /// The header of a new file is written with the first batch and may be the missing line.
    may_miss_header: bool,
}

impl Sequence {
    fn new(at_start_of_file: bool) -> Self {
        Self { last: None, gap: false, ended: false, may_miss_header: at_start_of_file }
    }

    fn fits(&mut self, part: Part) -> bool {
        let before = self.last.map_or(0, |last| last.line);
        let same_batch = self.last.is_none_or(|last| last.of == part.of);
        let in_order = match (self.gap, self.last) {
            (false, None) => part.line == 1,
            (false, Some(_)) => part.line == before + 1,
            (true, None) if self.may_miss_header => true,
            (true, _) => part.line > before + 1,
        };
        let fits = !self.ended && same_batch && in_order;
        // A tail without a gap that comes to the end of its batch would have been a whole batch; what follows is bad.
        self.ended = part.is_last();
        self.last = Some(part);
        self.gap = false;
        fits
    }
}

/// Whether the bytes from `at` to `end` of the tail touch a sector that is all zeros, as far as it lies in the tail.
fn touches_unwritten_sector(start: u64, tail: &[u8], at: usize, end: usize) -> bool {
    let first = (start + at as u64) / SECTOR;
    let last = (start + end as u64 - 1) / SECTOR;
    (first..=last).any(|sector| {
        let from = (sector * SECTOR).saturating_sub(start) as usize;
        let to = (((sector + 1) * SECTOR).saturating_sub(start) as usize).min(tail.len());
        tail.get(from..to).is_some_and(|bytes| !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0))
    })
}

/// A whole line whose last byte should be a line break and is something else was not cut, it was changed.
fn line_break_was_changed(line: &[u8]) -> bool {
    matches!(line.split_last(), Some((last, before)) if *last != 0 && line::part(before).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let part = Part { line: index as u32 + 1, of: texts.len() as u32 };
            line::push(&mut bytes, &format!(r#"{{"v":1,"content":"{text}"}}"#), part);
        }
        bytes
    }

    fn long(bytes: usize) -> String {
        "x".repeat(bytes)
    }

    #[test]
    fn a_batch_cut_at_any_byte_is_torn() {
        let (one, three) = (batch(&["hello"]), batch(&["a", &long(700), "c"]));
        for bytes in [one, three] {
            for cut in 1..bytes.len() {
                assert_eq!(judge(1_000, &bytes[..cut]), Tail::Torn, "cut at {cut}");
                assert_eq!(judge(0, &bytes[..cut]), Tail::Torn, "cut at {cut}");
            }
        }
    }

    #[test]
    fn every_set_of_unwritten_sectors_is_torn() {
        let bytes = batch(&["a", &long(300), "b", &long(900), "c", "d", &long(500), "e"]);
        for start in [0, 1, 77, 500, 511, 512, 4_097] {
            let sectors: Vec<(usize, usize)> = {
                let first_end = (512 - start % 512).min(bytes.len());
                let mut all = vec![(0, first_end)];
                while all[all.len() - 1].1 < bytes.len() {
                    let from = all[all.len() - 1].1;
                    all.push((from, (from + 512).min(bytes.len())));
                }
                all
            };
            assert!(sectors.len() >= 5);
            for missing in 1..1_u32 << sectors.len() {
                let mut image = bytes.clone();
                for (index, (from, to)) in sectors.iter().enumerate() {
                    if missing & (1 << index) != 0 {
                        image[*from..*to].fill(0);
                    }
                }
                for size in [image.len(), sectors[3].1, sectors[2].1, sectors[1].1 + 1] {
                    assert_eq!(judge(start as u64, &image[..size]), Tail::Torn, "{start} {missing:b} {size}");
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_whole_batches_is_damage() {
        let bytes = [batch(&["a b", "c d"]), batch(&["e f"])].concat();
        let second = batch(&["a b", "c d"]).len();
        for at in 0..bytes.len() * 8 {
            let mut image = bytes.clone();
            image[at / 8] ^= 1 << (at % 8);
            let start = if at / 8 < second { 0 } else { second };
            assert!(matches!(judge(1_000 + start as u64, &image[start..]), Tail::Damaged(_)), "bit {at}");
        }
    }

    #[test]
    fn an_unwritten_sector_before_a_later_batch_is_damage() {
        let first = batch(&["a", &long(600)]);
        for later in [batch(&["c"]), batch(&["c", "d"])] {
            let mut image = first.clone();
            image[..512].fill(0);
            image.extend_from_slice(&later);
            assert!(matches!(judge(1_024, &image), Tail::Damaged(_)));
            let mut image = first.clone();
            image.fill(0);
            image.extend_from_slice(&later);
            assert!(matches!(judge(1_024, &image), Tail::Damaged(_)), "the first line of a batch cannot follow a gap");
        }
    }

    #[test]
    fn strange_lines_are_damage() {
        for tail in [&b"\n"[..], b"hello\n", b"{}\n", b"\xff\xfe\n", b"nul \0 inside\n"] {
            assert_eq!(judge(1_000, tail), Tail::Damaged(0));
        }
        let mut out_of_order = Vec::new();
        line::push(&mut out_of_order, "{}", Part { line: 2, of: 3 });
        assert_eq!(judge(1_000, &out_of_order), Tail::Damaged(0));
    }
}
