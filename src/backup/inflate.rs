//! The lines of an archive: decompressed piece by piece, with the digest at the end checked.

use craftx_core::{Error, ErrorKind, Result};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::archive::{Archive, of_file};
use super::source::Source;
use super::writer::TRAILER;

/// What every frame of zstd begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The bytes of the trailer and the digest in it.
const TRAILER_BYTES: usize = 40;
/// So many bytes are decompressed at once.
const PIECE: usize = 128 << 10;
/// A longer line is refused before it fills the memory.
const MAX_LINE_BYTES: usize = 1 << 30;

/// The lines of an archive that is being read.
pub(super) struct Inflate {
    source: Source,
    decoder: Decoder<'static>,
    /// Compressed bytes; the last ones may be the trailer.
    input: Vec<u8>,
    ended: bool,
    /// The frame is complete.
    complete: bool,
    output: Vec<u8>,
    /// Up to where `output` has been handed out, and looked through.
    taken: usize,
    seen: usize,
    hasher: blake3::Hasher,
    /// How many compressed bytes have been decompressed.
    pub(super) at: u64,
    /// How many lines have been handed out.
    pub(super) line: u64,
}

impl Inflate {
    pub(super) async fn open(archive: &Archive) -> Result<Self> {
        let mut source = Source::open(archive).await?;
        let decoder = Decoder::new().map_err(of_file)?;
        let mut input = Vec::new();
        let mut ended = false;
        while input.len() < MAGIC.len() && !ended {
            ended = source.read(&mut input).await? == 0;
        }
        if !input.starts_with(&MAGIC) {
            return Err(Error::new(ErrorKind::InvalidInput, "this is no archive of craftx"));
        }
        Ok(Self {
            source,
            decoder,
            input,
            ended,
            complete: false,
            output: Vec::new(),
            taken: 0,
            seen: 0,
            hasher: blake3::Hasher::new(),
            at: 0,
            line: 0,
        })
    }

    /// The next line without its line break; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            let unseen = self.output.get(self.seen..).unwrap_or_default();
            if let Some(length) = unseen.iter().position(|byte| *byte == b'\n') {
                let end = self.seen + length;
                let line = self.output.get(self.taken..end).unwrap_or_default();
                let line = String::from_utf8(line.to_vec()).map_err(|_| self.damaged("a line is no text"))?;
                (self.taken, self.seen) = (end + 1, end + 1);
                self.line += 1;
                return Ok(Some(line));
            }
            self.seen = self.output.len();
            if self.seen - self.taken > MAX_LINE_BYTES {
                return Err(self.damaged("a line is longer than any record"));
            }
            if self.complete {
                return match self.taken == self.seen {
                    true => Ok(None),
                    false => Err(self.damaged("the last line has no end")),
                };
            }
            self.decompress().await?;
        }
    }

    /// Decompresses a little more.
    async fn decompress(&mut self) -> Result<()> {
        self.output.drain(..self.taken);
        self.seen -= self.taken;
        self.taken = 0;
        // What may be the trailer is held back.
        while self.input.len() <= TRAILER_BYTES && !self.ended {
            self.ended = self.source.read(&mut self.input).await? == 0;
        }
        let length = self.input.len().saturating_sub(TRAILER_BYTES);
        let mut piece = vec![0; PIECE];
        let (hint, read, wrote) = {
            let mut input = InBuffer::around(self.input.get(..length).unwrap_or_default());
            let mut output = OutBuffer::around(piece.as_mut_slice());
            let hint = self.decoder.run(&mut input, &mut output);
            (hint, input.pos(), output.pos())
        };
        let hint = hint.map_err(|_| self.damaged("the compressed bytes are not what was written"))?;
        self.output.extend_from_slice(piece.get(..wrote).unwrap_or_default());
        self.hasher.update(self.input.get(..read).unwrap_or_default());
        self.input.drain(..read);
        self.at += read as u64;
        self.complete = hint == 0;
        if !self.complete && read == 0 && wrote == 0 && self.ended {
            return Err(self.damaged("the archive is cut off"));
        }
        Ok(())
    }

    /// The digest of the archive, when all lines have been read.
    pub(super) async fn digest(&mut self) -> Result<String> {
        while !self.ended {
            self.ended = self.source.read(&mut self.input).await? == 0;
            if self.input.len() > TRAILER_BYTES {
                return Err(self.damaged("there is something behind the end"));
            }
        }
        let digest = self.hasher.finalize();
        if self.input.len() < TRAILER_BYTES {
            return Err(self.damaged("the archive is cut off"));
        }
        if !TRAILER.iter().chain(digest.as_bytes()).eq(self.input.iter()) {
            return Err(self.damaged("the digest at the end is not that of the archive"));
        }
        Ok(digest.to_hex().to_string())
    }

    /// An error that says where.
    pub(super) fn damaged(&self, what: &'static str) -> Error {
        self.place(Error::new(ErrorKind::Corrupted, what))
    }

    pub(super) fn place(&self, error: Error) -> Error {
        error.with("line", self.line).with("byte", self.at)
    }
}
