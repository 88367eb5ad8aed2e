//! Rules from a configuration.

use craftx_core::{Error, ErrorKind, Result, Tenant};
use serde::{Deserialize, Serialize};

use crate::principal::EVERYONE;
use crate::{Action, Actions, Decision, Policy, Relation, Request};

/// The rules of a configuration: what is allowed, and what is forbidden.
///
/// 1. What a rule under `forbid` covers is denied, whatever else holds.
/// 2. The owner of a session may do everything with it but [`Admin`](Action::Admin).
/// 3. Whoever has a grant may do what is granted, and sees the session in lists and searches.
/// 4. What a rule under `allow` covers is allowed, with every session of its tenants.
/// 5. All else is denied.
///
/// ```
/// use craftx_access::{Action, Rule, Rules};
/// let rules = Rules::new()
///     .allow(Rule::new().create(true)) // everybody may start sessions, and owns them
///     .allow(Rule::new().roles(["support"]).tenants(["acme"]).actions([Action::Read, Action::List]))
///     .forbid(Rule::new().principals(["mallory"]));
/// assert!(rules.check().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rules {
    /// What is allowed. Default: nothing, save what owners and grants may.
    pub allow: Vec<Rule>,
    /// What is forbidden. Default: nothing but what is not allowed.
    pub forbid: Vec<Rule>,
}

/// To whom, where and what a rule allows or forbids. What is left out means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// To whom, by name.
    pub principals: Option<Vec<String>>,
    /// To whom, by role. If names are given too, one of both is enough. The role `*` is that of every principal.
    pub roles: Option<Vec<String>>,
    /// In which tenants.
    pub tenants: Option<Vec<Tenant>>,
    /// What, with every session of these tenants. `append` includes starting sessions; where it is allowed, `search` needs
    /// `read`.
    pub actions: Option<Actions>,
    /// Starting sessions, which then belong to whoever started them. A rule with this alone covers nothing else.
    pub create: bool,
}

impl Rules {
    /// No rules: everything is denied, save what existing owners and grants may.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is allowed.
    #[must_use]
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allow.push(rule);
        self
    }

    /// Adds what is forbidden.
    #[must_use]
    pub fn forbid(mut self, rule: Rule) -> Self {
        self.forbid.push(rule);
        self
    }

    /// Whether the rules mean what they say.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the key of a rule that covers more or less than it seems to.
    pub fn check(&self) -> Result<()> {
        let wrong = |list: &str, index: usize, member: &str, message: &'static str| {
            let key = format!("`{list}.{index}.{member}`");
            Err(Error::new(ErrorKind::ConfigInvalid, message).with("key", key))
        };
        for (list, rules) in [("allow", &self.allow), ("forbid", &self.forbid)] {
            for (index, rule) in rules.iter().enumerate() {
                if let Some(member) = rule.empty_list() {
                    return wrong(list, index, member, "an empty list covers nothing; leave it out to mean all");
                }
            }
        }
        for (index, rule) in self.allow.iter().enumerate() {
            match rule.actions {
                None if !rule.create => {
                    return wrong("allow", index, "actions", "a rule that allows says what: `actions` or `create`");
                }
                Some(actions) if actions.contains(Action::Search) && !actions.contains(Action::Read) => {
                    return wrong("allow", index, "actions", "a search shows messages, so `search` needs `read`");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Policy for Rules {
    fn decide(&self, request: &Request<'_>) -> Decision {
        if let Some(index) = self.forbid.iter().position(|rule| rule.covers(request)) {
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
        match self.allow.iter().position(|rule| rule.covers(request)) {
            Some(index) => Decision::allow(format!("allow.{index}")),
            None => Decision::deny("default"),
        }
    }
}

impl Rule {
    /// A rule for everybody everywhere, about everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these principals.
    #[must_use]
    pub fn principals<P: Into<String>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        self.principals = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only those who have one of these roles.
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

    /// Sets whether it is about starting sessions.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    fn empty_list(&self) -> Option<&'static str> {
        let lists = [
            ("principals", self.principals.as_ref().is_some_and(Vec::is_empty)),
            ("roles", self.roles.as_ref().is_some_and(Vec::is_empty)),
            ("tenants", self.tenants.as_ref().is_some_and(Vec::is_empty)),
            ("actions", self.actions.is_some_and(Actions::is_empty)),
        ];
        lists.into_iter().find(|(_, empty)| *empty).map(|(member, _)| member)
    }

    fn covers(&self, request: &Request<'_>) -> bool {
        self.is_for(request)
            && self.tenants.as_ref().is_none_or(|tenants| tenants.contains(request.tenant))
            && self.is_about(request)
    }

    fn is_for(&self, request: &Request<'_>) -> bool {
        let has = |role: &String| role == EVERYONE || request.roles.iter().any(|own| **own == **role);
        match (&self.principals, &self.roles) {
            (None, None) => true,
            (names, roles) => {
                names.as_ref().is_some_and(|names| names.iter().any(|name| name == request.principal))
                    || roles.as_ref().is_some_and(|roles| roles.iter().any(has))
            }
        }
    }

    fn is_about(&self, request: &Request<'_>) -> bool {
        let starts = request.relation == Relation::New && request.action == Action::Append;
        match self.actions {
            Some(actions) => actions.contains(request.action) || self.create && starts,
            None => !self.create || starts,
        }
    }
}
