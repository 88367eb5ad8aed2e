//! What users do all day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use craftx_core::{
    Backend, Clock, Context, ErrorKind, Expect, MAX_PAGE, Message, MessageQuery, Outcome, Record, Role, SessionId,
    SessionQuery, Stamp, Tenant, WriteOptions,
};

use super::ledger::Place;
use super::world::World;
use crate::Failover;

/// One user of one life of a process.
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) failover: Failover,
    pub(crate) life: u64,
}

impl Client {
    /// Does something until the work of the run is done.
    pub(crate) async fn run(self) -> Result<(), String> {
        while self.world.take_work() {
            let pause = self.world.below(6) * if self.world.busy { 15 } else { 150 };
            self.world.clock().sleep(Duration::from_millis(pause)).await;
            let place = self.place();
            match self.world.below(20) {
                0..=8 => self.append(&place).await,
                9 => self.delete(&place).await,
                10 => self.clear(&place).await,
                11 | 12 => self.title(&place).await,
                13 => self.append_expecting(&place).await,
                14 => self.list(&place.0).await?,
                15 if self.world.busy || self.world.below(2) == 0 => self.write_another(&place).await,
                16 if self.world.busy => self.write_another(&place).await,
                _ => self.read(&place).await?,
            }
        }
        Ok(())
    }

    fn place(&self) -> Place {
        if self.world.busy {
            return (Tenant::new("a").unwrap(), SessionId::new("x").unwrap());
        }
        let tenant = Tenant::new(["a", "b"][self.world.below(2) as usize]).unwrap();
        (tenant, SessionId::new(["x", "y", "z"][self.world.below(3) as usize]).unwrap())
    }

    /// Most have a deadline.
    fn cx(&self, tenant: &Tenant) -> Context {
        let cx = Context::system(tenant.clone()).with_clock(self.world.clock());
        match self.world.below(4) {
            0 => cx,
            _ => cx.with_timeout(Duration::from_millis(300 + self.world.below(4_000))),
        }
    }

    fn mint(&self, place: &Place, after: Option<Stamp>) -> Stamp {
        let wall = self.world.clock().wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        // Users know what they have seen, and sometimes nothing.
        let seen = if self.world.below(3) == 0 { None } else { self.world.ledger().greatest(place) };
        Stamp::mint(wall, seen.max(after), u128::from(self.world.below(u64::MAX))).unwrap()
    }

    async fn append(&self, place: &Place) {
        let mut records = Vec::new();
        let mut last = None;
        for _ in 0..=self.world.below(3) {
            let id = self.mint(place, last);
            last = Some(id);
            records.push(Record::Message(Message::new(id, Role::User, id.to_string())));
        }
        self.write(place, &records, Expect::Anything).await;
    }

    async fn delete(&self, place: &Place) {
        let owed = self.world.ledger().owed(place, None);
        if owed.is_empty() {
            return;
        }
        let id = owed[self.world.below(owed.len() as u64) as usize];
        let stamp = self.mint(place, Some(id));
        self.write(place, &[Record::Deleted { id, stamp }], Expect::Anything).await;
    }

    async fn clear(&self, place: &Place) {
        let owed = self.world.ledger().owed(place, None);
        let Some(through) = owed.get(owed.len() / 2).copied() else { return };
        let stamp = self.mint(place, Some(through));
        self.write(place, &[Record::Cleared { through, stamp }], Expect::Anything).await;
    }

    async fn title(&self, place: &Place) {
        let key = format!("k{}", self.world.below(2));
        let value = (self.world.below(4) > 0).then(|| self.world.below(100).into());
        let record = Record::Session { stamp: self.mint(place, None), set: BTreeMap::from([(key, value)]) };
        self.write(place, &[record], Expect::Anything).await;
    }

    /// Writes a message under an id that has another one, or is just being written.
    async fn write_another(&self, place: &Place) {
        let owed = self.world.ledger().owed(place, None);
        let id = match self.world.below(2) {
            _ if self.world.busy => self.world.ledger().greatest(place),
            0 => self.world.ledger().greatest(place),
            _ => owed.get(self.world.below(owed.len() as u64) as usize).copied(),
        };
        let Some(id) = id else { return };
        let other = format!("not {id} but {}", self.world.below(1_000));
        self.write(place, &[Record::Message(Message::new(id, Role::User, other))], Expect::Anything).await;
    }

