//! Policies in the language Cedar.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request as CedarRequest,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use craftx_core::{Error, ErrorKind, Result};

use crate::principal::EVERYONE;
use crate::{Action, Actions, Decision, Policy, Relation, Request};

/// What policies can speak of.
const SCHEMA: &str = include_str!("schema.cedarschema");
/// How many decisions are remembered. Then all are forgotten.
const MOST: usize = 10_000;

/// Decides by policies in the language [Cedar](https://www.cedarpolicy.com).
///
/// A principal is a `User` in its `Role`s, all of them in `Role::"*"`. A session is a `Session` in its `Tenant`, with the
/// attributes `relation` (`"new"`, `"owner"`, `"granted"` or `"other"`) and `granted` (the names of the actions that are
/// granted); what concerns no session is the `Tenant` itself, with the `relation` `"tenant"`. Actions have the names of
/// [`Action`]. Nothing is allowed besides: the owner of a session may do what a policy permits. The annotation `@id` is
/// the rule that stands in the audit log.
///
/// Policies are checked against this schema when they are read. One that fails when it is evaluated denies, whatever the
/// others say. Decisions are remembered for each version of the policies, by principal, roles, tenant, action and
/// relation: never is one made for each message, nor for each session.
///
/// A clone is the same policy: keep one to [replace](CedarPolicy::replace) the policies while the store is in use.
///
/// ```
/// use craftx_access::{Access, CedarPolicy};
/// let policy = CedarPolicy::new(r#"
///     @id("own")
///     permit (principal, action, resource)
///     when { ["new", "owner"].contains(resource.relation) } unless { action == Action::"admin" };
///
///     @id("granted")
///     permit (principal, action in [Action::"read", Action::"list", Action::"search"], resource)
///     when { resource.relation == "granted" };
///
///     @id("support")
///     permit (principal in Role::"support", action == Action::"read", resource in Tenant::"acme");
///
///     @id("mallory")
///     forbid (principal == User::"mallory", action, resource);
/// "#)?;
/// let access = Access::with_policy(policy.clone());
/// assert_eq!(policy.version(), 1);
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone)]
pub struct CedarPolicy(Arc<Mutex<Arc<Loaded>>>);

/// What becomes of a question to Cedar. Why it could not be put is told to nobody.
type Evaluated<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One version of the policies, with what was decided by it.
struct Loaded {
    policies: PolicySet,
    version: u64,
    decided: Mutex<HashMap<Asked, Decision>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Asked {
    tenant: String,
    principal: String,
    roles: Vec<Arc<str>>,
    action: Action,
    relation: Relation,
}

impl CedarPolicy {
    /// Reads policies.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for what is no policy, or speaks of what the schema does not have.
    pub fn new(policies: &str) -> Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Arc::new(Loaded::read(policies, 1)?)))))
    }

    /// Puts other policies in the place of all. Calls that are decided from now on are decided by them.
    ///
    /// # Errors
    /// As [`CedarPolicy::new`]; the old ones stay then.
    pub fn replace(&self, policies: &str) -> Result<()> {
        let new = Loaded::read(policies, 0)?;
        let mut current = lock(&self.0);
        *current = Arc::new(Loaded { version: current.version + 1, ..new });
        Ok(())
    }

    /// How often policies were read; 1 at first.
    pub fn version(&self) -> u64 {
        lock(&self.0).version
    }
}

impl Policy for CedarPolicy {
    fn decide(&self, request: &Request<'_>) -> Decision {
        let loaded = Arc::clone(&lock(&self.0));
        let asked = Asked {
            tenant: request.tenant.as_str().to_owned(),
            principal: request.principal.to_owned(),
            roles: request.roles.to_vec(),
            action: request.action,
            relation: request.relation,
        };
        if let Some(decision) = lock(&loaded.decided).get(&asked) {
            return decision.clone();
        }
        let decision = loaded.evaluate(request).unwrap_or_else(|_| Decision::deny("cedar: error"));
        let mut decided = lock(&loaded.decided);
        if decided.len() >= MOST {
            decided.clear();
        }
        decided.insert(asked, decision.clone());
        decision
    }
}

