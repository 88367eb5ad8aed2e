#![doc = include_str!("../README.md")]

mod backend;
mod bug;
mod capabilities;
mod config;
mod dirty;
mod failover;
mod heal;
mod identity;
mod inner;
mod leg;
mod life;
mod mark;
mod read;
mod register;
mod status;
mod tenant;
mod thread;
mod turn;
mod verify;
mod write;

pub use config::{FailoverConfig, Mirror, Processes, Reads};
pub use failover::{Failover, FailoverBuilder};
pub use heal::Healed;
pub use register::register;
pub use status::LegStatus;
pub use verify::{Compared, Difference};

#[cfg(test)]
#[path = "../tests/simulation/mod.rs"]
mod simulation;
