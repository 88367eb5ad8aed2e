//! `drop`: begins calls and drops their futures, then looks for what they left behind.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use craftx_core::{
    Compact, Context, DynBackend, ErrorKind, Message, MessageQuery, Record, Result, Role, SessionId, SessionQuery,
    Stamp, WriteOptions,
};
use craftx_integration_tests::faults::{Dice, Told, open, opened_with, system};
use futures_executor::block_on;

use crate::tell;

const SESSIONS: u64 = 4;
/// How many messages are one batch.
const BATCH: u64 = 3;
/// After so many dropped futures, a call has to get through that is not dropped.
const PROBE: u64 = 500;

/// What is wrong, in a word, for the test.
type Wrong = String;

struct Dropping {
    store: DynBackend,
    other: DynBackend,
    dice: Dice,
    /// Whether each batch was acknowledged.
    batches: Vec<bool>,
    dropped: u64,
    completed: u64,
}

/// Drops so many futures of calls to the store of a URL.
pub(crate) fn drop_futures(arguments: &[String]) -> std::result::Result<(), String> {
    let [url, seed, count, options @ ..] = arguments else { return Err(crate::USAGE.to_owned()) };
    let number = |text: &String| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
    let bug = options.first().and_then(|option| option.strip_prefix("bug=")).map(str::parse).transpose()?;
    let failed = |error: craftx_core::Error| error.to_string();
    let before = handles();
    let mut dropping = Dropping {
        store: opened_with(url, bug).map_err(failed)?,
        other: open(url).map_err(failed)?,
        dice: Dice::new(number(seed)?),
        batches: Vec::new(),
        dropped: 0,
        completed: 0,
    };
    tell(&Told::Open)?;
    let open = handles();
    match dropping.work(number(count)?) {
        Err(wrong) => return tell(&Told::Else("drop".to_owned(), wrong)),
        Ok(applied) => tell(&Told::Count("applied".to_owned(), applied))?,
    }
    tell(&Told::Count("dropped".to_owned(), dropping.dropped))?;
    tell(&Told::Count("completed".to_owned(), dropping.completed))?;
    tell(&Told::Count("open-files-more".to_owned(), handles().saturating_sub(open)))?;
    for store in [&dropping.store, &dropping.other] {
        block_on(store.close(&system("default"))).map_err(failed)?;
    }
    drop(dropping);
    tell(&Told::Count("open-files-left".to_owned(), handles().saturating_sub(before)))?;
    tell(&Told::End)
}

/// How many files this process has open.
fn handles() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

impl Dropping {
    fn work(&mut self, count: u64) -> std::result::Result<u64, Wrong> {
        let mut probed = 0;
        while self.dropped < count {
            self.drop_one()?;
            if self.dropped / PROBE > probed {
                probed = self.dropped / PROBE;
                self.probe()?;
            }
        }
        self.judge()
    }

    /// Begins a call and drops it after some polls.
    fn drop_one(&mut self) -> std::result::Result<(), Wrong> {
        let (polls, cx, store) = (1 + self.dice.below(3), system("default"), self.store.clone());
        let pause = Duration::from_micros(self.dice.below(60));
        let id = session(self.dice.below(SESSIONS)).map_err(wrong)?;
        let kind = self.dice.below(16);
        if kind < 9 {
            let number = self.batches.len() as u64;
            let (id, records) = (session(number % SESSIONS).map_err(wrong)?, batch(number).map_err(wrong)?);
            let options = WriteOptions::fresh();
            let done = poll(polls, pause, store.write(&cx, &id, &records, &options));
            self.count(done.is_some());
            self.batches.push(done.transpose().map_err(wrong)?.is_some());
            return Ok(());
        }
        let (newest, all) = (MessageQuery::newest_first().limit(20), SessionQuery::new().limit(2));
        let compact = Compact::new().session(id.clone());
        let done = match kind {
            9..12 => poll(polls, pause, store.load(&cx, &id, &newest)).map(|done| done.map(drop)),
            12 => poll(polls, pause, store.session(&cx, &id)).map(|done| done.map(drop)),
            13 => poll(polls, pause, store.sessions(&cx, &all)).map(|done| done.map(drop)),
            14 => poll(polls, pause, store.records(&cx, &id, None, Some(20))).map(|done| done.map(drop)),
            _ if self.dice.once_in(20) => poll(polls, pause, store.compact(&cx, &compact)).map(|done| done.map(drop)),
            _ => poll(polls, pause, store.status(&cx)).map(|done| done.map(drop)),
        };
        self.count(done.is_some());
        match done {
            Some(Err(error)) if error.kind() != ErrorKind::NotFound => Err(wrong(error)),
            _ => Ok(()),
        }
    }

