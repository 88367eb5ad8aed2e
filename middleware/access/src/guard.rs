//! A store with a policy before it: who asks, what is decided, what is told.

use std::sync::Arc;

use craftx_core::union::no_such_session;
use craftx_core::{
    Caller, Context, DynBackend, Error, ErrorKind, Freshness, Operation, Result, Scope, Session, SessionId,
};

use crate::audit::{Entry, Log};
use crate::cache::Cache;
use crate::principal::{Acl, Asker, Who};
use crate::{Action, Actions, Decision, Policy, Relation};

/// A store that asks its policy before every call: what [`Access`](crate::Access) makes of the store below.
///
/// Besides the calls of a [`Backend`](craftx_core::Backend) it grants and revokes. [`Stack::find`](craftx_core::Stack::find)
/// finds it in a stack.
///
/// ```
/// # futures_executor::block_on(async {
/// use craftx_access::{Access, Action, Grantee, Guard, Rule, Rules};
/// use craftx_core::{Caller, Context, Memory, Message, Record, Role, SessionId, Stack, Stamp, Tenant, WriteOptions};
/// use std::sync::Arc;
///
/// let rules = Rules::new().allow(Rule::new().create(true));
/// let stack = Stack::builder("memory", Arc::new(Memory::new())).layer(Access::new(rules)?).build()?;
/// let ann = Context::new(Tenant::default()).with_caller(Caller::principal("ann", [""; 0]));
/// let session = SessionId::new("s")?;
/// let hello = Record::Message(Message::new(Stamp::mint(1, None, 0)?, Role::User, "hello"));
/// stack.backend().write(&ann, &session, &[hello], &WriteOptions::fresh()).await?;
///
/// let guard = stack.find::<Guard>().expect("the layer is in the stack");
/// guard.grant(&ann, &session, &Grantee::principal("bob")?, [Action::Read]).await?;
/// let bob = Context::new(Tenant::default()).with_caller(Caller::principal("bob", [""; 0]));
/// assert_eq!(stack.backend().session(&bob, &session).await?.unwrap().owner.as_deref(), Some("ann"));
/// # Ok::<(), craftx_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Guard {
    pub(crate) inner: DynBackend,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) log: Arc<Log>,
    pub(crate) cache: Cache,
    /// Whether sessions get an owner when they are started.
    pub(crate) owners: bool,
}

/// What a policy says of a principal and a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// How the session is related to the principal.
    pub relation: Relation,
    /// What the policy decided.
    pub decision: Decision,
}

impl Guard {
    /// Whether the principal of `cx` may do this with a session, or with its tenant if none is named, and why. Does not do
    /// it, and is not told to the audit log.
    ///
    /// It tells whether a session is there: show the answer to those who administer, and not to the principal.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) and [`Unauthenticated`](ErrorKind::Unauthenticated) as every
    /// call, and those of the medium.
    pub async fn explain(&self, cx: &Context, session: Option<&SessionId>, action: Action) -> Result<Explained> {
        let who = match Asker::of(cx).map_err(|error| error.during("explain"))? {
            Asker::System => {
                return Ok(Explained { relation: Relation::Tenant, decision: Decision::allow("system") });
            }
            Asker::Principal(who) => who,
        };
        let relation = match session {
            None => Relation::Tenant,
            Some(session) => match self.look(cx, session).await? {
                None => Relation::New,
                Some(found) => who.relation(&found.into()),
            },
        };
        Ok(Explained { relation, decision: who.decide(&*self.policy, action, relation) })
    }

