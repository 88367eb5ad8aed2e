//! `craftx export`.

mod target;

use std::path::{Path, PathBuf};

use craftx::formats::{self, Container, Format, Outgoing, Unplaced};
use craftx::{Error, ErrorKind, Header, Include, SessionId, SessionQuery, Storage, StreamExt, TryStreamExt};
use serde_json::{Map, json};

use crate::args::Export;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;
use crate::resolve;
use crate::taken::Taken;

use target::{PARTIAL, Target, file_name};

pub(crate) async fn run(global: &Global, mut export: Export) -> Result<Exit, Failure> {
    export.out = export.out.filter(|path| path != Path::new("-"));
    let form = Form::named(&export.format)?;
    let place = Place::of(form, &export)?;
    let storage = global.open_existing().await?;
    let taken = match export.out {
        Some(_) => Taken::of(&storage).await?,
        None => Taken::default(),
    };
    place.refuse(&taken)?;
    let progress = Progress::new(global, "export", "sessions", None);
    let (tally, unplaced) = (Tally::default(), Unplaced::default());
    let mut exporter =
        Exporter { storage: &storage, form, place: place.begin()?, taken, progress, tally, unplaced, sessions: 0 };
    match exporter.chosen(&export).await {
        // Whoever reads has gone away, which is no error; what failed before still is one.
        Err(Failure::BrokenPipe) if exporter.tally.failed() > 0 => return Ok(exporter.tally.exit()),
        done => done?,
    }
    storage.close().await?;
    let Exporter { place, tally, sessions, progress, unplaced, .. } = exporter;
    drop(progress);
    place.finish(form, sessions)?;
    tell_unplaced(&unplaced);
    match &export.out {
        Some(path) if global.json => {
            let unplaced: Map<_, _> = unplaced.iter().map(|(what, count)| (what.to_owned(), json!(count))).collect();
            let mut out = Out::new();
            out.object(json!({"file": path, "sessions": sessions, "failed": tally.failed(), "unplaced": unplaced}))?;
            out.finish()?;
        }
        Some(path) => output::say(format_args!("sessions in `{}`: {sessions}", path.display())),
        None => {}
    }
    Ok(tally.exit())
}

/// What the format has no place for stays in the store, and is told.
fn tell_unplaced(unplaced: &Unplaced) {
    if !unplaced.is_empty() {
        let list: Vec<_> = unplaced.iter().map(|(what, count)| format!("`{what}` ({count})")).collect();
        output::say(format_args!("the format has no place for, and the export leaves out: {}", list.join(", ")));
    }
}

/// In which form sessions are written.
#[derive(Clone, Copy)]
enum Form {
    Records,
    Of(&'static dyn Format, Container),
}

impl Form {
    fn named(name: &str) -> Result<Self, Error> {
        let format = formats::named(name)?;
        match format.container() {
            Some(container) => Ok(Self::Of(format, container)),
            None if format.name() == "records" => Ok(Self::Records),
            None => Err(Error::unsupported("writing: it is only read", &format!("the format `{name}`"))),
        }
    }

    /// What stands between two sessions of one file.
    fn between(self) -> &'static str {
        match self {
            Self::Of(_, Container::Array) => ",\n",
            _ => "",
        }
    }

    /// The ends of a file of several sessions.
    fn ends(self) -> [&'static str; 2] {
        match self {
            Self::Of(_, Container::Array) => ["[\n", "\n]\n"],
            _ => ["", ""],
        }
    }
}

/// Where the sessions go.
enum Place {
    /// All to one file, which is there when all are.
    One(Option<PathBuf>, Option<Target>),
    /// A file for each, with this ending.
    Folder(PathBuf, &'static str),
}

impl Place {
    fn of(form: Form, export: &Export) -> Result<Self, Error> {
        let folder = export.out.as_deref().filter(|path| ends_as_folder(path));
        let Form::Of(format, Container::Files(ending)) = form else {
            return match folder {
                Some(folder) => Err(Error::invalid("--out", "must name a file: all sessions of this format go to one")
                    .with("file", format_args!("`{}`", folder.display()))),
                None => Ok(Self::One(export.out.clone(), None)),
            };
        };
        let one = export.last || export.sessions.len() == 1;
        match &export.out {
            Some(out) if !one || folder.is_some() || out.is_dir() => Ok(Self::Folder(out.clone(), ending)),
            out if one => Ok(Self::One(out.clone(), None)),
            _ => {
                let rule = format!("a file of the format `{}` is one session", format.name());
                Err(Error::new(ErrorKind::InvalidInput, rule).with("say", "which session, or `--out FOLDER`"))
            }
        }
    }

