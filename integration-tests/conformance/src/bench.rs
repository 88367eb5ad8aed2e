//! What a check works with: a store of its own, and the tools to write and read it.

use std::time::Duration;

use craftx_core::union::SessionSet;
use craftx_core::{
    Caller, Capabilities, Context, Cursor, DynBackend, Error, ErrorKind, Expect, Message, MessageQuery, Messages,
    Outcome, Page, Prepare, Record, Session, SessionId, SessionQuery, Status, Tenant, WriteOptions, Written,
};

use crate::check::{Stop, Verdict, ensure, ensure_eq};
use crate::random::Random;
use crate::subject::{Factory, Subject};

/// A store of its own for one check.
pub(crate) struct Bench {
    pub(crate) subject: Subject,
    pub(crate) factory: Factory,
    pub(crate) capabilities: Capabilities,
    pub(crate) seed: u64,
    /// How many cases a property is tried with.
    pub(crate) cases: u64,
    /// How many sequences of operations are compared with the model.
    pub(crate) sequences: u64,
    /// How often something concurrent is tried.
    pub(crate) rounds: u64,
}

/// How a store is left before it is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Closed.
    Closed,
    /// Dropped without being closed, as a process that ends.
    Dropped,
}

impl Bench {
    pub(crate) fn store(&self) -> &DynBackend {
        &self.subject.backend
    }

    pub(crate) fn random(&self) -> Random {
        Random::new(self.seed)
    }

    /// The session `name` of the default tenant.
    pub(crate) fn place(&self, name: &str) -> Verdict<Place> {
        self.place_of("default", name)
    }

    pub(crate) fn place_of(&self, tenant: &str, name: &str) -> Verdict<Place> {
        Ok(Place {
            store: self.store().clone(),
            cx: Context::system(Tenant::new(tenant)?),
            session: SessionId::new(name)?,
        })
    }

    /// Leaves the store and opens it again. Every other handle to it must have been dropped before.
    pub(crate) async fn reopen(&mut self, leave: Leave) -> Verdict {
        if leave == Leave::Closed {
            self.store().close(&context("default")).await?;
        }
        // Dropping comes before opening, because a medium may be locked by its handle.
        self.subject.backend = std::sync::Arc::new(craftx_core::Memory::new());
        self.subject.backend = self.open().await?;
        Ok(())
    }

