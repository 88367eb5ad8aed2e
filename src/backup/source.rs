//! The bytes of an archive, piece by piece.

use std::fs::File;
use std::io::Read;

use craftx_core::Result;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::archive::{Archive, Place, of_file, of_object};

/// So many bytes of a file are read at once.
const PIECE: u64 = 256 << 10;

/// Where the bytes of an archive come from.
pub(super) enum Source {
    File(File),
    Object(BoxStream<'static, Result<Vec<u8>>>),
}

impl Source {
    pub(super) async fn open(archive: &Archive) -> Result<Self> {
        match &archive.place {
            Place::File(path) => {
                let file = File::open(path).map_err(of_file)?;
                Ok(Self::File(file))
            }
            Place::Object { store, path } => {
                let got = store.get(path).await.map_err(of_object)?;
                Ok(Self::Object(got.into_stream().map_ok(|bytes| bytes.to_vec()).map_err(of_object).boxed()))
            }
        }
    }

    /// Adds the next piece to `bytes`; nothing at the end.
    pub(super) async fn read(&mut self, bytes: &mut Vec<u8>) -> Result<usize> {
        match self {
            Self::File(file) => file.take(PIECE).read_to_end(bytes).map_err(of_file),
            Self::Object(pieces) => loop {
                match pieces.try_next().await? {
                    // An empty piece is not the end.
                    Some(piece) if piece.is_empty() => {}
                    Some(piece) => {
                        bytes.extend_from_slice(&piece);
                        return Ok(piece.len());
                    }
                    None => return Ok(0),
                }
            },
        }
    }
}
