//! Reading messages and sessions.

use craftx_core::{
    Context, Error, ErrorKind, Hit, Message, MessageQuery, Messages, Order, Page, Result, SearchQuery, Session,
    SessionId, SessionQuery, Stamp, Tenant,
};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::Storage;
use crate::window::{Budget, Window};

/// Fails if one of the messages still is ciphertext: the stack has no layer that could open it, and nobody may take the
/// message for an empty one.
fn all_open<'a>(mut messages: impl Iterator<Item = &'a Message>) -> Result<()> {
    match messages.find(|message| message.sealed.is_some()) {
        None => Ok(()),
        Some(message) => {
            let error =
                Error::new(ErrorKind::KeyUnavailable, "this message is encrypted, and the stack has no layer for it");
            Err(error.with("id", message.id))
        }
    }
}

impl Storage {
    /// Loads messages that an application can read.
    pub(super) async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let page = self.backend().load(cx, session, query).await?;
        all_open(page.items.iter()).map_err(|error| error.during("load").with("session", format!("{session:?}")))?;
        Ok(page)
    }

    /// The last `n` messages, in the order of the conversation. More than [`MAX_PAGE`](crate::MAX_PAGE) are read in
    /// several steps.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn last(&self, session: impl AsRef<str>, n: usize) -> Result<Vec<Message>> {
        let mut query = MessageQuery::newest_first();
        let mut found: Vec<Message> = Vec::new();
        loop {
            let rest = u32::try_from(n.saturating_sub(found.len())).unwrap_or(u32::MAX);
            let mut page = self.messages(&session, &query.clone().limit(rest)).await?;
            // The first page, which mostly is the only one, is taken as it is.
            if found.is_empty() {
                std::mem::swap(&mut found, &mut page.items);
            }
            found.append(&mut page.items);
            match found.last() {
                Some(oldest) if page.more && found.len() < n => query = query.before(oldest.id),
                _ => break,
            }
        }
        found.reverse();
        Ok(found)
    }

    /// One page of messages, from either end; go on with [`MessageQuery::after`] or [`MessageQuery::before`] the last
    /// item.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn messages(&self, session: impl AsRef<str>, query: &MessageQuery) -> Result<Messages> {
        let session = SessionId::new(session)?;
        let page = self.load(&self.context(), &session, query).await?;
        self.learn_read(&session, &page);
        Ok(page)
    }

    /// One message; `None` if it is not there.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn get(&self, session: impl AsRef<str>, id: Stamp) -> Result<Option<Message>> {
        Ok(self.get_many(session, [id]).await?.into_iter().next())
    }

    /// The messages with these ids, in the order of the conversation; those that are not there are left out.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn get_many(
        &self,
        session: impl AsRef<str>,
        ids: impl IntoIterator<Item = Stamp>,
    ) -> Result<Vec<Message>> {
        let mut ids: Vec<Stamp> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(craftx_core::MAX_PAGE as usize) {
            let query = MessageQuery::oldest_first().ids(part.iter().copied()).limit(craftx_core::MAX_PAGE);
            found.extend(self.messages(&session, &query).await?.items);
        }
        Ok(found)
    }

    /// The whole conversation, page by page.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist; see [`Storage::history_or_empty`].
    pub fn history(&self, session: impl AsRef<str>) -> BoxStream<'static, Result<Message>> {
        self.stream(session, MessageQuery::oldest_first())
    }

    /// The messages that a query asks for, page by page, without a limit.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub fn stream(&self, session: impl AsRef<str>, query: MessageQuery) -> BoxStream<'static, Result<Message>> {
        let (storage, session) = (self.clone(), session.as_ref().to_owned());
        stream::try_unfold(Some(query), move |query| {
            let (storage, session) = (storage.clone(), session.clone());
            async move {
                let Some(mut query) = query else { return Ok(None) };
                query.limit = Some(craftx_core::MAX_PAGE);
                let page = storage.messages(&session, &query).await?;
                let next = page.items.last().filter(|_| page.more).map(|last| match query.order {
                    Order::OldestFirst => query.clone().after(last.id),
                    Order::NewestFirst => query.clone().before(last.id),
                });
                Ok::<_, Error>(Some((stream::iter(page.items).map(Ok), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    /// The whole conversation in memory; empty if the session does not exist.
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn history_or_empty(&self, session: impl AsRef<str>) -> Result<Vec<Message>> {
        match self.history(session).try_collect().await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    /// The newest messages that fit a budget, in the order of the conversation. A tool result never comes without the
    /// call that it answers.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the session does not exist.
    pub async fn window(&self, session: impl AsRef<str>, budget: Budget<'_>) -> Result<Vec<Message>> {
        let mut window = Window::new(budget);
        let mut query = MessageQuery::newest_first();
        loop {
            let page = self.messages(&session, &query).await?;
            let last = page.items.last().map(|message| message.id);
            let full = !page.items.into_iter().all(|message| window.take(message));
            match last {
                Some(last) if page.more && !full => query = query.before(last),
                _ => return Ok(window.finish(!full)),
            }
        }
    }

    /// What is known of a session; `None` if it does not exist.
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn session(&self, session: impl AsRef<str>) -> Result<Option<Session>> {
        let session = SessionId::new(session)?;
        let found = self.backend().session(&self.context(), &session).await?;
        if let Some(found) = &found {
            self.learn(&session, Some(found.version));
        }
        Ok(found)
    }

    /// One page of sessions.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a cursor of another query or tenant.
    pub async fn sessions(&self, query: &SessionQuery) -> Result<Page<Session>> {
        self.backend().sessions(&self.context(), query).await
    }

    /// All sessions that a query asks for, page by page, without a limit.
    ///
    /// # Errors
    /// As [`Storage::sessions`].
    pub fn all_sessions(&self, query: SessionQuery) -> BoxStream<'static, Result<Session>> {
        let storage = self.clone();
        stream::try_unfold(Some(query), move |query| {
            let storage = storage.clone();
            async move {
                let Some(query) = query else { return Ok(None) };
                let page = storage.sessions(&query).await?;
                let next = page.next.map(|cursor| query.cursor(Some(cursor)));
                Ok::<_, Error>(Some((stream::iter(page.items).map(Ok), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    /// One page of messages in which something was said, the best first. Any text is a legal query.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the medium cannot search, or searching is switched off;
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a cursor of another query or tenant.
    pub async fn search(&self, query: &SearchQuery) -> Result<Page<Hit>> {
        let page = self.backend().search(&self.context(), query).await?;
        all_open(page.items.iter().map(|hit| &hit.message)).map_err(|error| error.during("search"))?;
        Ok(page)
    }

    /// All messages that a query finds, page by page, without a limit. What is written meanwhile may be seen twice or
    /// not at all.
    ///
    /// # Errors
    /// As [`Storage::search`].
    pub fn search_all(&self, query: SearchQuery) -> BoxStream<'static, Result<Hit>> {
        let storage = self.clone();
        stream::try_unfold(Some(query), move |query| {
            let storage = storage.clone();
            async move {
                let Some(query) = query else { return Ok(None) };
                let page = storage.search(&query).await?;
                let next = page.next.map(|cursor| query.cursor(Some(cursor)));
                Ok::<_, Error>(Some((stream::iter(page.items).map(Ok), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    /// All tenants that have records. Only for [`Caller::System`](crate::Caller::System).
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) for everybody else.
    pub fn tenants(&self) -> BoxStream<'static, Result<Tenant>> {
        let storage = self.clone();
        stream::try_unfold(Some(None), move |cursor| {
            let storage = storage.clone();
            async move {
                let Some(cursor) = cursor else { return Ok(None) };
                let page = storage.backend().tenants(&storage.context(), cursor.as_ref()).await?;
                Ok::<_, Error>(Some((stream::iter(page.items).map(Ok), page.next.map(Some))))
            }
        })
        .try_flatten()
        .boxed()
    }

    fn learn_read(&self, session: &SessionId, page: &Messages) {
        // A read alone does not say that nothing else is there, so it only moves what is known already.
        if let Some(known) = self.shared.heads.get(&self.cx.tenant, session) {
            let greatest = page.items.iter().map(|message| message.id).max();
            self.learn(session, known.max(greatest));
        }
    }
}
