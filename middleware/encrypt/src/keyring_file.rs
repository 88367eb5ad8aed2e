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
        let named = |error: Error| error.during("read the keyring").with("file", format_args!("`{}`", path.display()));
        let read = || -> Result<Self> {
            let mut file = File::open(path).map_err(|error| failed("the file cannot be opened", &error))?;
            check_mode(&file)?;
            let mut text = String::new();
            let read = Read::by_ref(&mut file).take(MAX_BYTES).read_to_string(&mut text);
            let text = SecretString::new(text);
            read.map_err(|error| failed("the file cannot be read, or is no UTF-8", &error))?;
            Self::parse(&text)
        };
        read().map_err(named)
    }

    /// Writes the keyring to a file that only its owner may read: to a new file beside it, which then takes its place, so
    /// that no crash leaves half a keyring. Blocks until it is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if that fails; the old file is as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = self.to_text()?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&beside)?;
            file.write_all(text.expose().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            sync_folder(path)
        };
        write().map_err(|error| {
            let kept = if error.kind() == io::ErrorKind::AlreadyExists {
                "somebody else writes the keyring, or was interrupted: look at the file beside it"
            } else {
                let _ = fs::remove_file(&beside);
                "the keyring cannot be written"
            };
            let error = Error::new(ErrorKind::Unavailable, kept).because(error);
            error.during("save the keyring").with("file", format_args!("`{}`", path.display()))
        })
    }
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
