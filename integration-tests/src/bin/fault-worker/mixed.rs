//! `mixed`: appends, reads, deletes, and compares-and-appends, beside other processes, and writes its history down.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, SystemTime};

use craftx_core::{
    DynBackend, Error, ErrorKind, Expect, Message, MessageQuery, Record, Role, SessionId, Stamp, WriteOptions,
    random_bits,
};
use craftx_integration_tests::faults::{Call, Dice, Event, Told, opened_with, system};
use futures_executor::block_on;

use crate::tell;

/// How long the processes work on the same sessions before they all go on to others, so that none grows too long.
const EPOCH: Duration = Duration::from_millis(1_000);

struct Mixed {
    store: DynBackend,
    dice: Dice,
    who: u64,
    history: BufWriter<File>,
    next: u64,
    /// Own messages that were acknowledged and not deleted, with their sessions.
    own: Vec<(String, Stamp, u64)>,
}

/// Works for so many seconds.
pub(crate) fn mixed(arguments: &[String]) -> Result<(), String> {
    let [url, seed, who, history, seconds, options @ ..] = arguments else { return Err(crate::USAGE.to_owned()) };
    let number = |text: &String| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
    let bug = options.first().and_then(|option| option.strip_prefix("bug=")).map(str::parse).transpose()?;
    let who = number(who)?;
    let mut mixed = Mixed {
        store: opened_with(url, bug).map_err(|error| error.to_string())?,
        dice: Dice::of(number(seed)?, who),
        who,
        history: BufWriter::new(File::create(history).map_err(|error| error.to_string())?),
        next: 0,
        own: Vec::new(),
    };
    tell(&Told::Open)?;
    let end = now()? + Duration::from_secs(number(seconds)?).as_nanos();
    while now()? < end {
        if let Err(error) = mixed.step() {
            return tell(&Told::Else("step".to_owned(), error));
        }
    }
    mixed.history.flush().map_err(|error| error.to_string())?;
    block_on(mixed.store.close(&system("default"))).map_err(|error| error.to_string())?;
    tell(&Told::End)
}

/// Nanoseconds by a clock that all processes of the machine share.
fn now() -> Result<u128, String> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map(|since| since.as_nanos()).map_err(|error| error.to_string())
}

fn kind(error: Error) -> String {
    error.kind().as_str().to_owned()
}

impl Mixed {
    fn step(&mut self) -> Result<(), String> {
        let epoch = now()? / EPOCH.as_nanos();
        let free = format!("free-{epoch}-{}", self.dice.below(2));
        match self.dice.below(10) {
            0..3 => self.append(free),
            3..6 => self.read(&free),
            6 => self.delete(),
            7 => self.saw(format!("chain-{epoch}")),
            _ => self.advance(format!("chain-{epoch}")),
        }
    }

    /// Makes a call and writes down when it began and ended, and what it did, if that is known and of interest.
    fn observe(
        &mut self,
        session: &str,
        call: impl FnOnce(&DynBackend, &SessionId) -> Result<Option<Call>, Error>,
    ) -> Result<Option<Call>, String> {
        let id = SessionId::new(session).map_err(kind)?;
        let began = now()?;
        let done = call(&self.store, &id).map_err(kind)?;
        let ended = now()?;
        if let Some(call) = &done {
            let event = Event { began, ended, session: session.to_owned(), call: call.clone() };
            writeln!(self.history, "{event}").map_err(|error| error.to_string())?;
        }
        Ok(done)
    }

    fn mint(&mut self, after: Option<Stamp>) -> Result<(u64, Stamp), String> {
        self.next += 1;
        let millis = u64::try_from(now()? / 1_000_000).unwrap_or(0);
        Ok((self.who * 10_000_000 + self.next, Stamp::mint(millis, after, random_bits()).map_err(kind)?))
    }

    fn append(&mut self, session: String) -> Result<(), String> {
        let (number, stamp) = self.mint(None)?;
        let record = Record::Message(Message::new(stamp, Role::User, number.to_string()));
        self.observe(&session, |store, id| {
            block_on(store.write(&system("default"), id, &[record], &WriteOptions::fresh()))?;
            Ok(Some(Call::Appended(number)))
        })?;
        self.own.push((session, stamp, number));
        Ok(())
    }

    fn delete(&mut self) -> Result<(), String> {
        if self.own.is_empty() {
            return Ok(());
        }
        let at = self.dice.below(self.own.len() as u64) as usize;
        let (session, id, number) = self.own.swap_remove(at);
        let (_, stamp) = self.mint(Some(id))?;
        self.observe(&session, |store, session| {
            let deletion = [Record::Deleted { id, stamp }];
            block_on(store.write(&system("default"), session, &deletion, &WriteOptions::fresh()))?;
            Ok(Some(Call::Deleted(number)))
        })?;
        Ok(())
    }

    fn read(&mut self, session: &str) -> Result<(), String> {
        self.observe(session, |store, id| {
            let query = MessageQuery::oldest_first().limit(1_000);
            let items = match block_on(store.load(&system("default"), id, &query)) {
                Ok(page) if page.more => return Ok(None),
                Ok(page) => page.items,
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            let numbers = items.iter().filter_map(|message| message.text()?.parse().ok()).collect();
            Ok(Some(Call::Read(numbers)))
        })?;
        Ok(())
    }

    fn saw(&mut self, session: String) -> Result<(), String> {
        self.observe(&session, |store, id| version(store, id).map(|version| Some(Call::Saw(version))))?;
        Ok(())
    }

    /// Compare-and-append: an append or a deletion that nobody else may come before.
    fn advance(&mut self, session: String) -> Result<(), String> {
        let mut from = None;
        self.observe(&session, |store, id| {
            from = version(store, id)?;
            Ok(Some(Call::Saw(from)))
        })?;
        let (number, stamp) = self.mint(from)?;
        let message = |stamp| Record::Message(Message::new(stamp, Role::User, number.to_string()));
        let records = match from {
            Some(id) if self.dice.once_in(4) => vec![Record::Deleted { id, stamp }],
            Some(_) => vec![message(stamp)],
            // With a key, the session exists even if all its messages are deleted.
            None => vec![Record::Session { stamp, set: [("k".to_owned(), Some(1.into()))].into() }],
        };
        self.observe(&session, |store, id| {
            let options = WriteOptions::fresh().expecting(from.map_or(Expect::New, Expect::Version));
            match block_on(store.write(&system("default"), id, &records, &options)) {
                Ok(_) => Ok(Some(Call::Moved(from, stamp))),
                Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
                Err(error) => Err(error),
            }
        })?;
        Ok(())
    }
}

fn version(store: &DynBackend, id: &SessionId) -> Result<Option<Stamp>, Error> {
    Ok(block_on(store.session(&system("default"), id))?.map(|session| session.version))
}
