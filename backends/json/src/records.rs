//! The records of a session in order of arrival: first those of CraftX.py's file, then the lines of the session file.

use std::fs::File;

use craftx_core::{Binding, Changes, Context, Cursor, Error, ErrorKind, Record, Result, SessionId, Stamp, page_size};

use crate::file::Stat;
use crate::index::{Index, Place, Target, read_record};
use crate::line;
use crate::lines::Lines;
use crate::store::Store;

/// Where the reading of records is: so many messages of CraftX.py's file, so many bytes of the session file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Position {
    legacy: usize,
    /// The file that `legacy` counts in.
    legacy_file: String,
    log: u64,
    /// The generation that `log` counts in.
    generation: String,
}

impl Position {
    /// # Errors
    /// [`ErrorKind::Conflict`] if the files are no longer those that the cursor counts in.
    fn parse(text: &str, index: &Index) -> Result<Self> {
        let expired = || Error::new(ErrorKind::Conflict, "the cursor has expired: start again without it");
        let mut parts = text.split('.');
        let mut next = || parts.next().map(str::to_owned).ok_or_else(expired);
        let position = Self {
            legacy: next()?.parse().map_err(|_| expired())?,
            legacy_file: next()?,
            log: next()?.parse().map_err(|_| expired())?,
            generation: next()?,
        };
        let same_legacy = position.legacy_file == fingerprint(index.legacy);
        let same_log = position.log == 0 || position.generation == generation(index);
        if (same_legacy && same_log) && position.log <= index.log.end { Ok(position) } else { Err(expired()) }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.legacy, self.legacy_file, self.log, self.generation)
    }
}

fn generation(index: &Index) -> String {
    index.log.generation.map(|generation| generation.simple().to_string()).unwrap_or_default()
}

fn fingerprint(legacy: Option<Stat>) -> String {
    legacy.map_or_else(String::new, |stat| {
        let since = stat.modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        format!("{}-{}", stat.len, since.as_nanos())
    })
}

impl Store {
    pub(crate) fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let _pass = self.enter(cx)?;
        let files = self.layout.session(&cx.tenant, session);
        let target = self.target(&cx.tenant, session, &files);
        let binding = Binding::new("records", &cx.tenant, [session.as_str()]);
        let from = from.map(|cursor| cursor.position(&binding)).transpose()?;
        self.again_if_moved(&target, || {
            let size = page_size(limit);
            let view = self.view(cx, &target, |index| {
                let position = from.map(|text| Position::parse(text, index)).transpose()?;
                let mut position = position.unwrap_or_default();
                position.legacy_file = fingerprint(index.legacy);
                position.generation = generation(index);
                position.log = position.log.max(index.log.header.len() as u64);
                let places: Vec<_> = index.legacy_places.iter().skip(position.legacy).take(size).copied().collect();
                Ok(Start { position, places, all_places: index.legacy_places.len(), end: index.log.end })
            })?;
            let Start { mut position, places, all_places, end } = view.answer;
            let mut found = Vec::new();
            for (id, place) in places {
                cx.check_deadline()?;
                found.push(Record::Message(target.message(id, place, None, view.legacy.as_ref())?));
                position.legacy += 1;
            }
            if let Some(file) = view.log.as_ref().filter(|_| position.log < end) {
                read_lines(cx, &target, file, &mut position.log, end, size, &mut found)?;
            }
            let done = position.legacy == all_places && position.log >= end;
            // Asked last and all at once: what was read is told of a set that is at least as new.
            let canonical = |record: &Record, index: &Index| index.set.canonical(record, &record.identity());
            let items = self
                .view(cx, &target, |index| Ok(found.iter().filter_map(|record| canonical(record, index)).collect()))?;
            Ok(Changes { items: items.answer, next: Cursor::new(&binding, &position), done })
        })
    }
}

/// What the index says at the beginning.
struct Start {
    position: Position,
    places: Vec<(Stamp, Place)>,
    all_places: usize,
    end: u64,
}

/// Reads lines from `at` until `end`, or until there are `size` records.
fn read_lines(
    cx: &Context,
    target: &Target<'_>,
    file: &File,
    at: &mut u64,
    end: u64,
    size: usize,
    found: &mut Vec<Record>,
) -> Result<()> {
    let mut lines = Lines::new(target.disk, file, &target.files.log, *at, end);
    while found.len() < size {
        cx.check_deadline()?;
        let Some(line) = lines.next()? else { break };
        let framed = line.whole.then(|| line::read(&line.bytes)).flatten().ok_or_else(|| target.moved())?;
        found.push(read_record(target, &framed.encoded, 0).map_err(|_| target.moved())?);
        *at = line.end();
    }
    Ok(())
}
