//! Planted bugs: stores that must not pass.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Context, Cursor, DynBackend, ErrorKind, Hit, MessageQuery,
    Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId, SessionQuery, Status, Tenant,
    WriteOptions, Written, async_trait,
};

use super::{open, opened};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A batch is acknowledged when the next one is written.
    EarlyAcknowledgement,
    /// A batch is written record by record.
    Piecemeal,
    /// When a write fails it is tried again on a new handle, and the caller never learns of it.
    ForgetsFailures,
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        [Self::EarlyAcknowledgement, Self::Piecemeal, Self::ForgetsFailures]
            .into_iter()
            .find(|bug| format!("{bug:?}") == name)
            .ok_or_else(|| format!("there is no bug `{name}`"))
    }
}

/// The store of a URL, with a bug.
///
/// # Errors
/// What `prepare` says.
pub fn planted(bug: Bug, url: &str) -> Result<DynBackend> {
    let inner = Mutex::new(open(url)?);
    Ok(Arc::new(Wrong { bug, url: url.to_owned(), inner, held_back: Mutex::default() }))
}

type Held = (Context, SessionId, Vec<Record>, WriteOptions);

#[derive(Debug)]
struct Wrong {
    bug: Bug,
    url: String,
    inner: Mutex<DynBackend>,
    held_back: Mutex<Option<Held>>,
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
        }
    }

    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.inner().load(cx, session, query).await
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

    async fn close(&self, cx: &Context) -> Result<()> {
        self.settle(None).await?;
        self.inner().close(cx).await
    }
}
