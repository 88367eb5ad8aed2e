//! Who decides, and what is asked.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use craftx_core::Tenant;

use crate::{Action, Actions};

/// Decides who may do what.
///
/// A policy sees of a session only how it is related to whoever asks: that is what a medium can evaluate in a list or a
/// search, so nothing has to be filtered afterwards. What must differ from session to session is a grant.
///
/// The answer depends on nothing but the request, or on a new version of the policy; it is asked for often, so answer
/// from memory.
///
/// ```
/// use craftx_access::{Action, Decision, Policy, Relation, Request};
///
/// /// Everybody may do what they like with their own sessions; nobody else may do anything.
/// #[derive(Debug)]
/// struct Own;
///
/// impl Policy for Own {
///     fn decide(&self, request: &Request<'_>) -> Decision {
///         match (request.relation, request.action) {
///             (Relation::Owner, _) => Decision::allow("own"),
///             (Relation::New, Action::Append) => Decision::allow("start"),
///             // A list shows what one owns and what was granted, so both must be said.
///             (Relation::Granted(_), Action::List) => Decision::allow("list"),
///             _ => Decision::deny("default"),
///         }
///     }
/// }
/// ```
pub trait Policy: fmt::Debug + Send + Sync + 'static {
    /// Whether this may be done, and which rule says so. Deny what you do not know.
    ///
    /// [`List`](Action::List) and [`Search`](Action::Search) are asked for once a call and not once a session: for
    /// [`Owner`](Relation::Owner), for [`Granted`](Relation::Granted) with reading alone, and for
    /// [`Other`](Relation::Other). The list shows all sessions of the tenant if all three are allowed, what one owns and
    /// what was granted if the first two are, and is refused otherwise. A search needs [`Read`](Action::Read) besides.
    fn decide(&self, request: &Request<'_>) -> Decision;
}

/// What is asked: may this principal do this?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Request<'a> {
    /// In which namespace.
    pub tenant: &'a Tenant,
    /// Who wants to do it.
    pub principal: &'a str,
    /// The roles of the principal, as the application told them.
    pub roles: &'a [Arc<str>],
    /// What is to be done.
    pub action: Action,
    /// How the session is related to the principal.
    pub relation: Relation,
}

impl<'a> Request<'a> {
    /// A request of a principal without roles.
    pub fn new(tenant: &'a Tenant, principal: &'a str, action: Action, relation: Relation) -> Self {
        Self { tenant, principal, roles: &[], action, relation }
    }

    /// Sets the roles of the principal.
    #[must_use]
    pub fn with_roles(mut self, roles: &'a [Arc<str>]) -> Self {
        self.roles = roles;
        self
    }
}

/// How a session is related to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Relation {
    /// There is no such session: whoever starts it will own it.
    New,
    /// The principal owns it.
    Owner,
    /// These actions are granted to the principal or to one of its roles.
    Granted(Actions),
    /// It is there, and neither owned nor granted.
    Other,
    /// No session is meant, but the whole tenant.
    Tenant,
}

impl Relation {
    /// The name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Owner => "owner",
            Self::Granted(_) => "granted",
            Self::Other => "other",
            Self::Tenant => "tenant",
        }
    }
}

/// The answer of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// The rule that decided, for the audit log. It must not hold secrets.
    pub rule: Cow<'static, str>,
}

impl Decision {
    /// It may be done, because of this rule.
    pub fn allow(rule: impl Into<Cow<'static, str>>) -> Self {
        Self { allowed: true, rule: rule.into() }
    }

    /// It may not be done, because of this rule.
    pub fn deny(rule: impl Into<Cow<'static, str>>) -> Self {
        Self { allowed: false, rule: rule.into() }
    }
}
