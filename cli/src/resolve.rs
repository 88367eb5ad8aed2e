//! Which session or message is meant: a whole name, a beginning that only one has, or the last one.

use craftx::{
    Error, ErrorKind, MAX_PAGE, MessageQuery, Result, SessionId, SessionOrder, SessionQuery, Stamp, Storage, StreamExt,
};

use crate::args::Which;
use crate::output;

/// How many candidates an error names.
const NAMED: usize = 5;
/// How like a name must be to be suggested.
const LIKE: f64 = 0.8;

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
    let mut like = beginning(storage, id.as_str()).await.unwrap_or_default();
    if like.is_empty() {
        // The names of one page: a suggestion must not cost more than the answer.
        let listed = storage.sessions(&SessionQuery::new().limit(MAX_PAGE)).await;
        let mut all: Vec<_> = listed.into_iter().flat_map(|page| page.items).map(|session| session.id).collect();
        all.retain(|other| strsim::jaro_winkler(id.as_str(), other.as_str()) > LIKE);
        like = all;
    }
    match like.is_empty() {
        true => error,
        false => error.with("near", listed(&like)),
    }
}

/// The message with this id; if it is none, the one whose id begins so.
pub(crate) async fn message(storage: &Storage, session: &SessionId, text: &str) -> Result<Stamp> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let beginning = text.to_ascii_lowercase();
    if beginning.is_empty() || !beginning.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(Error::invalid("message", "must be the id of a message, or the beginning of one"));
    }
    let mut found = Vec::new();
    let mut messages = storage.stream(session, MessageQuery::oldest_first());
    while let Some(message) = messages.next().await.transpose()? {
        if message.id.to_string().starts_with(&beginning) {
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
        several => Err(ambiguous("id", &beginning, several)),
    }
}

fn ambiguous<T: std::fmt::Debug>(what: &'static str, text: &str, candidates: &[T]) -> Error {
    let rule = format!("begins like several: {text:?}");
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
pub(crate) async fn one_message(storage: &Storage, session: &SessionId, text: &str) -> Result<craftx::Message> {
    let id = message(storage, session, text).await?;
    storage.get(session, id).await?.ok_or_else(|| no_such_message(session, id))
}

/// The error for a message that does not exist.
pub(crate) fn no_such_message(session: &SessionId, id: Stamp) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such message").with("session", format!("{session:?}")).with("id", id)
}