    async fn append_expecting(&self, place: &Place) {
        let Ok(session) = self.failover.session(&self.cx(&place.0), &place.1).await else { return };
        let expect = session.map_or(Expect::New, |session| Expect::Version(session.version));
        let id = self.mint(
            place,
            match expect {
                Expect::Version(version) => Some(version),
                _ => None,
            },
        );
        self.write(place, &[Record::Message(Message::new(id, Role::User, id.to_string()))], expect).await;
    }

    /// Writes, and tries again if that can help, as the retry layer does; or gives up.
    async fn write(&self, place: &Place, records: &[Record], expect: Expect) {
        for _ in 0..=self.world.below(4) {
            let cx = self.cx(&place.0);
            let options = WriteOptions::fresh().expecting(expect);
            self.world.ledger().try_write(place, records);
            let (began, replaced) = (self.world.clock().elapsed(), self.world.ledger().replaced);
            let written = self.failover.write(&cx, &place.1, records, &options).await;
            self.world.in_time(&cx, began);
            self.world.tell(|| format!("life {} wrote {place:?} {records:?}: {written:?}", self.life));
            match written {
                Ok(_) => {
                    self.world.note(1);
                    return self.world.ledger().acknowledge(place, records, self.life, replaced);
                }
                Err(error) => {
                    self.world.note(2 + error.kind() as u64);
                    if error.outcome() == Outcome::NotApplied {
                        self.world.ledger().refused(place, records);
                    }
                    let pause = self.world.below(1_500);
                    self.world.clock().sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    }

    /// What this read must have: all that this life was told, and all that anybody was, where this handle knows of it.
    fn owed(&self, place: &Place) -> Vec<Stamp> {
        let ledger = self.world.ledger();
        if self.world.is_blind() {
            return Vec::new();
        }
        let state = self.failover.0.state();
        let knows_all = !self.world.shared_legs && state.identities.all_marks_read();
        ledger.owed(place, if knows_all { None } else { Some(self.life) })
    }

    async fn read(&self, place: &Place) -> Result<(), String> {
        let before = self.owed(place);
        let told = self.world.told_while_unsure(place, &self.failover);
        let cx = self.cx(&place.0);
        let began = self.world.clock().elapsed();
        let query = MessageQuery::oldest_first().limit(MAX_PAGE);
        let page = self.failover.load(&cx, &place.1, &query).await;
        self.world.in_time(&cx, began);
        let page = match page {
            Ok(page) => page,
            Err(error) if error.kind() == ErrorKind::NotFound => Default::default(),
            Err(_) => return Ok(()),
        };
        self.world.tell(|| format!("life {} read {place:?}: {} messages", self.life, page.items.len()));
        self.world.note(50 + page.items.len() as u64);
        // What was deleted or lost in the meantime need not be there.
        let after = self.owed(place);
        let owed: Vec<Stamp> = before.into_iter().filter(|id| after.contains(id)).collect();
        self.world.read();
        let still = self.world.told_while_unsure(place, &self.failover);
        if page.items.is_empty() && told.iter().any(|id| still.contains(id)) {
            return Err(format!("a read of {place:?} says that there is nothing while that cannot be known"));
        }
        self.world.ledger().check_read(place, &owed, &page)
    }

    async fn list(&self, tenant: &Tenant) -> Result<(), String> {
        let places: Vec<Place> = self.world.ledger().places().filter(|place| place.0 == *tenant).cloned().collect();
        let before: Vec<_> = places.into_iter().map(|place| (self.owed(&place), place)).collect();
        let cx = self.cx(tenant);
        let began = self.world.clock().elapsed();
        let page = self.failover.sessions(&cx, &SessionQuery::new()).await;
        self.world.in_time(&cx, began);
        let Ok(page) = page else { return Ok(()) };
        for (owed, place) in before {
            let after = self.owed(&place);
            let still = owed.iter().any(|id| after.contains(id));
            if still && !page.items.iter().any(|session| session.id == place.1) {
                return Err(format!("a list lacks {place:?}"));
            }
        }
        Ok(())
    }
}
