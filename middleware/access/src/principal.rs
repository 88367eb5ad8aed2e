//! Who asks, in the names that grants and scopes use.

use std::sync::Arc;

use craftx_core::{Caller, Context, Error, ErrorKind, Grant, Result, Scope, Session, SessionId, Tenant};

use crate::{Action, Actions, Decision, Policy, Relation, Request};

/// What the names of roles begin with in grants, so that no principal can be mistaken for a role.
pub(crate) const ROLE: &str = "role:";
/// The role of every principal.
pub(crate) const EVERYONE: &str = "*";

/// A principal that asks for something in a tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) id: &'a str,
    roles: &'a [Arc<str>],
}

/// Who asks: the system, or a principal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker<'a> {
    System,
    Principal(Who<'a>),
}

impl<'a> Asker<'a> {
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if nobody asks, [`ErrorKind::PermissionDenied`] if the name is none.
    pub(crate) fn of(cx: &'a Context) -> Result<Self> {
        match &cx.caller {
            Caller::System => Ok(Self::System),
            Caller::Principal { id, roles } => {
                // A name that could not stand in a grant could be mistaken for another one there.
                if id.starts_with(ROLE) || SessionId::new(id).is_err() {
                    let rule = "a principal has a name of 1 to 255 bytes, which does not begin with `role:`";
                    return Err(Error::new(ErrorKind::PermissionDenied, rule));
                }
                Ok(Self::Principal(Who { tenant: &cx.tenant, id, roles }))
            }
            // Whoever a later release knows besides is nobody here.
            _ => Err(Error::new(ErrorKind::Unauthenticated, "the call names no caller")),
        }
    }
}

impl Who<'_> {
    pub(crate) fn decide(&self, policy: &dyn Policy, action: Action, relation: Relation) -> Decision {
        policy.decide(&Request { tenant: self.tenant, principal: self.id, roles: self.roles, action, relation })
    }

    /// The first denial, or what allows the last of the actions.
    pub(crate) fn decide_all(&self, policy: &dyn Policy, actions: Actions, relation: Relation) -> Decision {
        let mut last = Decision::deny("default");
        for action in actions.iter() {
            last = self.decide(policy, action, relation);
            if !last.allowed {
                break;
            }
        }
        last
    }

    /// Whether a session shows that it is there: it can be listed or read.
    pub(crate) fn sees(&self, policy: &dyn Policy, relation: Relation) -> bool {
        [Action::List, Action::Read].into_iter().any(|action| self.decide(policy, action, relation).allowed)
    }

    /// The sessions that a list or a search shows, as far as a medium can evaluate it.
    pub(crate) fn scope(&self, policy: &dyn Policy, action: Action) -> (Decision, Scope) {
        let needed = match action {
            // What is found is read.
            Action::Search => Actions::READ.union(action.into()),
            other => other.into(),
        };
        let decide = |relation| self.decide_all(policy, needed, relation);
        let (own, granted, other) =
            (decide(Relation::Owner), decide(Relation::Granted(Actions::READ)), decide(Relation::Other));
        match (own.allowed, granted.allowed, other.allowed) {
            (true, true, true) => (other, Scope::All),
            (true, true, false) => {
                let scope = Scope::Visible { principals: vec![self.id.to_owned()], roles: self.grantees().collect() };
                (own, scope)
            }
            (false, _, _) => (own, Scope::All),
            (true, false, _) => (granted, Scope::All),
        }
    }

    /// The names of its roles in grants.
    fn grantees(&self) -> impl Iterator<Item = String> {
        self.roles.iter().map(AsRef::as_ref).chain([EVERYONE]).map(|role| format!("{ROLE}{role}"))
    }

    /// Whether a grant is for this principal. The same as [`Scope::admits`] says.
    fn is_granted(&self, grant: &Grant) -> bool {
        match grant.to.strip_prefix(ROLE) {
            Some(role) => role == EVERYONE || self.roles.iter().any(|own| **own == *role),
            None => grant.to == self.id,
        }
    }

    /// How a session is related to this principal.
    pub(crate) fn relation(&self, acl: &Acl) -> Relation {
        if acl.owner.as_deref() == Some(self.id) {
            return Relation::Owner;
        }
        let mut grants = acl.grants.iter().filter(|grant| !grant.actions.is_empty() && self.is_granted(grant));
        let Some(first) = grants.next() else { return Relation::Other };
        Relation::Granted(grants.fold(actions_of(first), |all, grant| all.union(actions_of(grant))))
    }
}

/// The actions of a grant. What is no action grants nothing, and administration comes from roles alone.
pub(crate) fn actions_of(grant: &Grant) -> Actions {
    let known = grant.actions.iter().filter_map(|name| Action::from_name(name));
    known.filter(|action| *action != Action::Admin).collect()
}

/// Who owns a session, and what is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acl {
    pub(crate) owner: Option<String>,
    pub(crate) grants: Vec<Grant>,
}

impl From<Session> for Acl {
    fn from(session: Session) -> Self {
        Self { owner: session.owner, grants: session.grants }
    }
}
