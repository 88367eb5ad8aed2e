//! Files that belong to stores, which nothing else may be written to.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use craftx::{Caller, Error, ErrorKind, Result, Status, Storage, Tenant};

use crate::legs;

/// With what the database of SQLite begins.
const DATABASE: &[u8] = b"SQLite format 3\0";
/// What SQLite appends to the name of a database for the files beside it.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The files and folders of stores.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Taken {
    /// Those of this store; of a hybrid those of all its stores.
    pub(crate) async fn of(storage: &Storage) -> Result<Self> {
        let mut taken = Self::default();
        taken.add(storage).await?;
        Ok(taken)
    }

    pub(crate) async fn add(&mut self, storage: &Storage) -> Result<()> {
        // Where the files are is nobody's secret from whoever names one of them.
        // A status counts the sessions of its tenant, which may take long: this one has none.
        let storage_of_nobody = storage.for_tenant(Tenant::new("where-it-is")?);
        let status = storage_of_nobody.for_caller(Caller::System).status().await?;
        self.add_status(&status);
        // A leg that is away has no status, but a file.
        legs::of(storage).iter().for_each(|leg| self.add_url(&leg.name));
        Ok(())
    }

    fn add_status(&mut self, status: &Status) {
        match status.scheme {
            "json" => self.add_folder(Path::new(status.name.as_ref())),
            _ => self.add_url(&status.name),
        }
        status.parts.iter().for_each(|part| self.add_status(part));
    }

    /// Those of a store that may not be there yet.
    pub(crate) fn add_url(&mut self, url: &str) {
        let Some((scheme, rest)) = url.split_once(':') else { return };
        let path = Path::new(rest.split('?').next().unwrap_or_default());
        match scheme {
            "json" => self.add_folder(path),
            "sqlite" => self.add_database(path),
            _ => {}
        }
    }

    fn add_folder(&mut self, path: &Path) {
        self.folders.extend(real(path));
    }

    fn add_database(&mut self, path: &Path) {
        let Ok(path) = real(path) else { return };
        self.files.extend(BESIDE.map(|ending| with_ending(&path, ending)));
    }

    /// Refuses to write a file here, or first under this name with `while_written` behind it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`], and those of the path, which name `field`.
    pub(crate) fn refuse_file(&self, field: &'static str, path: &Path, while_written: &str) -> Result<()> {
        let target = real(path).map_err(|error| unusable(field, path, error))?;
        for path in [with_ending(&target, while_written), target] {
            if self.files.contains(&path) {
                return Err(refused(field, "is a file of the store itself", &path));
            }
            if is_database(&path) {
                return Err(refused(field, "is a database, which may be a store", &path));
            }
            self.refuse_within(field, &path)?;
            if path.parent().is_some_and(is_store) {
                return Err(refused(field, "is in the folder of a store", &path));
            }
        }
        Ok(())
    }

    /// Refuses to write files into this folder, which may have to be made.
    ///
    /// # Errors
    /// As [`refuse_file`](Self::refuse_file).
    pub(crate) fn refuse_folder(&self, field: &'static str, folder: &Path) -> Result<()> {
        let folder = real(folder).map_err(|error| unusable(field, folder, error))?;
        self.refuse_within(field, &folder)?;
        match is_store(&folder) {
            true => Err(refused(field, "is the folder of a store", &folder)),
            false => Ok(()),
        }
    }

    fn refuse_within(&self, field: &'static str, path: &Path) -> Result<()> {
        match self.folders.iter().any(|folder| path.starts_with(folder)) {
            true => Err(refused(field, "is in the folder of the store itself", path)),
            false => Ok(()),
        }
    }
}

/// What is no file, such as a device, must not be replaced by one.
///
/// # Errors
/// [`ErrorKind::InvalidInput`], which names `field`.
pub(crate) fn must_be_file(field: &'static str, path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(refused(field, "is no file", path)),
        _ => Ok(()),
    }
}

/// The folder in which a file is to be made must be there, and no folder may have the name of the file.
///
/// # Errors
/// [`ErrorKind::NotFound`], [`ErrorKind::InvalidInput`], and those of the path, which name `field`.
pub(crate) fn must_be_possible(field: &'static str, path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(refused(field, "is a folder", path));
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(refused(field, "is in no folder", path)),
        Err(error) => Err(unusable(field, path, error)),
    }
}

fn refused(field: &'static str, rule: &'static str, path: &Path) -> Error {
    Error::invalid(field, rule).with("file", format_args!("`{}`", path.display())).with("say", "another place")
}

fn unusable(field: &'static str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        _ => ErrorKind::InvalidInput,
    };
    let file = format_args!("`{}`", path.display());
    Error::new(kind, "no file can be made here").with("field", field).with("file", file).because(error)
}

/// The path without links, as far as it is there.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = if path == Path::new("") { Path::new(".") } else { path };
    let error = match std::fs::canonicalize(path) {
        Ok(real) => return Ok(real),
        Err(error) => error,
    };
    let (io::ErrorKind::NotFound, Some(parent)) = (error.kind(), path.parent()) else { return Err(error) };
    let mut found = real(parent)?;
    match path.components().next_back() {
        Some(Component::Normal(name)) => found.push(name),
        // What is not there is no link.
        Some(Component::ParentDir) => drop(found.pop()),
        _ => return Err(error),
    }
    Ok(found)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Whether a store of files is here.
fn is_store(folder: &Path) -> bool {
    folder.join("craftx.store").exists()
}

fn is_database(path: &Path) -> bool {
    // To open a pipe would wait for whoever writes to it.
    if !path.is_file() {
        return false;
    }
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(DATABASE.len() as u64).read_to_end(&mut begin));
    read.is_ok() && begin == DATABASE
}
