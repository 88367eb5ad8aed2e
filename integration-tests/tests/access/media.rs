//! What the layer asks of a medium, on every medium: lists and searches that show what is owned and granted, full pages.

use std::sync::Arc;

use craftx_access::{Access, Action, Grantee, Guard, Rule, Rules};
use craftx_core::{
    Caller, Context, DynBackend, ErrorKind, Message, MessageQuery, Prepare, Record, Role, SearchQuery, SessionId,
    SessionQuery, Stack, Stamp, Tenant, WriteOptions,
};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};
use futures_executor::block_on;

fn cx(who: &str) -> Context {
    Context::new(Tenant::default()).with_caller(Caller::principal(who, ["member"]))
}

fn names(stack: &Stack, who: &str, limit: u32) -> Vec<String> {
    let mut query = SessionQuery::new().limit(limit);
    let mut all = Vec::new();
    loop {
        let page = block_on(stack.backend().sessions(&cx(who), &query)).unwrap();
        assert!(page.items.len() == limit as usize || page.next.is_none(), "a page that is not the last is full");
        all.extend(page.items.iter().map(|session| session.id.to_string()));
        match page.next {
            None => return all,
            next => query = query.cursor(next),
        }
    }
}

fn try_on(medium: DynBackend) {
    let access = Access::new(Rules::new().allow(Rule::new().create(true))).unwrap();
    let stack = Stack::builder("guarded", medium).layer(access).build().unwrap();
    block_on(stack.backend().prepare(&Context::system(Tenant::default()), Prepare::Migrate)).unwrap();
    for n in 0..24_u64 {
        let who = ["ann", "bob"][n as usize % 2];
        let message = Message::new(Stamp::mint(1_700_000_000_000 + n, None, 0).unwrap(), Role::User, "herons");
        let session = SessionId::new(format!("s{n:02}")).unwrap();
        let (cx, records) = (cx(who), [Record::Message(message)]);
        block_on(stack.backend().write(&cx, &session, &records, &WriteOptions::fresh())).unwrap();
    }
    let guard = stack.find::<Guard>().unwrap();
    let granted = SessionId::new("s01").unwrap();
    for to in [Grantee::principal("ann").unwrap(), Grantee::role("member").unwrap()] {
        block_on(guard.grant(&cx("bob"), &granted, &to, [Action::Read])).unwrap();
    }
    let mut wanted: Vec<String> = (0..24).step_by(2).map(|n| format!("s{n:02}")).collect();
    wanted.insert(1, "s01".to_owned());
    for limit in [1, 5, 100] {
        assert_eq!(names(&stack, "ann", limit), wanted);
        assert_eq!(names(&stack, "eve", limit), ["s01"]);
    }
    if stack.capabilities().search.is_yes() {
        let hits = block_on(stack.backend().search(&cx("eve"), &SearchQuery::new("herons"))).unwrap();
        assert_eq!(hits.items.iter().map(|hit| hit.session.as_str()).collect::<Vec<_>>(), ["s01"]);
    }
    block_on(guard.revoke(&cx("bob"), &granted, &Grantee::role("member").unwrap())).unwrap();
    assert!(names(&stack, "eve", 5).is_empty());
    let query = MessageQuery::oldest_first();
    let hidden = block_on(stack.backend().load(&cx("eve"), &granted, &query)).unwrap_err();
    let missing = SessionId::new("missing").unwrap();
    let below = stack.below(craftx_core::Slot::Access).unwrap();
    let bare = block_on(below.load(&cx("eve"), &missing, &query)).unwrap_err();
    assert_eq!(hidden.kind(), ErrorKind::NotFound);
    assert_eq!(format!("{hidden:?}").replace("s01", "…"), format!("{bare:?}").replace("missing", "…"));
}

#[test]
fn sqlite_shows_what_is_owned_and_granted() {
    let folder = tempfile::tempdir().unwrap();
    try_on(Arc::new(Sqlite::new(SqliteConfig::new(folder.path().join("chat.db"))).unwrap()));
}

#[test]
fn json_shows_what_is_owned_and_granted() {
    let folder = tempfile::tempdir().unwrap();
    try_on(Arc::new(Json::new(&JsonConfig::new(folder.path().join("chats"))).unwrap()));
}
