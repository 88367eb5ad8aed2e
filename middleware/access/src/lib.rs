#![doc = include_str!("../README.md")]

mod action;
mod audit;
mod backend;
mod cache;
mod grants;
mod guard;
mod layer;
mod policy;
mod principal;
mod register;
mod rules;
mod write;

pub use action::{Action, Actions};
pub use audit::{AuditSink, Event, FileSink, Phase, StoreSink};
pub use grants::Grantee;
pub use guard::{Explained, Guard};
pub use layer::{Access, AccessConfig, AuditConfig};
pub use policy::{Decision, Policy, Relation, Request};
pub use register::register;
pub use rules::{Rule, Rules};
