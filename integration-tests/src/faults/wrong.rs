//! Planted bugs: stores that must not pass.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, Error, ErrorKind, Hit,
    MessageQuery, Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status,
    Tenant, Verified, WriteOptions, Written, async_trait,
};

use super::{Hybrid, open, opened, system};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A batch is acknowledged when the next one is written.
    EarlyAcknowledgement,
    /// A batch is written record by record.
    Piecemeal,
    /// When a write fails it is tried again on a new handle, and the caller never learns of it.
    ForgetsFailures,
    /// A write whose future is dropped leaves the store locked.
    KeepsItsLock,
    /// Every other read is answered with what the last one found.
    ReadsTheOld,
    /// The stores of a hybrid take no marks, and say that they have.
    ForgetsMarks,
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let all = [
            Self::EarlyAcknowledgement,
            Self::Piecemeal,
            Self::ForgetsFailures,
            Self::KeepsItsLock,
            Self::ReadsTheOld,
            Self::ForgetsMarks,
        ];
        all.into_iter().find(|bug| format!("{bug:?}") == name).ok_or_else(|| format!("there is no bug `{name}`"))
    }
}

/// The store of a URL, perhaps with a bug.
///
/// # Errors
/// What `prepare` says.
pub fn opened_with(url: &str, bug: Option<Bug>) -> Result<DynBackend> {
    match (bug, Hybrid::parse(url)) {
        (None, _) => open(url),
        (Some(Bug::ForgetsMarks), Some(hybrid)) => {
            let store = hybrid.build(|leg| wrong(Bug::ForgetsMarks, url, leg))?;
            futures_executor::block_on(store.prepare(&system("default"), Prepare::Migrate))?;
            Ok(Arc::new(store))
        }
        (Some(bug), _) => Ok(wrong(bug, url, open(url)?)),
    }
}

fn wrong(bug: Bug, url: &str, inner: DynBackend) -> DynBackend {
    Arc::new(Wrong {
        bug,
        url: url.to_owned(),
        inner: Mutex::new(inner),
        held_back: Mutex::default(),
        is_locked: AtomicBool::new(false),
        last: Mutex::default(),
    })
}

type Held = (Context, SessionId, Vec<Record>, WriteOptions);

#[derive(Debug)]
struct Wrong {
    bug: Bug,
    url: String,
    inner: Mutex<DynBackend>,
    held_back: Mutex<Option<Held>>,
    is_locked: AtomicBool,
    last: Mutex<Option<(SessionId, Messages)>>,
}

impl Wrong {
    fn inner(&self) -> DynBackend {
        Arc::clone(&self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn settle(&self, next: Option<Held>) -> Result<Written> {
        let held = std::mem::replace(&mut *self.held_back.lock().unwrap_or_else(PoisonError::into_inner), next);
        match held {
            Some((cx, session, records, options)) => self.inner().write(&cx, &session, &records, &options).await,
            None => Ok(Written::default()),
        }
    }
}

#[async_trait]
impl Backend for Wrong {
    fn capabilities(&self) -> Capabilities {
        self.inner().capabilities()
    }

    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.inner().prepare(cx, mode).await
    }

    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        match self.bug {
            Bug::EarlyAcknowledgement => {
                self.settle(Some((cx.clone(), session.clone(), records.to_vec(), options.clone()))).await
            }
            Bug::Piecemeal => {
                let mut last = Written::default();
                for record in records {
                    last = self.inner().write(cx, session, std::slice::from_ref(record), options).await?;
                }
                Ok(last)
            }
            Bug::ForgetsFailures => match self.inner().write(cx, session, records, options).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    let again = opened(&self.url).await?;
                    *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&again);
                    again.write(cx, session, records, options).await
                }
                written => written,
            },
            Bug::KeepsItsLock => {
                if self.is_locked.swap(true, Ordering::AcqRel) {
                    return Err(Error::new(ErrorKind::Locked, "somebody went away with the lock"));
                }
                let written = self.inner().write(cx, session, records, options).await;
                self.is_locked.store(false, Ordering::Release);
                written
            }
            Bug::ForgetsMarks if session.as_str().starts_with("marks-") => Ok(Written::default()),
            Bug::ReadsTheOld | Bug::ForgetsMarks => self.inner().write(cx, session, records, options).await,
        }
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        if self.bug != Bug::ReadsTheOld {
            return self.inner().load(cx, session, query).await;
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        match last {
            Some((of, messages)) if of == *session => Ok(messages),
            _ => {
                let messages = self.inner().load(cx, session, query).await?;
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((session.clone(), messages.clone()));
                Ok(messages)
            }
        }
    }

    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        self.inner().records(cx, session, from, limit).await
    }

    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        self.inner().session(cx, session).await
    }

    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.inner().sessions(cx, query).await
    }

    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.inner().search(cx, query).await
    }

    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.inner().tenants(cx, from).await
    }

    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.inner().compact(cx, what).await
    }

    async fn status(&self, cx: &Context) -> Result<Status> {
        self.inner().status(cx).await
    }

    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.inner().verify(cx).await
    }

    async fn close(&self, cx: &Context) -> Result<()> {
        self.settle(None).await?;
        self.inner().close(cx).await
    }
}
