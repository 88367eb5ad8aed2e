//! A million random questions, answered by the layer and by a reference that is as simple as the rules read.
//!
//! `CRAFTX_FAULTS=long` asks a million, anything else 50,000. `CRAFTX_FAULTS_SEED=n` repeats the choices.

use std::sync::Arc;

use craftx_access::{Access, AccessConfig, Action, Guard, Rule, Rules};
use craftx_core::{
    Caller, Compact, Context, DynBackend, ErrorKind, Grant, Layer, Memory, Message, MessageQuery, Record, Role,
    SearchQuery, SessionQuery, Tenant, WriteOptions,
};
use futures_executor::block_on;

use crate::house::{Random, at, name};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const PRINCIPALS: [&str; 5] = ["ann", "bob", "carl", "dora", "editor"];
const ROLES: [&str; 4] = ["*", "editor", "support", "intern"];
const SESSIONS: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "missing"];

/// The rules, as plain as they can be.
#[derive(Debug, Default)]
struct Plain {
    allow: Vec<Allow>,
    forbid: Vec<Forbid>,
}

#[derive(Debug)]
struct Allow {
    role: &'static str,
    tenants: Option<Vec<&'static str>>,
    create: bool,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Forbid {
    principals: Option<Vec<&'static str>>,
    roles: Option<Vec<&'static str>>,
    tenants: Option<Vec<&'static str>>,
    actions: Option<Vec<Action>>,
}

/// A session: owner, grants.
#[derive(Clone, Debug)]
struct Owned {
    owner: Option<&'static str>,
    grants: Vec<(String, Vec<Action>)>,
}

#[derive(Debug)]
struct Asker {
    tenant: &'static str,
    id: &'static str,
    roles: Vec<&'static str>,
}

impl Plain {
    fn random(random: &mut Random) -> Self {
        let mut plain = Self::default();
        for role in random.some(&ROLES, 60) {
            let mut actions = random.some(&Action::ALL, 35);
            if actions.contains(&Action::Search) && !actions.contains(&Action::Read) {
                actions.push(Action::Read);
            }
            let (tenants, create) = (random.list(&TENANTS), random.percent(50));
            plain.allow.push(Allow { role, tenants, create, actions });
        }
        for _ in 0..random.below(3) {
            plain.forbid.push(Forbid {
                principals: random.list(&PRINCIPALS),
                roles: random.list(&ROLES),
                tenants: random.list(&TENANTS),
                actions: random.list(&Action::ALL),
            });
        }
        plain
    }

    fn rules(&self) -> Rules {
        let mut rules = Rules::new();
        for Allow { role, tenants, create, actions } in &self.allow {
            let mut rule = Rule::new().roles([*role]).create(*create);
            if !actions.is_empty() {
                rule = rule.actions(actions.iter().copied());
            }
            if let Some(tenants) = tenants {
                rule = rule.tenants(tenants);
            }
            if *create || !actions.is_empty() {
                rules = rules.allow(rule);
            }
        }
        for forbid in &self.forbid {
            let mut rule = Rule::new();
            if let Some(names) = &forbid.principals {
                rule = rule.principals(names.iter().copied());
            }
            if let Some(names) = &forbid.roles {
                rule = rule.roles(names.iter().copied());
            }
            if let Some(tenants) = &forbid.tenants {
                rule = rule.tenants(tenants);
            }
            if let Some(actions) = &forbid.actions {
                rule = rule.actions(actions.iter().copied());
            }
            rules = rules.forbid(rule);
        }
        rules
    }

    fn has(asker: &Asker, role: &str) -> bool {
        role == "*" || asker.roles.contains(&role)
    }

    fn forbidden(&self, asker: &Asker, action: Action) -> bool {
        self.forbid.iter().any(|rule| {
            let by_name = rule.principals.as_ref().map(|names| names.contains(&asker.id));
            let by_role = rule.roles.as_ref().map(|names| names.iter().any(|role| Self::has(asker, role)));
            let whom = match (by_name, by_role) {
                (None, None) => true,
                (name, role) => name == Some(true) || role == Some(true),
            };
            whom && rule.tenants.as_ref().is_none_or(|tenants| tenants.contains(&asker.tenant))
                && rule.actions.as_ref().is_none_or(|actions| actions.contains(&action))
        })
    }

    /// Whether a role allows it with every session of the tenant.
    fn everywhere(&self, asker: &Asker, action: Action) -> bool {
        !self.forbidden(asker, action)
            && self.allow.iter().any(|Allow { role, tenants, actions, .. }| {
                Self::has(asker, role)
                    && tenants.as_ref().is_none_or(|tenants| tenants.contains(&asker.tenant))
                    && actions.contains(&action)
            })
    }

    fn may_start(&self, asker: &Asker) -> bool {
        let creates = self.allow.iter().any(|Allow { role, tenants, create, .. }| {
            *create && Self::has(asker, role) && tenants.as_ref().is_none_or(|tenants| tenants.contains(&asker.tenant))
        });
        !self.forbidden(asker, Action::Append) && (creates || self.everywhere(asker, Action::Append))
    }

