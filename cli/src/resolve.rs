//! Which session or message is meant: a whole name, a beginning that only one has, or the last one.

use craftx::{
    Error, ErrorKind, MAX_PAGE, MessageQuery, Result, SessionId, SessionOrder, SessionQuery, Stamp, Storage, StreamExt,
};

use crate::args::Which;
use crate::output;

/// How many candidates an error names.
const NAMED: usize = 5;

impl Which {
    /// The session that is meant.
    pub(crate) async fn session(&self, storage: &Storage) -> Result<SessionId> {
        match &self.session {
            Some(name) => session(storage, name).await,
            None => newest(storage).await,
        }
    }
}

/// The session that was written last.
pub(crate) async fn newest(storage: &Storage) -> Result<SessionId> {
    let query = SessionQuery::new().order(SessionOrder::RecentFirst).limit(1);
    match storage.sessions(&query).await?.items.into_iter().next() {
        Some(session) => {
            output::say(format_args!("the last session is {:?}", session.id));
            Ok(session.id)
        }
        None => Err(Error::new(ErrorKind::NotFound, "there is no session yet").during("find")),
    }
}

/// The session of this name; if there is none, the one whose name begins so.
pub(crate) async fn session(storage: &Storage, name: &str) -> Result<SessionId> {
    let id = SessionId::new(name)?;
    if storage.session(&id).await?.is_some() {
        return Ok(id);
    }
    let mut found = beginning(storage, name).await?;
    match (found.len(), found.pop()) {
        (1, Some(only)) => {
            output::say(format_args!("the session is {only:?}"));
            Ok(only)
        }
        (0, _) | (_, None) => Err(missing(storage, &id).await),
        (_, Some(last)) => {
            found.push(last);
            Err(ambiguous("session", name, &found))
        }
    }
}

/// The sessions whose names begin so, a few of them.
async fn beginning(storage: &Storage, name: &str) -> Result<Vec<SessionId>> {
    let query = SessionQuery::new().prefix(name).limit(NAMED as u32 + 1);
    Ok(storage.sessions(&query).await?.items.into_iter().map(|session| session.id).collect())
}

/// The error for a session that does not exist, with the names that come near.
pub(crate) async fn missing(storage: &Storage, id: &SessionId) -> Error {
    let error = Error::new(ErrorKind::NotFound, "there is no such session").with("session", format!("{id:?}"));
    let like = beginning(storage, id.as_str()).await.unwrap_or_default();
    if !like.is_empty() {
        return error.with("beginning so", listed(&like));
    }
    // The names of one page: a suggestion must not cost more than the answer.
    let listed = storage.sessions(&SessionQuery::new().limit(MAX_PAGE)).await;
    let names: Vec<_> = listed.into_iter().flat_map(|page| page.items).map(|session| session.id).collect();
    match craftx::nearest(id.as_str(), names.iter().map(SessionId::as_str)) {
        Some(near) => error.with("nearest", format!("`{near}`")),
        None => error,
    }
}

/// A message by its id, or by the beginning of one.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    Id(Stamp),
    Beginning(String),
}

impl std::str::FromStr for Named {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let beginning = text.to_ascii_lowercase();
        match !beginning.is_empty() && beginning.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            true => Ok(Self::Beginning(beginning)),
            false => Err(Error::invalid("id", "must be the id of a message, or the beginning of one")),
        }
    }
}

/// The id of the message that is meant.
pub(crate) async fn message(storage: &Storage, session: &SessionId, named: &Named) -> Result<Stamp> {
    let beginning = match named {
        Named::Id(id) => return Ok(*id),
        Named::Beginning(beginning) => beginning,
    };
    let mut found = Vec::new();
    let mut messages = storage.stream(session, MessageQuery::oldest_first());
    while let Some(message) = messages.next().await.transpose()? {
        if message.id.to_string().starts_with(beginning) {
            found.push(message.id);
        }
        if found.len() > NAMED {
            break;
        }
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(Error::new(ErrorKind::NotFound, "there is no message whose id begins so")
            .with("session", format!("{session:?}"))
            .with("id", format!("`{beginning}`"))),
        several => Err(ambiguous("id", beginning, several)),
    }
}

fn ambiguous<T: std::fmt::Debug>(what: &'static str, text: &str, candidates: &[T]) -> Error {
    let rule = format!("begins like several: {}", output::quoted(text));
    Error::new(ErrorKind::InvalidInput, rule).with("field", what).with("candidates", listed(candidates))
}

fn listed<T: std::fmt::Debug>(names: &[T]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect();
    if names.len() > NAMED {
        shown.push("and more".to_owned());
    }
    shown.join(", ")
}

/// The message itself.
pub(crate) async fn one_message(storage: &Storage, session: &SessionId, named: &Named) -> Result<craftx::Message> {
    let id = message(storage, session, named).await?;
    storage.get(session, id).await?.ok_or_else(|| no_such_message(session, id))
}

/// The error for a message that does not exist.
pub(crate) fn no_such_message(session: &SessionId, id: Stamp) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such message").with("session", format!("{session:?}")).with("id", id)
}
