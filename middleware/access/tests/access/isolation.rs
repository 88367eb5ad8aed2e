//! Tenants see nothing of each other, and principals nothing that is not theirs, whatever they do.
//!
//! `CRAFTX_FAULTS=long` makes 100,000 calls for each of eight tenants, anything else 2,000.

use std::collections::BTreeSet;
use std::sync::Arc;

use craftx_access::{Access, Action, Grantee, Guard, Rule, Rules};
use craftx_core::{
    Backend, Caller, Context, Include, Memory, Message, MessageQuery, Record, Role, SearchQuery, SessionQuery, Stack,
    Tenant, WriteOptions,
};
use futures_executor::block_on;

use crate::house::{Random, at, name};

const TENANTS: usize = 8;
/// More are never deleted, because they were never written.
const STAMPS: usize = 200;
const PRINCIPALS: [&str; 3] = ["ann", "bob", "carl"];
const SESSIONS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What one tenant does, and what it has seen.
struct Life {
    tenant: Tenant,
    random: Random,
    deleted: BTreeSet<u64>,
    seen: u64,
}

impl Life {
    fn cx(&mut self) -> (Context, &'static str) {
        let who = PRINCIPALS[self.random.below(PRINCIPALS.len())];
        let cx = Context::new(self.tenant.clone()).with_caller(Caller::principal(who, ["member"]));
        (cx, who)
    }

    /// Every text says whose it is.
    fn check(&mut self, message: &Message) {
        let text = message.text().unwrap();
        assert!(text.starts_with(&format!("of {} ", self.tenant)), "{} sees {text}", self.tenant);
        self.seen += 1;
    }

    fn step(&mut self, store: &dyn Backend, guard: &Guard) {
        let (cx, who) = self.cx();
        let session = name(SESSIONS[self.random.below(SESSIONS.len())]);
        match self.random.below(10) {
            0..3 => {
                // A few stamps again and again, so that a long life does not end in a slow search.
                let id = 1 + self.random.below(STAMPS) as u64;
                let text = format!("of {} by {who} in {session}", self.tenant);
                let message = Record::Message(Message::new(at(id), Role::User, text));
                let _ = block_on(store.write(&cx, &session, &[message], &WriteOptions::fresh()));
            }
            3 => {
                if let Ok(page) = block_on(store.load(&cx, &session, &MessageQuery::newest_first().limit(5))) {
                    // Whoever reads it owns it or was granted it: a list shows the same.
                    let own = block_on(store.session(&cx, &session)).unwrap().expect("what can be read can be seen");
                    let granted = own.grants.iter().any(|grant| grant.to == who || grant.to == "role:member");
                    assert!(own.owner.as_deref() == Some(who) || granted, "{who} reads {session} of {:?}", own.owner);
                    page.items.iter().for_each(|message| self.check(message));
                }
            }
            // A search in memory looks at every message.
            5 if self.random.percent(10) => {
                let query = SearchQuery::new(format!("of tenant by {who}")).limit(5);
                let page = block_on(store.search(&cx, &query)).unwrap();
                page.items.iter().for_each(|hit| self.check(&hit.message));
            }
            4 | 5 => {
                let query = SessionQuery::new().include(Include::All).limit(1 + self.random.below(4) as u32);
                let page = block_on(store.sessions(&cx, &query)).unwrap();
                for found in page.items {
                    let granted = found.grants.iter().any(|grant| grant.to == who || grant.to == "role:member");
                    assert!(found.owner.as_deref() == Some(who) || granted, "{who} lists {:?}", found.id);
                }
            }
            6 => {
                if let Ok(part) = block_on(store.records(&cx, &session, None, Some(5))) {
                    let messages = part.items.iter().filter_map(|record| match record {
                        Record::Message(message) => Some(message),
                        _ => None,
                    });
                    messages.for_each(|message| self.check(message));
                }
            }
            7 => {
                let id = 1 + self.random.below(STAMPS * 20) as u64;
                let deletion = Record::Deleted { id: at(id), stamp: at(1_000_000) };
                if block_on(store.write(&cx, &session, &[deletion], &WriteOptions::fresh())).is_ok() {
                    self.deleted.insert(id);
                }
            }
            8 => {
                let to = match self.random.below(4) {
                    0 => Grantee::role("member").unwrap(),
                    _ => Grantee::principal(PRINCIPALS[self.random.below(PRINCIPALS.len())]).unwrap(),
                };
                let _ = block_on(guard.grant(&cx, &session, &to, [Action::Read]));
            }
            _ => {
                for to in PRINCIPALS {
                    let _ = block_on(guard.revoke(&cx, &session, &Grantee::principal(to).unwrap()));
                }
                let _ = block_on(guard.revoke(&cx, &session, &Grantee::role("member").unwrap()));
                // What cannot be asked for tells nothing either.
                assert!(block_on(store.status(&cx)).is_err() && block_on(store.tenants(&cx, None)).is_err());
            }
        }
    }
}

#[test]
fn tenants_and_principals_see_nothing_that_is_not_theirs() {
    let steps = if crate::house::is_long() { 100_000 } else { 2_000 };
    let rules = Rules::new().allow(Rule::new().roles(["member"]).create(true));
    let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(Access::new(rules).unwrap()).build().unwrap();
    let seed = crate::house::seed();
    let tasks: Vec<_> = (0..TENANTS)
        .map(|number| {
            let stack = stack.clone();
            std::thread::spawn(move || {
                let mut life = Life {
                    tenant: Tenant::new(format!("tenant{number}")).unwrap(),
                    random: Random::new(seed ^ number as u64),
                    deleted: BTreeSet::new(),
                    seen: 0,
                };
                let guard = stack.find::<Guard>().unwrap();
                (0..steps).for_each(|_| life.step(&**stack.backend(), guard));
                (life.seen, life.deleted.len())
            })
        })
        .collect();
    for task in tasks {
        let (seen, deleted) = task.join().unwrap();
        assert!(seen > steps / 10 && deleted > 0, "too little was seen to prove anything: {seen}, {deleted}");
    }
}
