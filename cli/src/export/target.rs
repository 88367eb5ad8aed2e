//! Where an export goes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use craftx::{SessionId, Stamp};

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
        partial.push(PARTIAL);
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

/// What is behind the name of a file until it is complete.
pub(super) const PARTIAL: &str = ".partial";
/// The longest name that file systems take, in bytes.
const LONGEST: usize = 255;
/// The hexadecimal digits of a hash in a name.
const DIGITS: usize = 32;

/// What a file of a session is called: its name, and what no file system takes in it as `%` and two hex digits. Of a name
/// that is too long only the beginning, and behind `~` a hash of it.
pub(super) fn file_name(session: &SessionId, ending: &str) -> String {
    let room = LONGEST.saturating_sub(PARTIAL.len() + 1 + ending.len());
    let name = escaped(session, usize::MAX);
    // A session that is called as the file of another one must not have that file.
    if name.len() <= room && !looks_clipped(&name) {
        return format!("{name}.{ending}");
    }
    let clipped = escaped(session, room.saturating_sub(1 + DIGITS));
    let [first, second] = ["1", "2"].map(|half| Stamp::source_hash("file name", session, half));
    format!("{clipped}~{first:016x}{second:016x}.{ending}")
}

/// As many whole characters as fit.
fn escaped(session: &SessionId, room: usize) -> String {
    let mut name = String::new();
    for (index, char) in session.as_str().chars().enumerate() {
        let hidden = index == 0 && char == '.';
        let piece = match hidden || matches!(char, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%') {
            true => format!("%{:02x}", u32::from(char)),
            false => char.to_string(),
        };
        if name.len().saturating_add(piece.len()) > room {
            break;
        }
        name.push_str(&piece);
    }
    name
}

fn looks_clipped(name: &str) -> bool {
    let hash = name.rsplit_once('~').map(|(_, hash)| hash);
    hash.is_some_and(|hash| hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
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

    #[test]
    fn long_names_fit_and_stay_apart() {
        let id = |text: String| SessionId::new(text).unwrap();
        let longest = LONGEST - ".md.partial".len();
        assert_eq!(file_name(&id("a".repeat(longest)), "md").len(), longest + 3);
        let mut names = std::collections::BTreeSet::new();
        for session in ["a", "ö", "セ", "%"] {
            for length in [84, 85, 243, 244, 245, 255] {
                for last in ["x", "y"] {
                    let Ok(session) = SessionId::new(session.repeat(length) + last) else { continue };
                    let name = file_name(&session, "md");
                    assert!(name.len() + ".partial".len() <= LONGEST, "{name}");
                    assert!(names.insert(name.clone()), "{name}");
                    // Another one that is called like this.
                    let twin = file_name(&id(name.strip_suffix(".md").unwrap().to_owned()), "md");
                    assert!(!twin.contains('~') || names.insert(twin.clone()), "{twin}");
                }
            }
        }
    }
}
