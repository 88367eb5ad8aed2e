//! Rules from a configuration.

use std::collections::BTreeMap;

use craftx_core::{Error, ErrorKind, Result, Tenant};
use serde::{Deserialize, Serialize};

use crate::principal::{EVERYONE, ROLE};
use crate::{Action, Actions, Decision, Policy, Relation, Request};

/// The rules of a configuration: what roles may do, and what is forbidden.
///
/// 1. What a rule under `forbid` forbids is denied, whatever else holds.
/// 2. The owner of a session may do everything with it but [`Admin`](Action::Admin).
/// 3. Whoever has a grant may do what is granted, and see the session in lists and searches.
/// 4. A role may do what its rule says, with every session of its tenants.
/// 5. All else is denied.
///
/// ```
/// use craftx_access::{Action, Actions, RoleRule, Rules};
/// let rules = Rules::new()
///     .role("*", RoleRule::new().create(true)) // everybody may start sessions, and owns them
///     .role("support", RoleRule::new().tenants(["acme"]).actions([Action::Read, Action::List]));
/// assert!(rules.check().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rules {
    /// What each role may do. The role `*` is that of every principal. Default: none, so that nobody may do anything.
    pub roles: BTreeMap<String, RoleRule>,
    /// What is forbidden. Default: nothing but what is not allowed.
    pub forbid: Vec<ForbidRule>,
}

/// What a role may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RoleRule {
    /// In which tenants. Default: in all.
    pub tenants: Option<Vec<Tenant>>,
    /// Whether it may start sessions, which then belong to whoever started them. Default: no.
    pub create: bool,
    /// What it may do with every session of these tenants. `append` includes starting sessions, and `search` needs
    /// `read`. Default: nothing.
    pub actions: Actions,
}

/// What is forbidden, whoever owns the session and whatever is granted. A list that is left out means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ForbidRule {
    /// To whom, by name.
    pub principals: Option<Vec<String>>,
    /// To whom, by role. If both are given, one of both is enough.
    pub roles: Option<Vec<String>>,
    /// In which tenants.
    pub tenants: Option<Vec<Tenant>>,
    /// What. To forbid `append` forbids to start sessions too.
    pub actions: Option<Actions>,
}

impl Rules {
    /// No rules: everything is denied, save what existing owners and grants allow.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces what a role may do.
    #[must_use]
    pub fn role(mut self, name: impl Into<String>, rule: RoleRule) -> Self {
        self.roles.insert(name.into(), rule);
        self
    }

    /// Adds what is forbidden.
    #[must_use]
    pub fn forbid(mut self, rule: ForbidRule) -> Self {
        self.forbid.push(rule);
        self
    }

    /// Whether the rules can be kept.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the key of a rule that would allow less or more than it seems
    /// to.
    pub fn check(&self) -> Result<()> {
        for (name, rule) in &self.roles {
            let wrong = |message: &'static str, member: &str| {
                let key = format!("`roles.{name}.{member}`");
                Err(Error::new(ErrorKind::ConfigInvalid, message).with("key", key))
            };
            if rule.actions.contains(Action::Search) && !rule.actions.contains(Action::Read) {
                return wrong("a search shows messages, so `search` needs `read`", "actions");
            }
            if rule.tenants.as_ref().is_some_and(Vec::is_empty) {
                return wrong("there must be a tenant; leave the list out to mean all", "tenants");
            }
        }
        for (index, rule) in self.forbid.iter().enumerate() {
            let empty = [
                ("principals", rule.principals.as_ref().is_some_and(Vec::is_empty)),
                ("roles", rule.roles.as_ref().is_some_and(Vec::is_empty)),
                ("tenants", rule.tenants.as_ref().is_some_and(Vec::is_empty)),
                ("actions", rule.actions.is_some_and(Actions::is_empty)),
            ];
            if let Some((member, _)) = empty.into_iter().find(|(_, empty)| *empty) {
                let message = "an empty list forbids nothing; leave it out to mean all";
                let key = format!("`forbid.{index}.{member}`");
                return Err(Error::new(ErrorKind::ConfigInvalid, message).with("key", key));
            }
        }
        Ok(())
    }
}

impl Policy for Rules {
    fn decide(&self, request: &Request<'_>) -> Decision {
        if let Some(index) = self.forbid.iter().position(|rule| rule.matches(request)) {
            return Decision::deny(format!("forbid.{index}"));
        }
        match request.relation {
            Relation::Owner if request.action != Action::Admin => return Decision::allow("owner"),
            // Whoever may read a session sees it in lists and finds what is said in it.
            Relation::Granted(_) if matches!(request.action, Action::List | Action::Search) => {
                return Decision::allow("grant");
            }
            Relation::Granted(actions) if actions.contains(request.action) => return Decision::allow("grant"),
            _ => {}
        }
        let names = request.roles.iter().map(AsRef::as_ref).chain([EVERYONE]);
        let mut roles = names.filter_map(|name| Some((name, self.roles.get(name)?)));
        match roles.find(|(_, rule)| rule.allows(request)) {
            Some((name, _)) => Decision::allow(format!("{ROLE}{name}")),
            None => Decision::deny("default"),
        }
    }
}

fn is_in(tenants: Option<&Vec<Tenant>>, tenant: &Tenant) -> bool {
    tenants.is_none_or(|tenants| tenants.contains(tenant))
}

impl RoleRule {
    /// A rule that allows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only in these tenants. A name that is none is left out, so that it matches nothing.
    #[must_use]
    pub fn tenants<T: AsRef<str>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.tenants = Some(tenants.into_iter().filter_map(|tenant| Tenant::new(tenant).ok()).collect());
        self
    }

    /// Sets whether it may start sessions.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets what it may do with every session.
    #[must_use]
    pub fn actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions = actions.into_iter().collect();
        self
    }

    fn allows(&self, request: &Request<'_>) -> bool {
        let starts = self.create && request.relation == Relation::New && request.action == Action::Append;
        is_in(self.tenants.as_ref(), request.tenant) && (starts || self.actions.contains(request.action))
    }
}

impl ForbidRule {
    /// A rule that forbids everything to everybody everywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only to these principals.
    #[must_use]
    pub fn principals<P: Into<String>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        self.principals = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only to these roles.
    #[must_use]
    pub fn roles<R: Into<String>>(mut self, names: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only in these tenants. A name that is none is left out, so that it matches nothing.
    #[must_use]
    pub fn tenants<T: AsRef<str>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.tenants = Some(tenants.into_iter().filter_map(|tenant| Tenant::new(tenant).ok()).collect());
        self
    }

    /// Only these actions.
    #[must_use]
    pub fn actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions = Some(actions.into_iter().collect());
        self
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        let by_name = |names: &Vec<String>| names.iter().any(|name| name == request.principal);
        let by_role = |names: &Vec<String>| {
            names.iter().any(|name| name == EVERYONE || request.roles.iter().any(|role| **role == **name))
        };
        let to_whom = match (&self.principals, &self.roles) {
            (None, None) => true,
            (principals, roles) => principals.as_ref().is_some_and(by_name) || roles.as_ref().is_some_and(by_role),
        };
        to_whom
            && is_in(self.tenants.as_ref(), request.tenant)
            && self.actions.is_none_or(|actions| actions.contains(request.action))
    }
}
