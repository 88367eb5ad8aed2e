//! What the tests of craftx as a whole share with the programs that they start.

// For the benches, which may depend on no backend; the facade has no feature for this one yet.
#[doc(hidden)]
pub use craftx_postgres;

pub mod faults;
pub mod fuzz;
#[cfg(unix)]
pub mod servers;