    /// Opens the store once more.
    pub(crate) async fn open(&self) -> Verdict<DynBackend> {
        const TRIES: u32 = 200;
        let Some(open) = &self.subject.open else {
            return Err(Stop::Skip("the factory does not say how to reopen the store".to_owned()));
        };
        let mut tries = 0;
        loop {
            let store =
                open().await.map_err(|error| Stop::Fail(format!("the store could not be reopened: {error}")))?;
            match store.prepare(&context("default"), Prepare::Open).await {
                Ok(_) => return Ok(store),
                // A handle that was dropped may need a moment to let go of its locks.
                Err(error) if error.kind() == ErrorKind::Locked && tries < TRIES => {
                    tries += 1;
                    drop(store);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Another fresh store.
    pub(crate) async fn another(&self) -> Verdict<Subject> {
        let subject = (self.factory)().await.map_err(|error| Stop::Fail(format!("the factory failed: {error}")))?;
        subject.backend.prepare(&context("default"), Prepare::Migrate).await?;
        Ok(subject)
    }

    /// How many records fit one write, but not more than `wanted`.
    pub(crate) fn batch(&self, wanted: usize) -> usize {
        self.capabilities.max_batch.map_or(wanted, |most| wanted.min(most as usize)).max(1)
    }

    pub(crate) async fn list(&self, cx: &Context, query: SessionQuery) -> Verdict<Vec<Session>> {
        let mut all = Vec::new();
        let mut query = query;
        loop {
            let Page { items, next } = self.store().sessions(cx, &query).await?;
            ensure!(!items.is_empty() || next.is_none(), "an empty page of sessions has a cursor");
            all.extend(items);
            match next {
                None => return Ok(all),
                Some(cursor) => query = query.cursor(Some(cursor)),
            }
        }
    }

    pub(crate) async fn list_ids(&self, cx: &Context, query: SessionQuery) -> Verdict<Vec<String>> {
        Ok(self.list(cx, query).await?.iter().map(|session| session.id.as_str().to_owned()).collect())
    }

    /// The names of all tenants, by pages.
    pub(crate) async fn tenants(&self) -> Verdict<Vec<String>> {
        let mut all = Vec::new();
        let mut from = None;
        loop {
            let page = self.store().tenants(&context("default"), from.as_ref()).await?;
            all.extend(page.items.iter().map(|tenant| tenant.as_str().to_owned()));
            match page.next {
                None => return Ok(all),
                next => from = next,
            }
        }
    }

    pub(crate) async fn status(&self) -> Verdict<Status> {
        Ok(self.store().status(&context("default")).await?)
    }
}

/// The application itself, in this tenant: it may do everything, whatever layers there are.
pub(crate) fn context(tenant: &str) -> Context {
    Context::system(Tenant::new(tenant).unwrap_or_default())
}

/// One session of one tenant in one store.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) store: DynBackend,
    pub(crate) cx: Context,
    pub(crate) session: SessionId,
}

impl Place {
    pub(crate) fn with_caller(mut self, caller: Caller) -> Self {
        self.cx = self.cx.with_caller(caller);
        self
    }

    /// The same place for whoever was told of a write. Where reads may be behind the writes of others, this is how one handle
    /// is told what another one has written.
    pub(crate) fn told_of(&self, written: &Written) -> Self {
        let mut told = self.clone();
        told.cx = told.cx.with_token(written.token.clone());
        told
    }

    pub(crate) async fn try_write(&self, records: &[Record], options: &WriteOptions) -> Result<Written, Error> {
        self.store.write(&self.cx, &self.session, records, options).await
    }

    /// Writes fresh records.
    pub(crate) async fn write(&self, records: &[Record]) -> Verdict<Written> {
        let written = self.try_write(records, &WriteOptions::fresh()).await?;
        self.sane(records, written)
    }

    /// Writes records that exist elsewhere.
    pub(crate) async fn replay(&self, records: &[Record]) -> Verdict<Written> {
        let written = self.try_write(records, &WriteOptions::replay()).await?;
        self.sane(records, written)
    }

    /// Counts that are given add up.
    fn sane(&self, records: &[Record], written: Written) -> Verdict<Written> {
        if let (Some(applied), Some(known), Some(dead)) = (written.applied, written.known, written.dead) {
            ensure_eq!(
                (applied + known + dead) as usize,
                records.len(),
                "every record of a batch is counted once (applied {applied}, known {known}, dead {dead})"
            );
        }
        Ok(written)
    }

    pub(crate) async fn write_expecting(&self, records: &[Record], expect: Expect) -> Result<Written, Error> {
        self.try_write(records, &WriteOptions::fresh().expecting(expect)).await
    }

    pub(crate) async fn try_load(&self, query: &MessageQuery) -> Result<Messages, Error> {
        self.store.load(&self.cx, &self.session, query).await
    }

    pub(crate) async fn load(&self, query: &MessageQuery) -> Verdict<Messages> {
        Ok(self.try_load(query).await?)
    }

    /// Every live message, oldest first, page by page; none if the session does not exist.
    pub(crate) async fn messages(&self) -> Verdict<Vec<Message>> {
        self.messages_by(None).await
    }

    pub(crate) async fn messages_by(&self, limit: Option<u32>) -> Verdict<Vec<Message>> {
        let mut all: Vec<Message> = Vec::new();
        loop {
            let mut query = MessageQuery::oldest_first();
            query.limit = limit;
            query.after = all.last().map(|message| message.id);
            let page = match self.try_load(&query).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(all),
                page => page?,
            };
            ensure!(!page.items.is_empty() || !page.more, "an empty page says that there is more");
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
        }
    }

    /// The texts of the live messages, oldest first.
    pub(crate) async fn texts(&self) -> Verdict<Vec<String>> {
        Ok(texts(&self.messages().await?))
    }

    pub(crate) async fn session(&self) -> Verdict<Option<Session>> {
        Ok(self.store.session(&self.cx, &self.session).await?)
    }

    /// What is known of a session that must exist.
    pub(crate) async fn existing(&self) -> Verdict<Session> {
        match self.session().await? {
            Some(session) => Ok(session),
            None => Err(Stop::Fail(format!("the session {:?} does not exist", self.session))),
        }
    }

    /// All records from `from` on, page by page, and the cursor at the end.
    pub(crate) async fn changes(&self, from: Option<Cursor>, limit: Option<u32>) -> Verdict<(Vec<Record>, Cursor)> {
        const MOST_PAGES: usize = 100_000;
        let mut all = Vec::new();
        let mut from = from;
        for _ in 0..MOST_PAGES {
            let part = self.store.records(&self.cx, &self.session, from.as_ref(), limit).await?;
            all.extend(part.items);
            if part.done {
                return Ok((all, part.next));
            }
            from = Some(part.next);
        }
        Err(Stop::Fail(format!("`records` was not done after {MOST_PAGES} pages")))
    }

    /// The canonical set, read through `records`. Fails if `records` gives anything that is dead or superseded.
    pub(crate) async fn set(&self) -> Verdict<SessionSet<Message>> {
        let (records, _) = self.changes(None, None).await?;
        let set = fold(&records);
        for record in &records {
            let canonical = set.canonical(record, &record.identity());
            ensure!(canonical.as_ref() == Some(record), "`records` gave what is dead or superseded: {record:?}");
        }
        Ok(set)
    }

    /// The canonical set in a fixed order, one encoded record a line.
    pub(crate) async fn lines(&self) -> Verdict<Vec<String>> {
        Ok(lines(&self.set().await?))
    }
}

/// What a task of the check itself gave; its panic is the check's.
pub(crate) fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Verdict<T> {
    result.map_err(|error| Stop::Fail(format!("a task of the check ended early: {error}")))
}

/// The union of records.
pub(crate) fn fold(records: &[Record]) -> SessionSet<Message> {
    let mut set = SessionSet::new();
    for record in records {
        set.replay(record, record.identity(), Message::clone);
    }
    set
}

/// The set in a fixed order, one encoded record a line. Variants of a conflict are sorted too.
pub(crate) fn lines(set: &SessionSet<Message>) -> Vec<String> {
    let mut lines: Vec<_> = set.to_records().iter().map(|record| record.encode().into_string()).collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.text().unwrap_or("(no text)").to_owned()).collect()
}

/// Fails unless the call failed with this kind; gives the error back.
#[track_caller]
pub(crate) fn fails<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind, what: &str) -> Verdict<Error> {
    match result {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(Stop::Fail(format!("{what}: wanted an error `{}`, found {error:?}", kind.as_str()))),
        Ok(value) => Err(Stop::Fail(format!(
            "{what}: wanted an error `{}`, found success: {}",
            kind.as_str(),
            crate::check::short(format_args!("{value:?}"))
        ))),
    }
}

/// The same of a write: nothing was applied.
#[track_caller]
pub(crate) fn refused(result: Result<Written, Error>, kind: ErrorKind, what: &str) -> Verdict<Error> {
    let error = fails(result, kind, what)?;
    ensure_eq!(error.outcome(), Outcome::NotApplied, "{what}: the outcome of a refused write");
    Ok(error)
}
