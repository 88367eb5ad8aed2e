//! A guarded store in memory, and short spellings.

use std::sync::Arc;

use craftx_access::{Access, Action, Guard, Rule, Rules};
use craftx_core::{
    Backend, Caller, Context, Error, Layer, Memory, Message, MessageQuery, Record, Result, Role, SessionId,
    SessionQuery, Stack, Stamp, Tenant, WriteOptions, Written,
};
use futures_executor::block_on;

/// A stack with the layer, and what lies below it.
pub(crate) struct House {
    pub(crate) stack: Stack,
}

impl House {
    pub(crate) fn new(rules: Rules) -> Self {
        Self::with(Access::new(rules).unwrap())
    }

    pub(crate) fn with(access: impl Layer) -> Self {
        Self { stack: Stack::builder("memory", Arc::new(Memory::new())).layer(access).build().unwrap() }
    }

    pub(crate) fn store(&self) -> &dyn Backend {
        &**self.stack.backend()
    }

    /// The store without the layer.
    pub(crate) fn below(&self) -> &dyn Backend {
        &**self.stack.below(craftx_core::Slot::Access).unwrap()
    }

    pub(crate) fn guard(&self) -> &Guard {
        self.stack.find::<Guard>().unwrap()
    }

    pub(crate) fn say(&self, cx: &Context, session: &str, ms: u64) -> Result<Written> {
        self.write(cx, session, &[text(ms)])
    }

    pub(crate) fn write(&self, cx: &Context, session: &str, records: &[Record]) -> Result<Written> {
        block_on(self.store().write(cx, &name(session), records, &WriteOptions::fresh()))
    }

    pub(crate) fn read(&self, cx: &Context, session: &str) -> Result<usize> {
        let page = block_on(self.store().load(cx, &name(session), &MessageQuery::oldest_first()))?;
        Ok(page.items.len())
    }

    pub(crate) fn owner(&self, session: &str) -> Option<String> {
        let found = block_on(self.below().session(&Context::system(Tenant::default()), &name(session))).unwrap();
        found.and_then(|found| found.owner)
    }
}

pub(crate) fn name(session: &str) -> SessionId {
    SessionId::new(session).unwrap()
}

pub(crate) fn at(ms: u64) -> Stamp {
    Stamp::mint(ms, None, 0).unwrap()
}

pub(crate) fn text(ms: u64) -> Record {
    Record::Message(Message::new(at(ms), Role::User, format!("message {ms}")))
}

pub(crate) fn system() -> Context {
    Context::system(Tenant::default())
}

pub(crate) fn nobody() -> Context {
    Context::new(Tenant::default())
}

/// A principal, with roles after a colon: `ann:editor,support`.
pub(crate) fn as_one(who: &str) -> Context {
    let (id, roles) = who.split_once(':').unwrap_or((who, ""));
    let roles = roles.split(',').filter(|role| !role.is_empty());
    Context::new(Tenant::default()).with_caller(Caller::principal(id, roles))
}

/// Everything that a caller can see of an error.
pub(crate) fn bytes(error: &Error) -> String {
    format!("{error}|{error:?}|{:?}|{:?}|{:?}", error.kind(), error.retry(), error.context().collect::<Vec<_>>())
}

/// Everybody may start sessions; an `operator` may do everything, a `reader` may read everything.
pub(crate) fn rules() -> Rules {
    let reading = [Action::Read, Action::List, Action::Search];
    Rules::new()
        .allow(Rule::new().create(true))
        .allow(Rule::new().roles(["operator"]).actions(Action::ALL))
        .allow(Rule::new().roles(["reader"]).actions(reading))
}

pub(crate) fn house() -> House {
    House::new(rules())
}

pub(crate) fn acl(ms: u64, owner: &str) -> Record {
    Record::Acl { stamp: at(ms), owner: Some(owner.to_owned()), grants: Vec::new() }
}

pub(crate) fn listed(house: &House, cx: &Context, query: SessionQuery) -> Vec<String> {
    let page = block_on(house.store().sessions(cx, &query)).unwrap();
    page.items.iter().map(|session| session.id.as_str().to_owned()).collect()
}

pub(crate) fn grant(house: &House, by: &str, session: &str, to: &str, actions: &[Action]) -> Result<()> {
    block_on(house.guard().grant(&as_one(by), &name(session), &to.parse()?, actions.iter().copied()))
}

/// Whether `CRAFTX_FAULTS=long` asks for the long form of the random tests.
pub(crate) fn is_long() -> bool {
    std::env::var("CRAFTX_FAULTS").as_deref() == Ok("long")
}

/// The seed of the random tests; `CRAFTX_FAULTS_SEED` repeats one.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("CRAFTX_FAULTS_SEED").ok();
    let seed = given.map_or_else(|| craftx_core::random_bits() as u64, |seed| seed.parse().unwrap());
    println!("repeat with CRAFTX_FAULTS_SEED={seed}");
    seed
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * end as u128) >> 64) as usize
    }

    pub(crate) fn percent(&mut self, of: usize) -> bool {
        self.below(100) < of
    }

    pub(crate) fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Each of them with this chance.
    pub(crate) fn some<T: Copy>(&mut self, all: &[T], percent: usize) -> Vec<T> {
        all.iter().copied().filter(|_| self.percent(percent)).collect()
    }

    /// A list of some, or `None` for all.
    pub(crate) fn list<T: Copy>(&mut self, all: &[T]) -> Option<Vec<T>> {
        let some = self.some(all, 40);
        (self.percent(60) && !some.is_empty()).then_some(some)
    }
}
