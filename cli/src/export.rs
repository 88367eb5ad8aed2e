//! `craftx export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use craftx::{
    Error, ErrorKind, Header, Include, Session, SessionId, SessionQuery, Storage, StreamExt, TryStreamExt,
    conversation_json,
};

use crate::args::{Export, Format, Global};
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) async fn run(global: &Global, export: Export) -> Result<Exit, Failure> {
    let storage = global.open_existing().await?;
    let mut target = Target::new(export.out.as_deref())?;
    let failed = if export.sessions.is_empty() {
        all(&storage, export.format, &mut target).await?
    } else {
        some(&storage, &export.sessions, export.format, &mut target).await?
    };
    storage.close().await?;
    target.finish()?;
    Ok(failed.unwrap_or(Exit::Ok))
}

async fn all(storage: &Storage, format: Format, target: &mut Target) -> Result<Option<Exit>, Failure> {
    let include = match format {
        Format::Records => Include::All,
        Format::Conversations => Include::Live,
    };
    let mut sessions = storage.all_sessions(SessionQuery::new().include(include));
    let mut failed = None;
    while let Some(session) = sessions.next().await.transpose()? {
        if !one(storage, &session.id, Some(&session), format, target).await? {
            failed = Some(Exit::Partial);
        }
    }
    Ok(failed)
}

async fn some(
    storage: &Storage,
    names: &[String],
    format: Format,
    target: &mut Target,
) -> Result<Option<Exit>, Failure> {
    let mut failed = 0;
    for name in names {
        let id = SessionId::new(name)?;
        match storage.session(&id).await {
            Ok(Some(session)) => failed += usize::from(!one(storage, &id, Some(&session), format, target).await?),
            Ok(None) => {
                failed += 1;
                let error = Error::new(ErrorKind::NotFound, "there is no such session").during("export");
                output::complain(error.with("session", format!("{id:?}")));
            }
            Err(error) => {
                failed += 1;
                output::complain(error);
            }
        }
    }
    Ok(match failed {
        0 => None,
        failed if failed == names.len() => Some(Exit::NotFound),
        _ => Some(Exit::Partial),
    })
}

/// Writes one session; false if it cannot be read, which is told and does not stop the others.
async fn one(
    storage: &Storage,
    id: &SessionId,
    session: Option<&Session>,
    format: Format,
    target: &mut Target,
) -> Result<bool, Failure> {
    let written = match format {
        Format::Records => records(storage, id, target).await,
        Format::Conversations => conversation(storage, id, session, target).await,
    };
    match written {
        Ok(()) => Ok(true),
        Err(Failure::Store(error)) => {
            output::complain(error.with("session", format!("{id:?}")));
            Ok(false)
        }
        Err(other) => Err(other),
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

async fn conversation(
    storage: &Storage,
    id: &SessionId,
    session: Option<&Session>,
    target: &mut Target,
) -> Result<(), Failure> {
    let messages: Vec<_> = storage.history(id).try_collect().await?;
    let metadata = session.map(|session| session.metadata.clone()).unwrap_or_default();
    target.line(&conversation_json(id, &metadata, &messages).to_string())
}

/// Standard output, or a file that gets its name when it is complete.
enum Target {
    Stdout(BufWriter<io::Stdout>),
    File { writer: BufWriter<File>, partial: PathBuf, path: PathBuf },
}

impl Target {
    fn new(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout(BufWriter::new(io::stdout()))) };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| Failure::file(partial.display().to_string(), error))?;
        Ok(Self::File { writer: BufWriter::new(file), partial, path: path.to_owned() })
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout(writer) => writeln!(writer, "{line}").map_err(Failure::stdout),
            Self::File { writer, partial, .. } => {
                writeln!(writer, "{line}").map_err(|error| Failure::file(partial.display().to_string(), error))
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout(mut writer) => writer.flush().map_err(Failure::stdout),
            Self::File { writer, partial, path } => {
                let done = writer
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .and_then(|file| file.sync_all())
                    .and_then(|()| std::fs::rename(&partial, &path));
                done.map_err(|error| Failure::file(path.display().to_string(), error))
            }
        }
    }
}