    fn granted<'a>(asker: &Asker, session: &'a Owned) -> Vec<&'a Vec<Action>> {
        let for_asker = |to: &str| match to.strip_prefix("role:") {
            Some(role) => Self::has(asker, role),
            None => to == asker.id,
        };
        session.grants.iter().filter(|(to, _)| for_asker(to)).map(|(_, actions)| actions).collect()
    }

    /// Whether it is allowed with this session.
    fn may(&self, asker: &Asker, session: &Owned, action: Action) -> bool {
        if self.forbidden(asker, action) {
            return false;
        }
        let owns = session.owner == Some(asker.id) && action != Action::Admin;
        let grants = Self::granted(asker, session);
        let shows = matches!(action, Action::List | Action::Search) && !grants.is_empty();
        owns || shows || grants.iter().any(|actions| actions.contains(&action)) || self.everywhere(asker, action)
    }

    fn sees(&self, asker: &Asker, session: &Owned) -> bool {
        self.may(asker, session, Action::List) || self.may(asker, session, Action::Read)
    }

    /// What a call about one session comes to.
    fn verdict(&self, asker: &Asker, session: Option<&Owned>, action: Action) -> Option<ErrorKind> {
        match session {
            None => Some(ErrorKind::NotFound),
            Some(session) if self.may(asker, session, action) => None,
            Some(session) if self.sees(asker, session) => Some(ErrorKind::PermissionDenied),
            Some(_) => Some(ErrorKind::NotFound),
        }
    }
}

/// A store with the sessions of all tenants, known to the reference.
struct World {
    store: DynBackend,
    sessions: Vec<(&'static str, &'static str, Owned)>,
}

impl World {
    fn random(random: &mut Random, rules: Rules) -> Self {
        let medium: DynBackend = Arc::new(Memory::new());
        let mut sessions = Vec::new();
        for tenant in TENANTS {
            for session in &SESSIONS[..5] {
                let mut grants = Vec::new();
                for _ in 0..random.below(3) {
                    let to = match random.percent(50) {
                        true => random.one(&PRINCIPALS).to_owned(),
                        false => format!("role:{}", random.one(&ROLES)),
                    };
                    let mut actions =
                        random.some(&[Action::Append, Action::Delete, Action::Update, Action::Export], 40);
                    actions.push(Action::Read);
                    grants.push((to, actions));
                }
                let owner = random.percent(85).then(|| random.one(&PRINCIPALS));
                if owner.is_none() {
                    grants.clear();
                }
                let owned = Owned { owner, grants };
                Self::put(&medium, tenant, session, &owned);
                sessions.push((tenant, *session, owned));
            }
        }
        let access = Access::new(rules).unwrap().config(AccessConfig::default()).unwrap();
        Self { store: access.apply(medium).unwrap(), sessions }
    }

    fn put(medium: &DynBackend, tenant: &str, session: &str, owned: &Owned) {
        let message = Message::new(at(1_000), Role::User, format!("of {tenant} {session}"));
        let mut records = vec![Record::Message(message)];
        if let Some(owner) = owned.owner {
            let text = |actions: &[Action]| actions.iter().map(|action| action.as_str().to_owned()).collect();
            let grants = owned.grants.iter().map(|(to, actions)| Grant { to: to.clone(), actions: text(actions) });
            records.push(Record::Acl { stamp: at(999), owner: Some(owner.to_owned()), grants: grants.collect() });
        }
        let cx = Context::system(Tenant::new(tenant).unwrap());
        block_on(medium.write(&cx, &name(session), &records, &WriteOptions::fresh())).unwrap();
    }

    fn of<'a>(&'a self, tenant: &str, session: &str) -> Option<&'a Owned> {
        self.sessions.iter().find(|(t, s, _)| (*t, *s) == (tenant, session)).map(|(_, _, owned)| owned)
    }
}

fn kind<T>(result: craftx_core::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// The sessions that a list or a search may show; `None` if it is refused.
fn shown(plain: &Plain, world: &World, asker: &Asker, action: Action) -> Option<Vec<&'static str>> {
    let needed: &[Action] = if action == Action::Search { &[Action::Search, Action::Read] } else { &[Action::List] };
    if needed.iter().any(|action| plain.forbidden(asker, *action)) {
        return None;
    }
    let all = needed.iter().all(|action| plain.everywhere(asker, *action));
    let sessions = world.sessions.iter().filter(|(tenant, _, owned)| {
        *tenant == asker.tenant && (all || owned.owner == Some(asker.id) || !Plain::granted(asker, owned).is_empty())
    });
    Some(sessions.map(|(_, session, _)| *session).collect())
}

