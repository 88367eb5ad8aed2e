//! Where an export goes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use craftx::SessionId;

use crate::exit::Failure;
use crate::interrupt::Partial;

/// Standard output, or a file that gets its name when it is complete.
pub(super) enum Target {
    Stdout(BufWriter<io::Stdout>),
    File {
        writer: BufWriter<File>,
        partial: Partial,
        path: PathBuf,
    },
    /// A device or a pipe, which a file must not take the place of.
    Stream {
        writer: BufWriter<File>,
        path: PathBuf,
    },
}

impl Target {
    pub(super) fn new(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout(BufWriter::new(io::stdout()))) };
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let opened = File::options().write(true).open(path);
            let file = opened.map_err(|error| Failure::file(path.display().to_string(), error))?;
            return Ok(Self::Stream { writer: BufWriter::new(file), path: path.to_owned() });
        }
        // A link to a file stays one.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = Partial::new(PathBuf::from(partial));
        let created = File::create(partial.path());
        let file = created.map_err(|error| Failure::file(partial.path().display().to_string(), error))?;
        Ok(Self::File { writer: BufWriter::new(file), partial, path: path.to_owned() })
    }

    /// Writes a text as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout(writer) => writer.write_all(text.as_bytes()).map_err(Failure::stdout),
            Self::File { writer, path, .. } | Self::Stream { writer, path } => {
                writer.write_all(text.as_bytes()).map_err(|error| Failure::file(path.display().to_string(), error))
            }
        }
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout(mut writer) => writer.flush().map_err(Failure::stdout),
            Self::Stream { mut writer, path } => {
                writer.flush().map_err(|error| Failure::file(path.display().to_string(), error))
            }
            Self::File { writer, partial, path } => {
                let done = writer
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .and_then(|file| file.sync_all())
                    .and_then(|()| std::fs::rename(partial.path(), &path));
                done.map_err(|error| Failure::file(path.display().to_string(), error))
            }
        }
    }
}

/// What a file of a session is called: its name, and what no file system takes in it as `%` and two hex digits.
pub(super) fn file_name(session: &SessionId, ending: &str) -> String {
    let mut name = String::new();
    for (index, char) in session.as_str().chars().enumerate() {
        let hidden = index == 0 && char == '.';
        if hidden || matches!(char, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%') {
            name.push_str(&format!("%{:02x}", u32::from(char)));
        } else {
            name.push(char);
        }
    }
    format!("{name}.{ending}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn no_session_leaves_the_folder() {
        for (session, name) in [
            ("a", "a.json"),
            ("セ ッ", "セ ッ.json"),
            ("../x", "%2e.%2fx.json"),
            ("a%2f", "a%252f.json"),
            ("v1.2", "v1.2.json"),
        ] {
            assert_eq!(file_name(&SessionId::new(session).unwrap(), "json"), name);
        }
    }
}
