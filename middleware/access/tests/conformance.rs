//! The conformance kit over the layer: as the system, as somebody who may do everything, and as an owner.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use craftx_access::{Access, AccessConfig, Action, Rule, Rules};
use craftx_conformance::{AsCaller, Failure, Kit, Subject, conformance};
use craftx_core::{Caller, DynBackend, Layer, Memory};

fn everything() -> Rules {
    Rules::new().allow(Rule::new().roles(["operator"]).actions(Action::ALL))
}

fn guarded(rules: Rules, owners: bool) -> DynBackend {
    let access = Access::new(rules).unwrap().config(AccessConfig::default().owners(owners)).unwrap();
    access.apply(Arc::new(Memory::new())).unwrap()
}

fn operator() -> Caller {
    Caller::principal("the operator", ["operator"])
}

conformance!(as_the_system, || async { Ok(Subject::from(guarded(Rules::new(), true))) }, |kit| kit
    .cases(300)
    .sequences(100));

conformance!(
    as_one_who_may_do_everything,
    || async { Ok(Subject::new(AsCaller::new(operator(), guarded(everything(), false)))) },
    |kit| kit.cases(300).sequences(100)
);

/// A session that somebody started is there for ever, and its owner stays: these checks write owners of their own, or
/// expect sessions to be gone when everything in them is dead.
const KNOW_NO_OWNER: [&str; 9] = [
    "a_session_exists_by_message_key_or_owner",
    "dead_sessions_are_listed_only_on_request",
    "a_session_tells_its_state",
    "another_tenant_counts_nothing",
    "records_give_the_whole_set_by_pages",
    "records_give_nothing_dead",
    "a_copy_is_equal",
    "the_status_tells_the_truth",
    "random_operations_agree_with_the_model",
];

#[test]
fn an_owner_finds_nothing_changed_but_that_there_is_an_owner() {
    let subject = || async {
        let store = AsCaller::new(operator(), guarded(everything(), true)).hiding_owner();
        Ok::<_, Failure>(Subject::new(store))
    };
    let report = Kit::new("an owner", subject).cases(300).sequences(100).run();
    let odd: Vec<_> = report.failed().map(|entry| entry.name).filter(|name| !KNOW_NO_OWNER.contains(name)).collect();
    assert!(odd.is_empty(), "{odd:?}\n{report}");
    assert!(report.counts().0 >= 150, "{report}");
}
