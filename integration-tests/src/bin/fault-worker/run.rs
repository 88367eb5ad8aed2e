//! `run`: writes batch after batch, reads, compacts, closes and opens again.

use std::collections::BTreeSet;

use craftx_core::{Compact, DynBackend, Error, ErrorKind, MessageQuery, SessionId};
use craftx_integration_tests::faults::{Batch, Bug, Told, Work, opened_with, system};
use futures_executor::block_on;

use crate::tell;

/// What to do.
pub(crate) struct Run {
    url: String,
    work: Work,
    from: u64,
    count: u64,
    /// Every which batch: several workers share them.
    step: u64,
    /// After how many batches the session is compacted; 0 is never.
    compact: u64,
    /// After how many batches the store is closed and opened again; 0 is never.
    reopen: u64,
    bug: Option<Bug>,
}

impl Run {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let [url, seed, from, count, options @ ..] = arguments else { return Err(crate::USAGE.to_owned()) };
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
        let mut run = Self {
            url: url.clone(),
            work: Work { seed: number(seed)? },
            from: number(from)?,
            count: number(count)?,
            step: 1,
            compact: 0,
            reopen: 0,
            bug: None,
        };
        for option in options {
            match option.split_once('=') {
                Some(("step", step)) => run.step = number(step)?.max(1),
                Some(("compact", every)) => run.compact = number(every)?,
                Some(("reopen", every)) => run.reopen = number(every)?,
                Some(("bug", name)) => run.bug = Some(name.parse()?),
                _ => return Err(format!("there is no option `{option}`")),
            }
        }
        Ok(run)
    }

    /// Does everything, whatever fails. Whether that is right is for the test to judge.
    pub(crate) fn work(&self) -> Result<(), String> {
        let Some(mut store) = self.opened()? else { return tell(&Told::End) };
        let mut there = BTreeSet::new();
        for number in (0..self.count).map(|n| self.from + n * self.step) {
            let batch = self.work.batch(number).map_err(|error| error.to_string())?;
            if self.write(&store, &batch)? {
                there.insert(batch.key);
            }
            self.read(&store, &batch, there.contains(&batch.key))?;
            let is_time = |every: u64| every > 0 && number % every == every - 1;
            if is_time(self.compact) {
                let session = SessionId::new(batch.key.1).map_err(|error| error.to_string())?;
                let compacted = block_on(store.compact(&batch.context(), &Compact::new().session(session)));
                told_else("compact", compacted.err())?;
            }
            if is_time(self.reopen) {
                self.close(&store)?;
                drop(store);
                match self.opened()? {
                    Some(opened) => store = opened,
                    None => return tell(&Told::End),
                }
            }
        }
        self.close(&store)?;
        tell(&Told::End)
    }

    fn opened(&self) -> Result<Option<DynBackend>, String> {
        match opened_with(&self.url, self.bug) {
            Ok(store) => tell(&Told::Open).map(|()| Some(store)),
            Err(error) => told_else("prepare", Some(error)).map(|()| None),
        }
    }

    /// Says whether it was acknowledged.
    fn write(&self, store: &DynBackend, batch: &Batch) -> Result<bool, String> {
        tell(&Told::Trying(batch.number))?;
        let written = batch.write(store);
        tell(&Told::answer(batch.number, written.as_ref().err()))?;
        Ok(written.is_ok())
    }

    /// Reads the session; that it does not exist is an answer unless something was acknowledged.
    fn read(&self, store: &DynBackend, batch: &Batch, is_there: bool) -> Result<(), String> {
        let session = batch.session().map_err(|error| error.to_string())?;
        let loaded = block_on(store.load(&batch.context(), &session, &MessageQuery::newest_first().limit(5)));
        told_else("load", loaded.err().filter(|error| is_there || error.kind() != ErrorKind::NotFound))
    }

    fn close(&self, store: &DynBackend) -> Result<(), String> {
        told_else("close", block_on(store.close(&system("default"))).err())
    }
}

fn told_else(call: &str, error: Option<Error>) -> Result<(), String> {
    match error {
        Some(error) => tell(&Told::Else(call.to_owned(), error.kind().as_str().to_owned())),
        None => Ok(()),
    }
}