/// Asks one question of both.
fn ask(random: &mut Random, plain: &Plain, world: &World) {
    let asker =
        Asker { tenant: random.one(&TENANTS), id: random.one(&PRINCIPALS), roles: random.some(&ROLES[1..], 40) };
    let cx = Context::new(Tenant::new(asker.tenant).unwrap())
        .with_caller(Caller::principal(asker.id, asker.roles.iter().copied()));
    let id = random.one(&SESSIONS);
    let (store, session, owned) = (&world.store, name(id), world.of(asker.tenant, id));
    let write =
        |records: &[Record], options: &WriteOptions| kind(block_on(store.write(&cx, &session, records, options)));
    // What is written is there already or above all else, so that nothing changes but the answers.
    let operation = random.below(12);
    let (found, wanted) = match operation {
        0 => {
            let query = MessageQuery::oldest_first();
            (kind(block_on(store.load(&cx, &session, &query))), plain.verdict(&asker, owned, Action::Read))
        }
        1 => {
            let found = block_on(store.session(&cx, &session)).unwrap().is_some();
            let wanted = owned.is_some_and(|owned| plain.sees(&asker, owned));
            ((!found).then_some(ErrorKind::NotFound), (!wanted).then_some(ErrorKind::NotFound))
        }
        2 => {
            let found = kind(block_on(store.records(&cx, &session, None, None)));
            let wanted = match owned {
                None if plain.everywhere(&asker, Action::Export) => None,
                owned => plain.verdict(&asker, owned, Action::Export),
            };
            (found, wanted)
        }
        3 if owned.is_some() => {
            let again = Message::new(at(1_000), Role::User, format!("of {} {id}", asker.tenant));
            let found = write(&[Record::Message(again)], &WriteOptions::fresh());
            (found, plain.verdict(&asker, owned, Action::Append))
        }
        // Whoever may not start a session is told that it is not there.
        3 if !plain.may_start(&asker) => {
            let new = Message::new(at(1_000), Role::User, "new");
            (write(&[Record::Message(new)], &WriteOptions::fresh()), Some(ErrorKind::NotFound))
        }
        4 if owned.is_some() => {
            let patch = Record::Session { stamp: at(500), set: [("k".to_owned(), Some(1.into()))].into() };
            (write(&[patch], &WriteOptions::fresh()), plain.verdict(&asker, owned, Action::Update))
        }
        5 if owned.is_some() => {
            let deletion = Record::Deleted { id: at(400), stamp: at(600) };
            (write(&[deletion], &WriteOptions::fresh()), plain.verdict(&asker, owned, Action::Delete))
        }
        6 => {
            let what = Compact::new().session(session.clone());
            let wanted = match owned {
                None if plain.everywhere(&asker, Action::Delete) => None,
                owned => plain.verdict(&asker, owned, Action::Delete),
            };
            (kind(block_on(store.compact(&cx, &what))), wanted)
        }
        7 => {
            let wanted = (!plain.everywhere(&asker, Action::Admin)).then_some(ErrorKind::PermissionDenied);
            (kind(block_on(store.status(&cx))), wanted)
        }
        8 => {
            let page = block_on(store.sessions(&cx, &SessionQuery::new()));
            let found = page.ok().map(|page| page.items.iter().map(|found| found.id.to_string()).collect::<Vec<_>>());
            let wanted = shown(plain, world, &asker, Action::List);
            let wanted = wanted.map(|ids| ids.iter().map(ToString::to_string).collect());
            assert_eq!(found, wanted, "list of {asker:?} under {plain:#?}");
            return;
        }
        9 => {
            let page = block_on(store.search(&cx, &SearchQuery::new("of")));
            let found = page.ok().map(|page| {
                let mut ids: Vec<_> = page.items.iter().map(|hit| hit.session.to_string()).collect();
                ids.sort_unstable();
                ids
            });
            let wanted = shown(plain, world, &asker, Action::Search);
            let wanted = wanted.map(|ids| ids.iter().map(ToString::to_string).collect());
            assert_eq!(found, wanted, "search of {asker:?} under {plain:#?}");
            return;
        }
        10 => {
            let action = random.one(&Action::ALL);
            let wanted = match (owned, action) {
                (Some(owned), action) => plain.may(&asker, owned, action),
                (None, Action::Append) => plain.may_start(&asker),
                (None, action) => plain.everywhere(&asker, action),
            };
            let guard: &dyn std::any::Any = &**store;
            let guard = guard.downcast_ref::<Guard>().unwrap();
            let found = block_on(guard.explain(&cx, Some(&session), action)).unwrap().decision.allowed;
            assert_eq!(found, wanted, "{action} of {asker:?} with {id} {owned:?} under {plain:#?}");
            return;
        }
        _ => {
            let again = Message::new(at(1_000), Role::User, "never stored");
            let all = plain.everywhere(&asker, Action::Admin) && plain.everywhere(&asker, Action::Append);
            if all {
                return;
            }
            let found = write(&[Record::Message(again)], &WriteOptions::replay());
            (found, Some(ErrorKind::PermissionDenied))
        }
    };
    assert_eq!(found, wanted, "operation {operation} of {asker:?} with {id} {owned:?} under {plain:#?}");
}

#[test]
fn the_layer_and_a_simple_reference_agree() {
    let questions = if crate::house::is_long() { 1_000_000 } else { 50_000 };
    let mut random = Random::new(crate::house::seed());
    const PER_WORLD: usize = 200;
    for _ in 0..questions / PER_WORLD {
        let plain = Plain::random(&mut random);
        let world = World::random(&mut random, plain.rules());
        for _ in 0..PER_WORLD {
            ask(&mut random, &plain, &world);
        }
    }
}