    /// Nothing that is a store, or of which one consists, is written over.
    fn refuse(&self, taken: &Taken) -> Result<(), Error> {
        match self {
            Self::One(Some(path), _) => taken.refuse_file("--out", path, PARTIAL),
            Self::One(None, _) => Ok(()),
            Self::Folder(folder, _) => taken.refuse_folder("--out", folder),
        }
    }

    fn begin(self) -> Result<Self, Failure> {
        match self {
            Self::One(path, _) => {
                let target = Target::new(path.as_deref())?;
                Ok(Self::One(path, Some(target)))
            }
            Self::Folder(folder, ending) => {
                let made = std::fs::create_dir_all(&folder);
                made.map_err(|error| Failure::file(folder.display().to_string(), error))?;
                Ok(Self::Folder(folder, ending))
            }
        }
    }

    /// Writes a text to the one file.
    fn text(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Self::One(_, Some(target)) => target.text(text),
            _ => Ok(()),
        }
    }

    fn finish(mut self, form: Form, sessions: u64) -> Result<(), Failure> {
        let [begin, end] = form.ends();
        if sessions == 0 {
            self.text(begin)?;
        }
        self.text(end)?;
        match self {
            Self::One(_, Some(target)) => target.finish(),
            _ => Ok(()),
        }
    }
}

/// Whether the path says that it is one of a folder, which need not be there.
fn ends_as_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|last| std::path::is_separator(char::from(*last)))
}

struct Exporter<'a> {
    storage: &'a Storage,
    form: Form,
    place: Place,
    taken: Taken,
    progress: Progress,
    tally: Tally,
    unplaced: Unplaced,
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
        // With those that are gone, a session that cannot be read is listed by its name and does not hide the others.
        let mut sessions = self.storage.all_sessions(SessionQuery::new().include(Include::All));
        while let Some(session) = sessions.next().await.transpose()? {
            let lives = match self.form {
                Form::Records => true,
                Form::Of(..) => !matches!(self.storage.session(&session.id).await, Ok(None)),
            };
            if lives {
                self.one(&session.id).await?;
            }
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

    /// Writes one session. If it cannot be read, or has no file, that is told and does not stop the others.
    async fn one(&mut self, id: &SessionId) -> Result<(), Failure> {
        let written = match self.form {
            Form::Records => self.records(id).await,
            Form::Of(format, _) => self.session(format, id).await,
        };
        match written {
            Ok(()) => {
                self.tally.done(1);
                self.sessions += 1;
            }
            Err(Failure::Store(error)) => {
                self.tally.fail(output::complain_of(&error.with("session", format!("{id:?}"))));
            }
            // One file of many, such as one that the folder has no room for, does not stop the others either.
            Err(failure @ Failure::File(..)) if matches!(self.place, Place::Folder(..)) => {
                self.tally.fail(failure.report());
            }
            Err(other) => return Err(other),
        }
        self.progress.add(1);
        Ok(())
    }

    async fn records(&mut self, id: &SessionId) -> Result<(), Failure> {
        self.place.text(&Header::new(id.clone()).encode())?;
        self.place.text("\n")?;
        let mut records = self.storage.records(id);
        while let Some(record) = records.next().await.transpose()? {
            self.place.text(record.encode().as_str())?;
            self.place.text("\n")?;
        }
        Ok(())
    }

    async fn session(&mut self, format: &dyn Format, id: &SessionId) -> Result<(), Failure> {
        let messages: Vec<_> = self.storage.history(id).try_collect().await?;
        let metadata = self.storage.session(id).await?.map(|session| session.metadata).unwrap_or_default();
        let written = format.write(&Outgoing::new(id, &metadata, &messages))?;
        self.unplaced += written.unplaced;
        match &mut self.place {
            Place::Folder(folder, ending) => {
                let path = folder.join(file_name(id, ending));
                self.taken.refuse_file("--out", &path, PARTIAL)?;
                let mut target = Target::new(Some(&path))?;
                target.text(&written.text)?;
                target.finish()
            }
            Place::One(..) => {
                let [begin, _] = self.form.ends();
                self.place.text(if self.sessions == 0 { begin } else { self.form.between() })?;
                self.place.text(&written.text)?;
                // A file that is one session ends as its program ends it; others end each line.
                self.place.text(match self.form {
                    Form::Of(_, Container::Lines) => "\n",
                    _ => "",
                })
            }
        }
    }
}
