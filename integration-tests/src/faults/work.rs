//! The work: batches of records, each a pure function of the seed and its number.

use std::collections::BTreeMap;

use craftx_core::{Context, DynBackend, Message, Record, Result, Role, SessionId, Stamp, WriteOptions, Written};

use super::{Dice, system};

/// Tenant and session.
pub type Key = (&'static str, &'static str);

/// The sessions that are worked on: names that file systems confuse, and two tenants.
pub fn keys() -> [Key; 4] {
    [("default", "a"), ("default", "A"), ("default", "täglich/1"), ("acme", "a")]
}

/// How many batches back a deletion looks for its victim.
const REACH: u64 = 12;
const EPOCH_MS: u64 = 1_700_000_000_000;

/// All batches of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// What everything follows from.
    pub seed: u64,
}

/// What one write writes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which of all.
    pub number: u64,
    /// Where it goes.
    pub key: Key,
    /// What it holds.
    pub records: Vec<Record>,
}

impl Work {
    /// The batch of a number.
    ///
    /// # Errors
    /// None as long as stamps can be minted, which is for millions of years.
    pub fn batch(self, number: u64) -> Result<Batch> {
        let mut dice = Dice::of(self.seed, number);
        let key = self.key(number);
        let mut records = Vec::new();
        match dice.below(12) {
            0 => records.extend(self.deletion(number)?),
            1 => {
                let set = BTreeMap::from([(format!("k{}", dice.below(3)), Some(number.into()))]);
                records.push(Record::Session { stamp: self.stamp(number, 0)?, set });
            }
            2 if dice.once_in(4) => {
                if let Some(before) = number.checked_sub(REACH) {
                    let through = self.stamp(before, 0)?;
                    records.push(Record::Cleared { through, stamp: self.stamp(number, 0)? });
                }
            }
            _ => {}
        }
        let messages = if dice.once_in(2) { 1 } else { 2 + dice.below(4) };
        for part in 1..=messages {
            let length = match dice.below(6) {
                0 => 500 + dice.below(5_000),
                1 => 200 + dice.below(400),
                _ => dice.below(60),
            };
            let text = format!("{:x}.{number}.{part}/{messages} {}", self.seed, filler(&mut dice, length));
            records.push(Record::Message(Message::new(self.stamp(number, part)?, Role::User, text)));
        }
        Ok(Batch { number, key, records })
    }

    fn key(self, number: u64) -> Key {
        let keys = keys();
        let index = Dice::of(!self.seed, number).below(keys.len() as u64);
        keys.into_iter().nth(index as usize).unwrap_or(("default", "a"))
    }

    /// The deletion of the first message of the last batch of the same session.
    fn deletion(self, number: u64) -> Result<Option<Record>> {
        let key = self.key(number);
        let before = (number.saturating_sub(REACH)..number).rev().find(|before| self.key(*before) == key);
        let Some(before) = before else { return Ok(None) };
        Ok(Some(Record::Deleted { id: self.stamp(before, 1)?, stamp: self.stamp(number, 0)? }))
    }

    /// Stamps grow with the number and the part, and those of two seeds are different.
    fn stamp(self, number: u64, part: u64) -> Result<Stamp> {
        let random = u128::from(Dice::of(self.seed, number * 16 + part).next());
        Stamp::mint(EPOCH_MS + number * 16 + part, None, random)
    }
}

impl Batch {
    /// Where it goes.
    pub fn session(&self) -> Result<SessionId> {
        SessionId::new(self.key.1)
    }

    /// On whose behalf it is written.
    pub fn context(&self) -> Context {
        system(self.key.0)
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the store says.
    pub fn write(&self, store: &DynBackend) -> Result<Written> {
        let write =
            async { store.write(&self.context(), &self.session()?, &self.records, &WriteOptions::fresh()).await };
        futures_executor::block_on(write)
    }
}

fn filler(dice: &mut Dice, length: u64) -> String {
    let letters = "abcdefghijklmnop qrstuvwxyz\n\"\\";
    (0..length).filter_map(|_| letters.chars().nth(dice.below(letters.len() as u64) as usize)).collect()
}
