//! Stamps of messages that come from elsewhere: the same message at the same place always gets the same stamp, so that
//! importing it a second time changes nothing.

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use craftx_core::{Error, Metadata, Record, Result, SessionId, Stamp, Time};

/// Stamps the messages of one session in their order; `docs/formats.md`, section 1, says how.
#[derive(Debug)]
pub(crate) struct Stamper {
    session: SessionId,
    /// How many messages went before.
    index: u32,
    /// The greatest time so far: order is by position, and a time that runs backwards does not move a message.
    ms: u64,
    /// What other programs call the messages, for those that name their parent.
    ids: HashMap<String, Stamp>,
}

impl Stamper {
    pub(crate) fn new(session: SessionId) -> Self {
        Self { session, index: 0, ms: 0, ids: HashMap::new() }
    }

    pub(crate) fn session(&self) -> &SessionId {
        &self.session
    }

    /// The stamp of the next message.
    pub(crate) fn next(&mut self, time: Option<&Time>, own_id: Option<&str>) -> Result<Stamp> {
        self.ms = time.map_or(0, millis).max(self.ms);
        let hash = match own_id {
            Some(own_id) => self.hash("id", own_id),
            None => self.hash("position", &self.index.to_string()),
        };
        self.skip()?;
        let stamp = Stamp::imported(self.ms, self.index, hash)?;
        if let Some(own_id) = own_id {
            self.ids.insert(own_id.to_owned(), stamp);
        }
        Ok(stamp)
    }

    /// Leaves the place of a message free that could not be read, so that the others keep theirs when it can.
    pub(crate) fn skip(&mut self) -> Result<()> {
        let next = self.index.checked_add(1);
        self.index = next.ok_or_else(|| Error::invalid("messages", "there are too many"))?;
        Ok(())
    }

    /// How many messages have a place so far.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The stamp of an earlier message, by what its program calls it.
    pub(crate) fn stamp_of(&self, own_id: &str) -> Option<Stamp> {
        self.ids.get(own_id).copied()
    }

    /// The record of what is known of the session, which lies below its first message.
    pub(crate) fn metadata(&self, metadata: &Metadata, first: Option<&Time>) -> Result<Record> {
        let stamp = Stamp::imported(first.map_or(0, millis), 0, self.hash("metadata", ""))?;
        let set = metadata.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        Ok(Record::Session { stamp, set })
    }

    fn hash(&self, kind: &str, item: &str) -> u64 {
        Stamp::source_hash(kind, &self.session, item)
    }
}

fn millis(time: &Time) -> u64 {
    time.at().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
