//! `craftx export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use craftx::{Header, Include, SessionId, SessionQuery, Storage, StreamExt, TryStreamExt, conversation_json};
use serde_json::json;

use crate::args::{Export, Format};
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::interrupt::Partial;
use crate::output::{self, Out};
use crate::progress::Progress;
use crate::resolve;

pub(crate) async fn run(global: &Global, mut export: Export) -> Result<Exit, Failure> {
    export.out = export.out.filter(|path| path != Path::new("-"));
    let storage = global.open_existing().await?;
    let target = Target::new(export.out.as_deref())?;
    let progress = Progress::new(global, "export", "sessions", None);
    let mut exporter =
        Exporter { storage: &storage, format: export.format, target, progress, tally: Tally::default(), sessions: 0 };
    match exporter.chosen(&export).await {
        // Whoever reads has gone away, which is no error; what failed before still is one.
        Err(Failure::BrokenPipe) if exporter.tally.failed() > 0 => return Ok(exporter.tally.exit()),
        done => done?,
    }
    storage.close().await?;
    let Exporter { target, tally, sessions, progress, .. } = exporter;
    drop(progress);
    target.finish()?;
    match &export.out {
        Some(path) if global.json => {
            let mut out = Out::new();
            out.object(json!({"file": path, "sessions": sessions, "failed": tally.failed()}))?;
            out.finish()?;
        }
        Some(path) => output::say(format_args!("sessions in `{}`: {sessions}", path.display())),
        None => {}
    }
    Ok(tally.exit())
}

struct Exporter<'a> {
    storage: &'a Storage,
    format: Format,
    target: Target,
    progress: Progress,
    tally: Tally,
    sessions: u64,
}

impl Exporter<'_> {
    async fn chosen(&mut self, export: &Export) -> Result<(), Failure> {
        match (export.last, export.sessions.as_slice()) {
            (true, _) => self.one(&resolve::newest(self.storage).await?).await,
            (false, []) => self.all().await,
            (false, named) => self.some(named).await,
        }
    }

    async fn all(&mut self) -> Result<(), Failure> {
        let include = match self.format {
            Format::Records => Include::All,
            Format::Conversations => Include::Live,
        };
        let mut sessions = self.storage.all_sessions(SessionQuery::new().include(include));
        while let Some(session) = sessions.next().await.transpose()? {
            self.one(&session.id).await?;
        }
        Ok(())
    }

    async fn some(&mut self, names: &[String]) -> Result<(), Failure> {
        for name in names {
            match resolve::session(self.storage, name).await {
                Ok(id) => self.one(&id).await?,
                Err(error) => self.tally.fail(output::complain_of(&error.during("export"))),
            }
        }
        Ok(())
    }

    /// Writes one session. If it cannot be read, that is told and does not stop the others.
    async fn one(&mut self, id: &SessionId) -> Result<(), Failure> {
        let written = match self.format {
            Format::Records => records(self.storage, id, &mut self.target).await,
            Format::Conversations => conversation(self.storage, id, &mut self.target).await,
        };
        match written {
            Ok(()) => {
                self.tally.done(1);
                self.sessions += 1;
            }
            Err(Failure::Store(error)) => {
                self.tally.fail(output::complain_of(&error.with("session", format!("{id:?}"))));
            }
            Err(other) => return Err(other),
        }
        self.progress.add(1);
        Ok(())
    }
}

async fn records(storage: &Storage, id: &SessionId, target: &mut Target) -> Result<(), Failure> {
    target.line(&Header::new(id.clone()).encode())?;
    let mut records = storage.records(id);
    while let Some(record) = records.next().await.transpose()? {
        target.line(record.encode().as_str())?;
    }
    Ok(())
}

async fn conversation(storage: &Storage, id: &SessionId, target: &mut Target) -> Result<(), Failure> {
    let messages: Vec<_> = storage.history(id).try_collect().await?;
    let metadata = storage.session(id).await?.map(|session| session.metadata).unwrap_or_default();
    target.line(&conversation_json(id, &metadata, &messages).to_string())
}

/// Standard output, or a file that gets its name when it is complete.
enum Target {
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
    fn new(path: Option<&Path>) -> Result<Self, Failure> {
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

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout(writer) => writeln!(writer, "{line}").map_err(Failure::stdout),
            Self::File { writer, path, .. } | Self::Stream { writer, path } => {
                writeln!(writer, "{line}").map_err(|error| Failure::file(path.display().to_string(), error))
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
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
