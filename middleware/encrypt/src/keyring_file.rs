//! A keyring in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use craftx_core::{Error, ErrorKind, Result, SecretString};

use crate::keyring::Keyring;

/// A keyring is small.
const MAX_BYTES: u64 = 1 << 20;

impl Keyring {
    /// Reads a keyring from a file. Blocks while it does.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] if the file is not there, or other users may read or change it (Unix: mode `0600` is
    /// as it should be), and those of [`Keyring::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let mut file = File::open(path).map_err(|error| failed("the file cannot be opened", &error))?;
            check_mode(&file)?;
            let mut text = String::new();
            let read = Read::by_ref(&mut file).take(MAX_BYTES).read_to_string(&mut text);
            let text = SecretString::new(text);
            read.map_err(|error| failed("the file cannot be read, or is no UTF-8", &error))?;
            Self::parse(&text)
        };
        read().map_err(|error| named(error, "read the keyring", path))
    }

    /// Writes the keyring to a file that only its owner may read: to a new file beside it, which then takes its place, so
    /// that no crash leaves half a keyring. Blocks until it is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if that fails; the old file is as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        let written = Beside::new(path).and_then(|beside| beside.replace(self));
        written.map_err(|error| named(error, "save the keyring", path))
    }

    /// Writes the keyring to a file that is not there yet, as [`save`](Self::save) does.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if there is a file: a keyring that is overwritten is lost, with all that it protects. Else
    /// those of [`save`](Self::save).
    pub fn create(&self, path: &Path) -> Result<()> {
        let create = || {
            let beside = Beside::new(path)?;
            match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => beside.replace(self),
                Err(error) => Err(not_written(error)),
                Ok(_) => Err(Error::new(ErrorKind::Conflict, "there is a file already")),
            }
        };
        create().map_err(|error| named(error, "create the keyring", path))
    }

    /// Changes the keyring in a file, and returns what `change` does. Of several who do that at once each finds what those
    /// before left. Blocks until it is durable.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), of `change` and of [`save`](Self::save); the file is as it was.
    pub fn change<T>(path: &Path, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let beside = Beside::new(path).map_err(|error| named(error, "change the keyring", path))?;
        let mut keyring = Self::read(path)?;
        let done = change(&mut keyring).map_err(|error| named(error, "change the keyring", path))?;
        beside.replace(&keyring).map_err(|error| named(error, "change the keyring", path))?;
        Ok(done)
    }
}

/// The file that takes the place of the keyring. While it is there nobody else writes the keyring.
struct Beside<'a> {
    path: &'a Path,
    beside: PathBuf,
    file: File,
    /// Whether it has taken that place: what has its name from then on is the file of somebody else.
    moved: bool,
}

impl<'a> Beside<'a> {
    fn new(path: &'a Path) -> Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&beside) {
            Ok(file) => Ok(Self { path, beside, file, moved: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let why = "somebody else writes the keyring, or was interrupted: look at the file beside it";
                Err(Error::new(ErrorKind::Unavailable, why).with("beside", format_args!("`{}`", beside.display())))
            }
            Err(error) => Err(not_written(error)),
        }
    }

    fn replace(mut self, keyring: &Keyring) -> Result<()> {
        let text = keyring.to_text()?;
        let mut write = || {
            self.file.write_all(text.expose().as_bytes())?;
            self.file.sync_all()?;
            fs::rename(&self.beside, self.path)?;
            self.moved = true;
            sync_folder(self.path)
        };
        write().map_err(not_written)
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.moved {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

fn not_written(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the keyring cannot be written").because(error)
}

fn named(error: Error, operation: &'static str, path: &Path) -> Error {
    error.during(operation).with("file", format_args!("`{}`", path.display()))
}

#[cfg(unix)]
fn check_mode(file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|error| failed("the file cannot be read", &error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let error = Error::new(ErrorKind::ConfigInvalid, "other users may read or change the keyring; mode 0600 is right");
    Err(error.with("mode", format_args!("{:04o}", mode & 0o7777)))
}

/// Elsewhere the file inherits what its folder allows.
#[cfg(not(unix))]
fn check_mode(_: &File) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(what: &'static str, error: &io::Error) -> Error {
    Error::new(ErrorKind::ConfigInvalid, what).with("cause", error.kind())
}
