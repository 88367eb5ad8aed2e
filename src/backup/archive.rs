//! Where an archive is: a file, or an object of an object store.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use craftx_core::{Error, ErrorKind, Result};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

/// Where an archive is, or shall be.
///
/// ```
/// use craftx::backup::Archive;
/// let archive = Archive::parse("nightly.craftx")?;
/// assert_eq!(archive.to_string(), "nightly.craftx");
/// # Ok::<(), craftx::Error>(())
/// ```
#[derive(Clone)]
pub struct Archive {
    pub(super) place: Place,
}

#[derive(Clone)]
pub(super) enum Place {
    File(PathBuf),
    Object { store: Arc<dyn ObjectStore>, path: Path },
}

impl Archive {
    /// A file. It is written under the name with `.partial` behind it, and gets its name when it is complete and synced.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::File(path.into()) }
    }

    /// An object. It appears when it is complete.
    pub fn object(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        Self { place: Place::Object { store, path } }
    }

    /// The path of a file, or a URL: `file:///folder/name`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a URL that cannot be understood, [`ErrorKind::Unsupported`] for another scheme.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::file(text)) };
        match scheme {
            "file" => {
                let path = text.strip_prefix("file://").unwrap_or_default();
                let wrong = || Error::invalid("archive", "must be a path, or a URL like `file:///folder/name`");
                if !path.starts_with('/') || path.ends_with('/') {
                    return Err(wrong());
                }
                let path = Path::from_url_path(path).map_err(|_| wrong())?;
                Ok(Self::object(Arc::new(LocalFileSystem::new().with_fsync(true)), path))
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "archives are files, or objects of `file:///folder/name`")
                .with("scheme", format!("`{scheme}`"))),
        }
    }

    /// The file under whose name the archive is written until it is complete, if it is a file.
    pub fn partial(&self) -> Option<PathBuf> {
        match &self.place {
            Place::File(path) => {
                let mut partial = path.as_os_str().to_owned();
                partial.push(".partial");
                Some(partial.into())
            }
            Place::Object { .. } => None,
        }
    }

    /// Says of an error which archive it is about.
    pub(super) fn name(&self, error: Error) -> Error {
        match error.get("archive") {
            Some(_) => error,
            None => error.with("archive", format!("`{self}`")),
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => path.display().fmt(f),
            Place::Object { path, .. } => path.fmt(f),
        }
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({self})")
    }
}

/// An error of a file system.
pub(super) fn of_file(error: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let (kind, what) = match error.kind() {
        Io::NotFound => (ErrorKind::NotFound, "there is no such file or folder"),
        Io::PermissionDenied => (ErrorKind::PermissionDenied, "the file may not be opened"),
        Io::StorageFull => (ErrorKind::StorageFull, "no space is left"),
        Io::IsADirectory | Io::NotADirectory => (ErrorKind::InvalidInput, "the archive must be a file"),
        _ => (ErrorKind::Unavailable, "the file cannot be read or written"),
    };
    Error::new(kind, what).because(error)
}

/// An error of an object store.
pub(super) fn of_object(error: object_store::Error) -> Error {
    use object_store::Error as Object;
    let (kind, what) = match &error {
        Object::NotFound { .. } => (ErrorKind::NotFound, "there is no such object"),
        Object::PermissionDenied { .. } => (ErrorKind::PermissionDenied, "the object store refuses it"),
        Object::Unauthenticated { .. } => (ErrorKind::Unauthenticated, "the object store wants credentials"),
        _ => (ErrorKind::Unavailable, "the object store cannot be read or written"),
    };
    Error::new(kind, what).because(error)
}