impl Loaded {
    fn read(text: &str, version: u64) -> Result<Self> {
        let wrong = |error: &dyn fmt::Display| {
            Error::new(ErrorKind::ConfigInvalid, "the policies cannot be used").with("cedar", error)
        };
        let policies = PolicySet::from_str(text).map_err(|error| wrong(&error))?;
        let schema = Schema::from_str(SCHEMA).map_err(|error| wrong(&error))?;
        let checked = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        match checked.validation_errors().next() {
            Some(error) => Err(wrong(error)),
            None => Ok(Self { policies, version, decided: Mutex::default() }),
        }
    }

    /// # Errors
    /// If the question itself cannot be put. The caller denies then.
    fn evaluate(&self, request: &Request<'_>) -> Evaluated<Decision> {
        let user = uid("User", request.principal)?;
        let roles = request.roles.iter().map(AsRef::as_ref).chain([EVERYONE]);
        let roles: HashSet<EntityUid> = roles.map(|role| uid("Role", role)).collect::<Evaluated<_>>()?;
        let tenant = uid("Tenant", request.tenant.as_str())?;
        let (resource, within) = match request.relation {
            Relation::Tenant => (tenant.clone(), HashSet::new()),
            // Which session it is makes no difference: what does is how it is related.
            _ => (uid("Session", "")?, HashSet::from([tenant])),
        };
        let granted = match request.relation {
            Relation::Granted(actions) => actions,
            _ => Actions::NONE,
        };
        let names = granted.iter().map(|action| RestrictedExpression::new_string(action.as_str().to_owned()));
        let attributes = HashMap::from([
            ("relation".to_owned(), RestrictedExpression::new_string(request.relation.as_str().to_owned())),
            ("granted".to_owned(), RestrictedExpression::new_set(names)),
        ]);
        let entities = [Entity::new(resource.clone(), attributes, within)?, Entity::new_no_attrs(user.clone(), roles)];
        let entities = Entities::from_entities(entities, None)?;
        let action = uid("Action", request.action.as_str())?;
        let question = CedarRequest::new(user, action, resource, Context::empty(), None)?;
        let answer = Authorizer::new().is_authorized(&question, &self.policies, &entities);
        // Cedar leaves out a policy that fails, and a prohibition that is left out would permit.
        if answer.diagnostics().errors().next().is_some() {
            return Ok(Decision::deny("cedar: error"));
        }
        let rule = answer.diagnostics().reason().next().map(|id| {
            let named = self.policies.policy(id).and_then(|policy| policy.annotation("id"));
            format!("cedar: {}", named.map_or_else(|| id.to_string(), str::to_owned))
        });
        Ok(match (answer.decision(), rule) {
            (cedar_policy::Decision::Allow, Some(rule)) => Decision::allow(rule),
            (_, Some(rule)) => Decision::deny(rule),
            (_, None) => Decision::deny("default"),
        })
    }
}

fn uid(kind: &'static str, name: &str) -> Evaluated<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind)?, EntityId::new(name)))
}

