//! What is told of a call.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use craftx_core::{Caller, Context, Operation, SessionId, Tenant, Time, Uuid};
use serde_json::{Map, Value, json};

use crate::Actions;

/// The version of the form in which events are written.
const VERSION: u32 = 1;

/// Something that was done or refused. It names who and what, and never holds content.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When, by the clock of the call.
    pub time: SystemTime,
    /// Random; the same in all events of one call.
    pub call: Uuid,
    /// What the application calls the request, if it said so ([`Context::request`]).
    pub request: Option<Arc<str>>,
    /// Who did it.
    pub caller: Caller,
    /// In which namespace.
    pub tenant: Tenant,
    /// The call, or what was called besides, such as `write` or `grant`.
    pub operation: &'static str,
    /// What it takes to do it.
    pub actions: Actions,
    /// With which session; `None` if with none or with many.
    pub session: Option<SessionId>,
    /// Which rule decided. `absent` if there is no such session, `system` for the system.
    pub rule: Cow<'static, str>,
    /// What became of it.
    pub phase: Phase,
}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It was refused, and nothing was done. One event in all.
    Denied,
    /// It was allowed and begins. If no other event of the same call follows, its outcome is not known.
    Began,
    /// It succeeded.
    Done,
    /// It failed, with an error of this kind.
    Failed(craftx_core::ErrorKind),
    /// It failed with an error of this kind, and may have been done all the same.
    Unknown(craftx_core::ErrorKind),
}

impl Event {
    pub(crate) fn new(cx: &Context, operation: Operation) -> Self {
        Self {
            time: cx.clock.wall(),
            call: craftx_core::random_id(),
            request: cx.request.clone(),
            caller: cx.caller.clone(),
            tenant: cx.tenant.clone(),
            operation: operation.as_str(),
            actions: Actions::NONE,
            session: None,
            rule: Cow::Borrowed("default"),
            phase: Phase::Denied,
        }
    }

    /// The event as JSON, as it stands in a log; `docs/access.md` tells the members.
    pub fn to_json(&self) -> Value {
        let (caller, principal) = match &self.caller {
            Caller::System => ("system", None),
            Caller::Principal { id, .. } => ("principal", Some(id.as_ref())),
            _ => ("anonymous", None),
        };
        let (decision, outcome, error) = match self.phase {
            Phase::Denied => ("deny", Value::Null, None),
            Phase::Began => ("allow", Value::Null, None),
            Phase::Done => ("allow", json!("done"), None),
            Phase::Failed(kind) => ("allow", json!("failed"), Some(kind.as_str())),
            Phase::Unknown(kind) => ("allow", json!("unknown"), Some(kind.as_str())),
        };
        let members = [
            ("v", json!(VERSION)),
            ("time", Time::try_from(self.time).map_or(Value::Null, |time| json!(time.to_string()))),
            ("call", json!(self.call.to_string())),
            ("request", json!(self.request)),
            ("caller", json!(caller)),
            ("principal", json!(principal)),
            ("tenant", json!(self.tenant)),
            ("operation", json!(self.operation)),
            ("action", json!(self.actions.to_string())),
            ("session", json!(self.session)),
            ("decision", json!(decision)),
            ("rule", json!(self.rule)),
            ("outcome", outcome),
            ("error", json!(error)),
        ];
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}