    /// How many events could not be told to the audit log since the layer was made.
    pub fn lost_events(&self) -> u64 {
        self.log.lost.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// What the medium says of a session now, for a decision.
    pub(crate) async fn look(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let asking = self.cache.ask(cx.clock.now());
        // Whoever asks, the decision needs the newest answer.
        let as_system = cx.clone().with_caller(Caller::System).with_freshness(Freshness::ReadYourWrites);
        let found = self.inner.session(&as_system, session).await?;
        if let Some(found) = &found {
            let acl = Arc::new(Acl { owner: found.owner.clone(), grants: found.grants.clone() });
            self.cache.learn(&cx.tenant, session, &acl, asking);
        }
        Ok(found)
    }

    /// What is remembered of a session.
    pub(crate) fn remembered(&self, cx: &Context, session: &SessionId) -> Option<Arc<Acl>> {
        self.cache.get(&cx.tenant, session, cx.clock.now())
    }

    /// Lets a call about one session pass if `decide` allows it.
    ///
    /// What is remembered is enough to allow, and never to deny: whether a session is not there or not to be seen, it
    /// takes one look at the medium to say so, and the answer is the same.
    pub(crate) async fn pass<'a>(
        &self,
        cx: &'a Context,
        operation: Operation,
        session: &'a SessionId,
        actions: Actions,
        decide: impl Fn(&Who<'_>, Relation) -> Decision + Send + Sync,
    ) -> Result<Entry<'a>> {
        let mut entry = entry(cx, operation, actions, Some(session));
        let who = match self.asker(&mut entry).await? {
            Asker::System => return Ok(entry),
            Asker::Principal(who) => who,
        };
        if let Some(acl) = self.remembered(cx, session) {
            let decision = decide(&who, who.relation(&acl));
            if decision.allowed {
                entry.rule = decision.rule;
                return Ok(entry);
            }
        }
        let found = self.look(cx, session).await?;
        // What is left of a session that nobody owned is there for those who may see every session.
        let relation = found.as_ref().map_or(Relation::Other, |found| who.relation(&found.clone().into()));
        let decision = decide(&who, relation);
        if decision.allowed {
            entry.rule = decision.rule;
            return Ok(entry);
        }
        entry.rule = if found.is_some() { decision.rule } else { "absent".into() };
        match found.is_some() && who.sees(&*self.policy, relation) {
            true => self.refuse(&entry, denied(&entry)).await,
            false => self.refuse(&entry, no_such_session(session)).await,
        }
    }

    /// Lets a call about many sessions pass, and says which it may show.
    pub(crate) async fn pass_scope<'a>(
        &self,
        cx: &'a Context,
        operation: Operation,
        action: Action,
        asked: &Scope,
    ) -> Result<(Entry<'a>, Scope)> {
        let mut entry = entry(cx, operation, action.into(), None);
        let who = match self.asker(&mut entry).await? {
            Asker::System => return Ok((entry, asked.clone())),
            Asker::Principal(who) => who,
        };
        let (decision, scope) = who.scope(&*self.policy, action);
        entry.rule = decision.rule;
        if !decision.allowed {
            return self.refuse(&entry, denied(&entry)).await;
        }
        match (scope, asked) {
            (scope, Scope::All) => Ok((entry, scope)),
            (Scope::All, asked) => Ok((entry, asked.clone())),
            // The two cannot be joined to one that a medium evaluates.
            _ => self.refuse(&entry, Error::invalid("scope", "is set by the access layer; leave it out")).await,
        }
    }

    /// Lets a call about the whole tenant pass.
    pub(crate) async fn pass_tenant<'a>(
        &self,
        cx: &'a Context,
        operation: Operation,
        actions: Actions,
    ) -> Result<Entry<'a>> {
        let mut entry = entry(cx, operation, actions, None);
        if let Asker::Principal(who) = self.asker(&mut entry).await? {
            let decision = who.decide_all(&*self.policy, actions, Relation::Tenant);
            entry.rule = decision.rule;
            if !decision.allowed {
                return self.refuse(&entry, denied(&entry)).await;
            }
        }
        Ok(entry)
    }

    /// Lets a call pass that concerns all tenants, or the life of the store.
    pub(crate) async fn pass_system<'a>(&self, cx: &'a Context, operation: Operation) -> Result<Entry<'a>> {
        let mut entry = entry(cx, operation, Action::Admin.into(), None);
        match cx.require_system() {
            Ok(()) => {
                entry.rule = "system".into();
                Ok(entry)
            }
            Err(error) => self.refuse(&entry, error).await,
        }
    }

    /// Who asks. Nobody is refused, whatever is asked for.
    pub(crate) async fn asker<'a>(&self, entry: &mut Entry<'a>) -> Result<Asker<'a>> {
        match Asker::of(entry.cx) {
            Ok(Asker::System) => {
                entry.rule = "system".into();
                Ok(Asker::System)
            }
            Ok(asker) => Ok(asker),
            Err(error) => {
                entry.rule = "caller".into();
                self.refuse(entry, error).await
            }
        }
    }

    /// Tells that a call was refused.
    pub(crate) async fn refuse<T>(&self, entry: &Entry<'_>, error: Error) -> Result<T> {
        self.log.denied(entry).await;
        Err(error.during(entry.operation_name()))
    }
}

/// What is asked for, before it is decided.
pub(crate) fn entry<'a>(
    cx: &'a Context,
    operation: Operation,
    actions: Actions,
    session: Option<&'a SessionId>,
) -> Entry<'a> {
    Entry { cx, operation, named: None, actions, session, rule: "default".into() }
}

/// The error of what one may not do with what one may see.
pub(crate) fn denied(entry: &Entry<'_>) -> Error {
    let error = Error::new(ErrorKind::PermissionDenied, "the caller may not do this").with("action", entry.actions);
    match entry.session {
        Some(session) => error.with("session", format!("{session:?}")),
        None => error,
    }
}
