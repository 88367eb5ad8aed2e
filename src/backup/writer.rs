//! Writing an archive: lines, compressed, with a digest of all bytes behind them.

use std::io::Write;

use craftx_core::{Error, ErrorKind, Result};
use zstd::stream::write::Encoder;

use super::archive::{Archive, of_file};
use super::format::{self, About, Counts, End, Manifest};
use super::sink::Sink;

/// A skippable frame of zstd, which every decompressor passes over: its number, the length of what follows, and then
/// the digest of all bytes before the frame.
pub(super) const TRAILER: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];
/// So many compressed bytes are collected before they are written.
const PIECE: usize = 256 << 10;
/// What is fast and small enough for text.
const LEVEL: i32 = 3;

/// An archive that is being written.
pub(super) struct Writer {
    encoder: Encoder<'static, Vec<u8>>,
    sink: Sink,
    /// Of all compressed bytes.
    hasher: blake3::Hasher,
    /// Of the lines of the session that is being written.
    session: blake3::Hasher,
    size: u64,
}

impl Writer {
    pub(super) async fn open(archive: &Archive, about: &About) -> Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), LEVEL).map_err(of_zstd)?;
        encoder.include_checksum(true).map_err(of_zstd)?;
        let sink = Sink::open(archive).await?;
        let (hasher, session) = (blake3::Hasher::new(), blake3::Hasher::new());
        let mut writer = Self { encoder, sink, hasher, session, size: 0 };
        writer.line(&format::encode(about)).await?;
        writer.session = blake3::Hasher::new();
        Ok(writer)
    }

    /// Writes a line of a session.
    pub(super) async fn line(&mut self, line: &str) -> Result<()> {
        for part in [line.as_bytes(), b"\n"] {
            self.session.update(part);
            self.encoder.write_all(part).map_err(of_zstd)?;
        }
        if self.encoder.get_ref().len() >= PIECE {
            let piece = std::mem::take(self.encoder.get_mut());
            self.bytes(&piece).await?;
        }
        Ok(())
    }

    /// Writes the end of a session; the digest is filled in.
    pub(super) async fn end_of_session(&mut self, mut end: End) -> Result<()> {
        end.digest = self.session.finalize().to_hex().to_string();
        self.line(&format::encode(&end)).await?;
        self.session = blake3::Hasher::new();
        Ok(())
    }

    /// Writes the end and makes the archive appear. Returns its digest and its length.
    pub(super) async fn finish(mut self, counts: Counts) -> Result<(String, u64)> {
        match self.rest(counts).await {
            Ok(digest) => {
                let size = self.size;
                self.sink.finish().await?;
                Ok((digest, size))
            }
            Err(error) => {
                self.sink.abort().await;
                Err(error)
            }
        }
    }

    async fn rest(&mut self, counts: Counts) -> Result<String> {
        self.line(&format::encode(&Manifest::new(counts))).await?;
        self.encoder.do_finish().map_err(of_zstd)?;
        let piece = std::mem::take(self.encoder.get_mut());
        self.bytes(&piece).await?;
        let digest = self.hasher.finalize();
        let trailer: Vec<u8> = TRAILER.iter().chain(digest.as_bytes()).copied().collect();
        self.bytes(&trailer).await?;
        // The digest that names the archive is the one that it ends with.
        Ok(digest.to_hex().to_string())
    }

    async fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.sink.write(bytes).await
    }

    /// Lets nothing appear.
    pub(super) async fn abort(self) {
        self.sink.abort().await;
    }
}

fn of_zstd(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::Other => {
            Error::new(ErrorKind::Unexpected, "the archive cannot be compressed").because(error)
        }
        _ => of_file(error),
    }
}
