//! The conformance kit over the layer: as the system, as somebody who may do everything, and as an owner.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use craftx_access::{Access, AccessConfig, Action, RoleRule, Rules};
use craftx_conformance::{AsCaller, Failure, Kit, Subject, conformance};
use craftx_core::{Caller, DynBackend, Layer, Memory};

fn everything() -> Rules {
    Rules::new().role("operator", RoleRule::new().actions(Action::ALL))
}

fn guarded(rules: Rules, owners: bool) -> DynBackend {
    let access = Access::new(rules).unwrap().config(AccessConfig::default().owners(owners)).unwrap();
    access.apply(Arc::new(Memory::new())).unwrap()
}

fn operator() -> Caller {
    Caller::principal("ann", ["operator"])
}

conformance!(as_the_system, || async { Ok(Subject::from(guarded(Rules::new(), true))) }, |kit| kit
    .cases(300)
    .sequences(100));

conformance!(
    as_one_who_may_do_everything,
    || async { Ok(Subject::new(AsCaller::new(operator(), guarded(everything(), false)))) },
    |kit| kit.cases(300).sequences(100)
);

/// A session that somebody started has one record more than was written, names an owner, and is there for ever. These
/// checks count records and sessions, look at owners, or compare with a store that has no owners.
const COUNTS_THE_OWNER: [&str; 24] = [
    "a_batch_counts_each_record_once",
    "a_copy_carries_conflicts",
];

#[test]
fn an_owner_finds_nothing_changed_but_that_there_is_an_owner() {
    let subject = || async { Ok::<_, Failure>(Subject::new(AsCaller::new(operator(), guarded(everything(), true)))) };
    let report = Kit::new("an owner", subject).cases(300).sequences(100).run();
    let odd: Vec<_> = report.failed().map(|entry| entry.name).filter(|name| !COUNTS_THE_OWNER.contains(name)).collect();
    assert!(odd.is_empty(), "{odd:?}\n{report}");
    assert!(report.counts().0 >= 136, "{report}");
}
