//! The kit over the whole stack, as the system and as somebody.

use craftx_access::Action;
use craftx_conformance::{AsCaller, conformance};

use super::*;
use crate::conformance::subject;

/// Nobody has rules here, and nobody needs them.
fn as_the_system(folder: &Path) -> DynBackend {
    stack(folder, keyring(), Access::new(Rules::new()).unwrap()).backend().clone()
}

/// Somebody who may do everything. Without owners, so that there is nothing in a session but what the kit writes.
fn as_somebody(folder: &Path) -> DynBackend {
    let rules = Rules::new().allow(Rule::new().roles(["operator"]).actions(Action::ALL));
    let access = Access::new(rules).unwrap().config(AccessConfig::default().owners(false)).unwrap();
    let stack = stack(folder, keyring(), access);
    Arc::new(AsCaller::new(Caller::principal("ann", ["operator"]), stack.backend().clone()))
}

conformance!(the_whole_stack_as_the_system, || async { subject(as_the_system) }, |kit| kit
    .cases(40)
    .sequences(20)
    .rounds(5));
conformance!(the_whole_stack_as_somebody, || async { subject(as_somebody) }, |kit| kit
    .cases(40)
    .sequences(20)
    .rounds(5));

#[test]
fn the_layers_stand_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let stack = stack(folder.path(), keyring(), owned());
    let described = stack.describe();
    let names: Vec<_> = described.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["access", "validate", "encrypt", "hybrid"], "{described}");
}