/// Nothing here can be left half-changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for CedarPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loaded = lock(&self.0);
        let policies = loaded.policies.policies().count();
        f.debug_struct("CedarPolicy").field("policies", &policies).field("version", &loaded.version).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::Tenant;

    const POLICIES: &str = r#"
        @id("own")
        permit (principal, action, resource)
        when { ["new", "owner"].contains(resource.relation) } unless { action == Action::"admin" };
        @id("granted")
        permit (principal, action, resource)
        when { resource.relation == "granted" && (resource.granted.contains("export") || action == Action::"list") };
        @id("support")
        permit (principal in Role::"support", action in [Action::"read", Action::"search"], resource in Tenant::"acme");
        @id("everyone")
        permit (principal in Role::"*", action == Action::"admin", resource == Tenant::"open");
        @id("mallory")
        forbid (principal == User::"mallory", action, resource);
    "#;

    fn ask(policy: &CedarPolicy, tenant: &str, who: &str, roles: &[&str], action: Action, on: Relation) -> String {
        let (tenant, roles) =
            (Tenant::new(tenant).unwrap(), roles.iter().map(|role| Arc::from(*role)).collect::<Vec<_>>());
        let decision = policy.decide(&Request::new(&tenant, who, action, on).with_roles(&roles));
        format!("{} {}", if decision.allowed { "allow" } else { "deny" }, decision.rule)
    }

    #[test]
    fn policies_decide_by_who_what_where_and_how_it_is_related() {
        let policy = CedarPolicy::new(POLICIES).unwrap();
        let export = Actions::from_iter([Action::Read, Action::Export]);
        for (tenant, who, roles, action, relation, wanted) in [
            ("acme", "ann", &[][..], Action::Delete, Relation::Owner, "allow cedar: own"),
            ("acme", "ann", &[], Action::Admin, Relation::Owner, "deny default"),
            ("acme", "ann", &[], Action::Append, Relation::New, "allow cedar: own"),
            ("acme", "ann", &[], Action::Read, Relation::Other, "deny default"),
            ("acme", "ann", &["support"], Action::Read, Relation::Other, "allow cedar: support"),
            ("globex", "ann", &["support"], Action::Read, Relation::Other, "deny default"),
            ("acme", "support", &[], Action::Read, Relation::Other, "deny default"),
            ("acme", "ann", &[], Action::Export, Relation::Granted(export), "allow cedar: granted"),
            ("acme", "ann", &[], Action::Export, Relation::Granted(Actions::READ), "deny default"),
            ("acme", "ann", &[], Action::List, Relation::Granted(Actions::READ), "allow cedar: granted"),
            ("open", "ann", &[], Action::Admin, Relation::Tenant, "allow cedar: everyone"),
            ("acme", "ann", &[], Action::Admin, Relation::Tenant, "deny default"),
            ("acme", "mallory", &["support"], Action::Read, Relation::Owner, "deny cedar: mallory"),
            (
                "acme",
                "\"; permit (principal, action, resource); //",
                &[],
                Action::Read,
                Relation::Other,
                "deny default",
            ),
        ] {
            // The second answer is remembered.
            for _ in 0..2 {
                assert_eq!(
                    ask(&policy, tenant, who, roles, action, relation),
                    wanted,
                    "{tenant} {who} {action} {relation:?}"
                );
            }
        }
    }

    #[test]
    fn other_policies_count_at_once_and_bad_ones_change_nothing() {
        let policy = CedarPolicy::new(POLICIES).unwrap();
        let read = |policy: &CedarPolicy| ask(policy, "acme", "ann", &[], Action::Read, Relation::Owner);
        assert_eq!(read(&policy), "allow cedar: own");
        let same = policy.clone();
        same.replace("").unwrap();
        assert_eq!((read(&policy), policy.version()), ("deny default".to_owned(), 2));
        same.replace("permit (principal, action, resource").unwrap_err();
        assert_eq!((read(&policy), policy.version()), ("deny default".to_owned(), 2));
    }

    #[test]
    fn what_speaks_of_nothing_that_is_there_is_refused() {
        for wrong in [
            "permit (principal, action == Action::\"reed\", resource);",
            "permit (principal, action, resource) when { resource.owner == \"ann\" };",
            "permit (principal == Person::\"ann\", action, resource);",
            "permit (principal, action, resource) when { resource.relation == 1 };",
        ] {
            assert_eq!(CedarPolicy::new(wrong).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{wrong}");
        }
    }

    #[test]
    fn a_policy_that_fails_denies_whatever_the_others_say() {
        let fails = "permit (principal, action, resource);
            forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };";
        let policy = CedarPolicy::new(fails).unwrap();
        assert_eq!(ask(&policy, "acme", "ann", &[], Action::Read, Relation::Owner), "deny cedar: error");
    }

    #[test]
    fn what_is_remembered_does_not_grow_without_end() {
        let policy = CedarPolicy::new("").unwrap();
        for n in 0..MOST + 10 {
            ask(&policy, "acme", &n.to_string(), &[], Action::Read, Relation::Owner);
        }
        let loaded = Arc::clone(&lock(&policy.0));
        assert!(lock(&loaded.decided).len() <= MOST);
    }
}
