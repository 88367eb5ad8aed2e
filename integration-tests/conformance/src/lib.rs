#![doc = include_str!("../README.md")]

mod as_caller;
mod bench;
mod check;
mod checks;
mod corpus;
mod generate;
mod history;
mod kit;
mod plug;
mod property;
mod random;
mod records;
mod report;
mod subject;

pub use as_caller::AsCaller;
pub use kit::Kit;
pub use plug::{JumpingClock, Plug};
pub use report::{Entry, Finding, Report};
pub use subject::{Failure, Subject};

/// Makes a `#[test]` that runs the whole kit: a name, a factory as for [`Kit::new`], and optionally a function that
/// sets the knobs of the kit.
///
/// ```
/// use craftx_conformance::{Subject, conformance};
/// use craftx_core::Memory;
/// conformance!(memory, || async { Ok(Subject::new(Memory::new())) });
/// conformance!(memory_quickly, || async { Ok(Subject::new(Memory::new())) }, |kit| kit.cases(100));
/// ```
#[macro_export]
macro_rules! conformance {
    ($name:ident, $factory:expr) => {
        $crate::conformance!($name, $factory, |kit| kit);
    };
    ($name:ident, $factory:expr, $knobs:expr) => {
        #[test]
        fn $name() {
            let knobs: fn($crate::Kit) -> $crate::Kit = $knobs;
            knobs($crate::Kit::new(stringify!($name), $factory)).run().assert_passed();
        }
    };
}
