//! Bytes on their way into an archive, which appears when it is complete or not at all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use craftx_core::Result;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use super::archive::{Archive, Place, of_file, of_object};

/// So many bytes are a part of an upload. S3 takes 10,000 parts: an archive may have 160 GB.
const PART: usize = 16 << 20;

/// Where the bytes of an archive go.
pub(super) enum Sink {
    File { file: File, partial: Partial, path: PathBuf },
    Object { upload: Box<dyn MultipartUpload>, part: Vec<u8> },
}

/// A file that is removed when this is dropped, unless it has got its name.
pub(super) struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // It is not there any more if it has got its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Sink {
    pub(super) async fn open(archive: &Archive) -> Result<Self> {
        match &archive.place {
            Place::File(path) => {
                let partial = archive.partial().unwrap_or_default();
                let file = File::create(&partial).map_err(of_file)?;
                Ok(Self::File { file, partial: Partial(partial), path: path.clone() })
            }
            Place::Object { store, path } => {
                let upload = store.put_multipart(path).await.map_err(of_object)?;
                Ok(Self::Object { upload, part: Vec::new() })
            }
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::File { file, .. } => file.write_all(bytes).map_err(of_file),
            Self::Object { upload, part } => {
                part.extend_from_slice(bytes);
                if part.len() < PART {
                    return Ok(());
                }
                // All parts but the last must have the same length in some stores.
                let rest = part.split_off(PART);
                let full = std::mem::replace(part, rest);
                upload.put_part(PutPayload::from(full)).await.map_err(of_object)
            }
        }
    }

    /// Makes the archive appear.
    pub(super) async fn finish(self) -> Result<()> {
        match self {
            Self::File { file, partial, path } => {
                file.sync_all().and_then(|()| std::fs::rename(&partial.0, &path)).map_err(of_file)?;
                sync_folder(&path);
                Ok(())
            }
            Self::Object { mut upload, part } => {
                let done = async {
                    if !part.is_empty() {
                        upload.put_part(PutPayload::from(part)).await?;
                    }
                    upload.complete().await
                };
                match done.await {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        // The first error is the one to tell.
                        let _ = upload.abort().await;
                        Err(of_object(error))
                    }
                }
            }
        }
    }

    /// Lets nothing appear.
    pub(super) async fn abort(self) {
        if let Self::Object { mut upload, .. } = self {
            // The reason for it is what is told.
            let _ = upload.abort().await;
        }
    }
}

/// The name is durable when its folder is. Not every system can sync a folder, and the bytes are there already.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
