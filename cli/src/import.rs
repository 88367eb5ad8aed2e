//! `craftx import`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use craftx::formats::{self, Entries, Entry, Format, ImportOptions, Imported, Source};
use craftx::{Error, ErrorKind, SessionId, Time};
use serde_json::json;

use crate::args::Import;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

/// The endings of the files of a folder that are read.
const ENDINGS: [&str; 5] = ["json", "jsonl", "db", "sqlite", "sqlite3"];

pub(crate) async fn run(global: &Global, import: Import) -> Result<Exit, Failure> {
    let format = import.format.as_deref().map(formats::named).transpose()?;
    let session = import.session.as_deref().map(SessionId::new).transpose()?;
    if let Some(zone) = &import.assume_tz {
        // Said once and before anything is written, not for each message.
        Time::try_from(std::time::SystemTime::UNIX_EPOCH)?.in_zone(zone)?;
    }
    let storage = global.open().await?;
    let mut report = Report::default();
    let files = files(&import.files, &mut report);
    let progress = Progress::new(global, "import", "bytes", size(&files));
    for path in &files {
        let name = path.display().to_string();
        let source = match open(path) {
            Ok(source) => source.with_session(session.clone()).with_zone(import.assume_tz.clone()),
            Err(error) => {
                report.tally.fail(Failure::file(name, error).report());
                continue;
            }
        };
        let watched = Watched { read: source.bytes_read(), told: 0, progress: &progress };
        match begin(source, format, path) {
            Ok((_, None)) => {}
            Ok((name_of_format, Some(entries))) => {
                let entries = watched.entries(entries);
                let options = ImportOptions::new().restamp(import.restamp);
                let tally = &mut report.tally;
                let mut failed = |line: u64, error: &Error| {
                    let exit = Exit::from(error);
                    output::complain(error.kind().as_str(), exit, format_args!("{name}:{line}: {error}"));
                    tally.fail(exit);
                };
                let imported = formats::import(&storage, entries, &options, &mut failed).await?;
                report.add(name_of_format, &imported);
            }
            Err(error) => {
                let exit = Exit::from(&error);
                output::complain(error.kind().as_str(), exit, format_args!("{name}: {error}"));
                report.tally.fail(exit);
            }
        }
    }
    drop(progress);
    storage.close().await?;
    report.tell(global)?;
    Ok(report.tally.exit())
}

/// The items of a file, and of which format it is; no items if there is nothing in it.
fn begin(
    mut source: Source,
    format: Option<&'static dyn Format>,
    path: &Path,
) -> Result<(&'static str, Option<Entries>), Error> {
    let sample = source.sample();
    // What comes through a pipe or has a value on each line may have none. A JSON file without a byte is torn; an array
    // without an element is not.
    if source.is_empty() {
        let no_byte = source.bytes_read().load(Ordering::Relaxed) == 0;
        return match no_byte && path.extension().is_some_and(|ending| ending == "json") {
            true => {
                Err(Error::new(ErrorKind::InvalidInput, "the file is empty: a save of its program was interrupted"))
            }
            false => Ok(("", None)),
        };
    }
    let format = match format {
        Some(format) => format,
        // What is no JSON at all is told line by line.
        None if sample.values.is_empty() && sample.tables.is_empty() => formats::named("conversations")?,
        None => formats::detect(&sample)?,
    };
    Ok((format.name(), Some(format.read(source)?)))
}

fn open(path: &Path) -> io::Result<Source> {
    match path == Path::new("-") {
        true => Ok(Source::reader(io::stdin())),
        false => Source::file(path),
    }
}

/// The files that were named, and those that lie in the folders that were named.
fn files(named: &[PathBuf], report: &mut Report) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match in_folder(path) {
            Ok(found) => files.extend(found),
            Err(error) => report.tally.fail(Failure::file(path.display().to_string(), error).report()),
        }
    }
    files
}

fn in_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let ending = path.file_name().and_then(|name| Some(name.to_string_lossy().rsplit_once('.')?.1.to_owned()));
        if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            found.push(path);
        }
    }
    match found.is_empty() {
        true => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the folder has no file that ends in `.{}`", ENDINGS.join("`, `.")),
        )),
        false => {
            found.sort();
            Ok(found)
        }
    }
}

/// Items that move the progress on.
struct Watched<'a> {
    read: Arc<AtomicU64>,
    told: u64,
    progress: &'a Progress,
}

impl<'a> Watched<'a> {
    fn entries(mut self, entries: Entries) -> impl Iterator<Item = Entry> + use<'a> {
        entries.inspect(move |_| {
            let read = self.read.load(Ordering::Relaxed);
            self.progress.add(read.saturating_sub(self.told));
            self.told = read;
        })
    }
}

#[derive(Default)]
struct Report {
    total: Imported,
    formats: Vec<&'static str>,
    tally: Tally,
}

impl Report {
    fn add(&mut self, format: &'static str, imported: &Imported) {
        let total = &mut self.total;
        total.sessions += imported.sessions;
        total.messages += imported.messages;
        total.applied += imported.applied;
        total.known += imported.known;
        total.dead += imported.dead;
        self.tally.done(imported.applied + imported.known + imported.dead);
        if !self.formats.contains(&format) {
            self.formats.push(format);
        }
    }

    fn tell(&self, global: &Global) -> Result<(), Failure> {
        let Imported { sessions, messages, applied, known, dead, .. } = self.total;
        let failed = self.tally.failed();
        if global.json {
            let mut out = Out::new();
            out.object(json!({
                "formats": self.formats,
                "sessions": sessions,
                "messages": messages,
                "applied": applied,
                "known": known,
                "dead": dead,
                "failed": failed,
            }))?;
            return out.finish();
        }
        let read = match self.formats.is_empty() {
            true => "nothing".to_owned(),
            false => format!("{sessions} sessions with {messages} messages ({})", self.formats.join(", ")),
        };
        output::say(format_args!("{read}: {applied} records applied, {known} known, {dead} dead, {failed} failed"));
        Ok(())
    }
}

/// How much there is to read; `None` if that is not known.
fn size(files: &[PathBuf]) -> Option<u64> {
    let size = |path: &PathBuf| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
    files.iter().map(size).sum()
}
