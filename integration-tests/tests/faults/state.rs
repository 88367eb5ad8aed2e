//! What a store holds, read by every way there is.

use std::collections::{BTreeMap, BTreeSet};

use craftx_core::{Backend, ErrorKind, Message, MessageQuery, Metadata, Result, SessionId, SessionQuery, Stamp};
use craftx_integration_tests::faults::{Batch, Key, keys, system};
use futures_executor::block_on;

/// One session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SessionState {
    pub(crate) messages: Vec<Message>,
    records: BTreeSet<String>,
    version: Option<Stamp>,
    metadata: Metadata,
}

/// All sessions that are worked on.
pub(crate) type State = BTreeMap<Key, SessionState>;

/// Reads everything.
pub(crate) fn read(store: &dyn Backend) -> Result<State> {
    keys().into_iter().map(|key| read_session(store, key).map(|state| (key, state))).collect()
}

/// Reads one session.
pub(crate) fn read_session(store: &dyn Backend, key: Key) -> Result<SessionState> {
    block_on(session(store, key))
}

impl SessionState {
    /// Whether any record of a batch is there.
    pub(crate) fn shows(&self, batch: &Batch) -> bool {
        batch.records.iter().any(|record| self.records.contains(record.encode().as_str()))
    }
}

async fn session(store: &dyn Backend, key: Key) -> Result<SessionState> {
    let (cx, id) = (system(key.0), SessionId::new(key.1)?);
    let mut state = SessionState::default();
    let mut query = MessageQuery::oldest_first().limit(1_000);
    loop {
        let page = match store.load(&cx, &id, &query).await {
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            page => page?,
        };
        state.messages.extend(page.items);
        match state.messages.last() {
            Some(last) if page.more => query = query.after(last.id),
            _ => break,
        }
    }
    let mut cursor = None;
    loop {
        let changes = store.records(&cx, &id, cursor.as_ref(), Some(1_000)).await?;
        state.records.extend(changes.items.iter().map(|record| record.encode().as_str().to_owned()));
        if changes.done {
            break;
        }
        cursor = Some(changes.next);
    }
    if let Some(session) = store.session(&cx, &id).await? {
        (state.version, state.metadata) = (Some(session.version), session.metadata);
    }
    let listed = store.sessions(&cx, &SessionQuery::new().limit(100)).await?;
    let is_listed = listed.items.iter().any(|session| session.id == id);
    assert_eq!(is_listed, state.version.is_some(), "a session is listed if and only if it exists");
    Ok(state)
}

/// In which way two states of a session differ; no content of it.
pub(crate) fn difference(found: &SessionState, expected: &SessionState) -> String {
    let ids = |state: &SessionState| state.messages.iter().map(|message| message.id).collect::<Vec<_>>();
    let (have, want) = (ids(found), ids(expected));
    let without = |all: &[Stamp], other: &[Stamp]| {
        let other: BTreeSet<_> = other.iter().collect();
        all.iter().filter(|id| !other.contains(id)).count()
    };
    let twice = have.len() - have.iter().collect::<BTreeSet<_>>().len();
    format!(
        "{} messages are missing, {} nobody wrote or are dead, {twice} are there twice; equal: messages {}, records {}, \
         version {}, metadata {}",
        without(&want, &have),
        without(&have, &want),
        found.messages == expected.messages,
        found.records == expected.records,
        found.version == expected.version,
        found.metadata == expected.metadata,
    )
}
