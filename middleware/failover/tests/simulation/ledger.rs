//! What was tried and what was acknowledged, and whether the stores agree with it.

use std::collections::BTreeMap;

use craftx_core::union::SessionSet;
use craftx_core::{Message, Messages, Record, SessionId, Stamp, Tenant, WriteOptions};

pub(crate) type Place = (Tenant, SessionId);

/// Every write of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    places: BTreeMap<Place, Vec<Entry>>,
    pub(crate) acknowledged: u64,
    /// How many legs were replaced: what was acknowledged by one of them meanwhile may be lost.
    pub(crate) replaced: u64,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// How many tries were not refused: as long as there is none, nobody may have it.
    tries: u64,
    /// Which lives of which handles were told that it is durable.
    told: Vec<u64>,
}

pub(crate) fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> SessionSet<Message> {
    let mut set = SessionSet::new();
    for record in records {
        set.replay(record, record.identity(), Message::clone);
    }
    set
}

fn adds_nothing<'a>(set: &SessionSet<Message>, records: impl IntoIterator<Item = &'a Record>) -> Result<(), String> {
    let records: Vec<Record> = records.into_iter().cloned().collect();
    let plan = set.plan(&records, &WriteOptions::replay()).unwrap();
    match plan.store.first() {
        None => Ok(()),
        Some(planned) => Err(format!("{:?}", planned.record)),
    }
}

impl Ledger {
    pub(crate) fn try_write(&mut self, place: &Place, records: &[Record]) {
        let entries = self.places.entry(place.clone()).or_default();
        for record in records {
            match entries.iter_mut().find(|entry| entry.record == *record) {
                Some(entry) => entry.tries += 1,
                None => entries.push(Entry { record: record.clone(), tries: 1, told: Vec::new() }),
            }
        }
    }

    /// The try ended in an error that says that nothing was done.
    pub(crate) fn refused(&mut self, place: &Place, records: &[Record]) {
        for entry in self.places.entry(place.clone()).or_default() {
            if records.contains(&entry.record) {
                entry.tries -= 1;
            }
        }
    }

    /// The write that began after so many replacements was acknowledged.
    pub(crate) fn acknowledge(&mut self, place: &Place, records: &[Record], life: u64, replaced: u64) {
        self.acknowledged += 1;
        if replaced != self.replaced {
            return;
        }
        for entry in self.places.entry(place.clone()).or_default() {
            if records.contains(&entry.record) {
                entry.told.push(life);
            }
        }
    }

    /// A leg is gone: what no other one has may be lost.
    pub(crate) fn forgive(&mut self, left: impl Fn(&Place) -> Vec<Record>) {
        self.replaced += 1;
        for (place, entries) in &mut self.places {
            let set = fold(&left(place));
            for entry in entries {
                if adds_nothing(&set, [&entry.record]).is_err() {
                    entry.told.clear();
                }
            }
        }
    }

    /// The messages that a read must have: told to this life, or to anybody, and killed by nothing that was ever tried.
    pub(crate) fn owed(&self, place: &Place, life: Option<u64>) -> Vec<Stamp> {
        let Some(entries) = self.places.get(place) else { return Vec::new() };
        let everything = fold(entries.iter().map(|entry| &entry.record));
        let told = |entry: &&Entry| match life {
            Some(life) => entry.told.contains(&life),
            None => !entry.told.is_empty(),
        };
        let told = fold(entries.iter().filter(told).map(|entry| &entry.record));
        let alive: Vec<Stamp> = everything.bodies().map(|(id, _)| id).collect();
        told.bodies().map(|(id, _)| id).filter(|id| alive.contains(id)).collect()
    }

    /// A message that was acknowledged to this life, to be deleted, say.
    pub(crate) fn greatest(&self, place: &Place) -> Option<Stamp> {
        self.places.get(place)?.iter().map(|entry| entry.record.stamp()).max()
    }

    /// Whether what was read has all that it must, nothing twice, and nothing that nobody wrote.
    pub(crate) fn check_read(&self, place: &Place, owed: &[Stamp], page: &Messages) -> Result<(), String> {
        let found: Vec<Stamp> = page.items.iter().map(|message| message.id).collect();
        if let Some(missing) = owed.iter().find(|id| !found.contains(id)) {
            return Err(format!("a read of {place:?} lacks {missing}"));
        }
        if !found.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(format!("a read of {place:?} is out of order or has something twice"));
        }
        let entries = self.places.get(place).map(Vec::as_slice).unwrap_or_default();
        let known = |message: &Message| entries.iter().any(|entry| entry.record == Record::Message(message.clone()));
        match page.items.iter().find(|message| !known(message)) {
            Some(message) => Err(format!("a read of {place:?} has {message:?}, which nobody wrote")),
            None => Ok(()),
        }
    }

    /// Whether the records of a leg are all that was acknowledged and nothing that was not tried.
    pub(crate) fn check_leg(&self, leg: usize, read: impl Fn(&Place) -> Vec<Record>) -> Result<(), String> {
        for (place, entries) in &self.places {
            let records = read(place);
            let told = entries.iter().filter(|entry| !entry.told.is_empty()).map(|entry| &entry.record);
            adds_nothing(&fold(&records), told)
                .map_err(|lost| format!("leg {leg}: {place:?} has lost {lost}, which was acknowledged"))?;
            let tried = entries.iter().filter(|entry| entry.tries > 0).map(|entry| &entry.record);
            adds_nothing(&fold(tried), &records)
                .map_err(|odd| format!("leg {leg}: {place:?} has {odd}, which nobody wrote, or was refused"))?;
        }
        Ok(())
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.keys()
    }
}
