//! While the primary of a failover is away nothing can be compared: no session is started, and the rest goes on.

use std::sync::Arc;

use craftx_access::{Access, Rule, Rules};
use craftx_conformance::Plug;
use craftx_core::{
    Caller, Context, DynBackend, ErrorKind, Memory, Message, MessageQuery, Outcome, Prepare, Record, Role, SessionId,
    Stack, Stamp, Surrounded, Tenant, WriteOptions,
};
use craftx_failover::{Failover, FailoverConfig, Mirror, Processes};
use futures_executor::block_on;

fn cx(who: &str) -> Context {
    Context::new(Tenant::default()).with_caller(Caller::principal(who, [""; 0]))
}

fn say(stack: &Stack, who: &str, session: &str, n: u64) -> craftx_core::Result<()> {
    let message = Message::new(Stamp::mint(1_700_000_000_000 + n, None, 0)?, Role::User, "hello");
    let session = SessionId::new(session)?;
    block_on(stack.backend().write(&cx(who), &session, &[Record::Message(message)], &WriteOptions::fresh())).map(drop)
}

#[test]
fn no_session_is_started_while_the_primary_is_away_and_owned_ones_go_on() {
    let plug = Arc::new(Plug::default());
    let primary: DynBackend = Arc::new(Surrounded::new(Arc::clone(&plug), Arc::new(Memory::new())));
    let config = FailoverConfig::default().processes(Processes::Single).mirror(Mirror::Sync);
    let failover =
        Failover::builder("primary", primary).secondary("secondary", Arc::new(Memory::new())).config(config).build();
    let access = Access::new(Rules::new().allow(Rule::new().create(true))).unwrap();
    let stack = Stack::builder("hybrid", Arc::new(failover.unwrap())).layer(access).build().unwrap();
    block_on(stack.backend().prepare(&Context::system(Tenant::default()), Prepare::Migrate)).unwrap();
    say(&stack, "ann", "old", 1).unwrap();

    plug.pull(true);
    let error = say(&stack, "ann", "new", 2).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
    say(&stack, "ann", "old", 3).unwrap();
    assert_eq!(say(&stack, "bob", "old", 4).unwrap_err().kind(), ErrorKind::NotFound, "the owner is known there too");

    plug.pull(false);
    let query = MessageQuery::oldest_first();
    let read = || block_on(stack.backend().load(&cx("ann"), &SessionId::new("old").unwrap(), &query));
    let mut tries = 0;
    while say(&stack, "ann", "new", 2).is_err() {
        tries += 1;
        assert!(tries < 1_000, "the primary does not come back");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(read().unwrap().items.len(), 2);
}
