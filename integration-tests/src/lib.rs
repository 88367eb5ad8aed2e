//! What the tests of craftx as a whole share with the programs that they start.

pub mod faults;
pub mod fuzz;
#[cfg(unix)]
pub mod servers;
