//! Reading the lines of a part of a file, in pieces.

use std::fs::File;
use std::path::Path;

use craftx_core::Result;

use crate::error::io_error;
use crate::file::Disk;

/// The longest line that is read, in bytes; [`MAX_RECORD`] and its frame fit.
pub(crate) const MAX_LINE: usize = MAX_RECORD + 1_024;
/// The longest canonical encoding that is written, in bytes.
pub(crate) const MAX_RECORD: usize = 64 << 20;
/// How much is read at once.
const PIECE: usize = 128 << 10;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it begins.
    pub(crate) offset: u64,
    /// What it holds, without the line break.
    pub(crate) bytes: Vec<u8>,
    /// Whether it has a line break, and is not longer than any line can be.
    pub(crate) whole: bool,
}

impl Line {
    /// Where the next line begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64 + u64::from(self.whole)
    }
}

/// The lines of a file between two offsets.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    disk: &'a Disk,
    file: &'a File,
    path: &'a Path,
    /// Where `buffer` begins in the file.
    offset: u64,
    to: u64,
    buffer: Vec<u8>,
    /// How much of `buffer` has been handed out.
    used: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(disk: &'a Disk, file: &'a File, path: &'a Path, from: u64, to: u64) -> Self {
        Self { disk, file, path, offset: from, to, buffer: Vec::new(), used: 0 }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>> {
        let mut searched = 0;
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let found = rest.iter().skip(searched).position(|byte| *byte == b'\n').map(|at| at + searched);
            if let Some(length) = found.filter(|length| *length <= MAX_LINE) {
                let line = self.take(length, true);
                self.used += 1;
                return Ok(Some(line));
            }
            searched = rest.len();
            if searched > MAX_LINE || !self.fill()? {
                let length = self.buffer.len() - self.used;
                return Ok((length > 0).then(|| self.take(length, false)));
            }
        }
    }

    fn take(&mut self, length: usize, whole: bool) -> Line {
        let bytes = self.buffer.get(self.used..self.used + length).unwrap_or_default().to_vec();
        let offset = self.offset + self.used as u64;
        self.used += length;
        Line { offset, bytes, whole }
    }

    /// Reads more; says whether there was more.
    fn fill(&mut self) -> Result<bool> {
        self.buffer.drain(..self.used);
        self.offset += self.used as u64;
        self.used = 0;
        let at = self.offset + self.buffer.len() as u64;
        let length = usize::try_from(self.to.saturating_sub(at)).unwrap_or(PIECE).min(PIECE);
        if length == 0 {
            return Ok(false);
        }
        let more = self
            .disk
            .read(self.file, at, length)
            .map_err(|error| io_error("cannot read a session file", self.path, error))?;
        self.buffer.extend_from_slice(&more);
        Ok(!more.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_whole_whatever_the_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let long = "x".repeat(PIECE * 2 + 17);
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.write_all(format!("skip\na\n\n{long}\ncut").as_bytes()).unwrap();
        let size = file.metadata().unwrap().len();
        let disk = Disk::default();
        let mut lines = Lines::new(&disk, &file, &path, 5, size);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            assert_eq!(line.end() - line.offset, line.bytes.len() as u64 + u64::from(line.whole));
            found.push((line.offset, line.bytes.len(), line.whole));
        }
        let after = 8 + long.len() as u64 + 1;
        assert_eq!(found, [(5, 1, true), (7, 0, true), (8, long.len(), true), (after, 3, false)]);
    }
}