    fn count(&mut self, completed: bool) {
        if completed { self.completed += 1 } else { self.dropped += 1 }
    }

    /// Both handles can write and read: nothing is locked.
    fn probe(&mut self) -> std::result::Result<(), Wrong> {
        for store in [self.store.clone(), self.other.clone()] {
            let number = self.batches.len() as u64;
            self.batches.push(true);
            let cx = system("default").with_timeout(Duration::from_secs(20));
            block_on(write(&store, &cx, number)).map_err(|_| "locked".to_owned())?;
            let id = session(number % SESSIONS).map_err(wrong)?;
            block_on(store.load(&cx, &id, &MessageQuery::newest_first().limit(1))).map_err(wrong)?;
        }
        Ok(())
    }

    /// Every batch is there whole or not at all, and those that are not can be written again. Returns how many of those
    /// whose future was dropped were there.
    fn judge(&mut self) -> std::result::Result<u64, Wrong> {
        let found = self.found().map_err(wrong)?;
        let mut applied = 0;
        let cx = system("default");
        for (number, acknowledged) in self.batches.iter().enumerate() {
            let messages = found.get(&(number as u64)).copied().unwrap_or_default();
            match (messages, acknowledged) {
                (BATCH, false) => applied += 1,
                (BATCH, true) => {}
                (0, false) => block_on(write(&self.store, &cx, number as u64)).map_err(|_| "locked".to_owned())?,
                (0, true) => return Err("lost".to_owned()),
                (more, _) if more > BATCH => return Err("twice".to_owned()),
                _ => return Err("half-written".to_owned()),
            }
        }
        let found = self.found().map_err(wrong)?;
        let all_there = found.len() == self.batches.len() && found.values().all(|messages| *messages == BATCH);
        if all_there { Ok(applied) } else { Err("lost".to_owned()) }
    }

    /// How many messages there are of each batch.
    fn found(&self) -> Result<BTreeMap<u64, u64>> {
        let mut found = BTreeMap::new();
        for number in 0..SESSIONS {
            let mut query = MessageQuery::oldest_first().limit(1_000);
            loop {
                let page = match block_on(self.store.load(&system("default"), &session(number)?, &query)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => break,
                    page => page?,
                };
                for message in &page.items {
                    let number = message.text().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
                    *found.entry(number).or_default() += 1;
                }
                match page.items.last() {
                    Some(last) if page.more => query = query.after(last.id),
                    _ => break,
                }
            }
        }
        Ok(found)
    }
}

fn wrong(error: craftx_core::Error) -> Wrong {
    error.kind().as_str().to_owned()
}

fn session(number: u64) -> Result<SessionId> {
    SessionId::new(format!("s{number}"))
}

fn batch(number: u64) -> Result<Vec<Record>> {
    let message = |part| Ok(Message::new(Stamp::mint(number * BATCH + part, None, 0)?, Role::User, number.to_string()));
    (0..BATCH).map(|part| message(part).map(Record::Message)).collect()
}

async fn write(store: &DynBackend, cx: &Context, number: u64) -> Result<()> {
    let options = WriteOptions::fresh();
    store.write(cx, &session(number % SESSIONS)?, &batch(number)?, &options).await.map(drop)
}

/// Polls a future so many times with pauses; `None` if it was dropped then.
fn poll<F: Future>(polls: u64, pause: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for poll in 0..polls {
        if poll > 0 {
            std::thread::sleep(pause);
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
            return Some(output);
        }
    }
    None
}
