#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod action;
mod audit;
mod backend;
mod cache;
#[cfg(feature = "cedar")]
mod cedar;
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
#[cfg(feature = "cedar")]
pub use cedar::CedarPolicy;
pub use grants::Grantee;
pub use guard::{Explained, Guard};
pub use layer::{Access, AccessConfig, AuditConfig};
pub use policy::{Decision, Policy, Relation, Request};
pub use register::register;
pub use rules::{Rule, Rules};
