//! Granting, revoking, and giving a session an owner.

use std::fmt;
use std::str::FromStr;

use craftx_core::union::no_such_session;
use craftx_core::{
    Context, Error, ErrorKind, Expect, Grant, Operation, Record, Result, Session, SessionId, WriteOptions,
};

use crate::guard::{Guard, denied, entry};
use crate::principal::{Asker, EVERYONE, ROLE};
use crate::{Action, Actions, Relation};

/// How often a change is tried while others write to the session.
const TRIES: usize = 64;

/// To whom something is granted: a principal, or all who have a role.
///
/// ```
/// use craftx_access::Grantee;
/// assert_eq!("ann".parse::<Grantee>()?, Grantee::principal("ann")?);
/// assert_eq!("role:editor".parse::<Grantee>()?, Grantee::role("editor")?);
/// assert!(Grantee::principal("role:editor").is_err());
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grantee(String);

impl Grantee {
    /// A principal by its name.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for what is no name, or begins with `role:`.
    pub fn principal(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        match name.starts_with(ROLE) {
            true => Err(Error::invalid("grantee", "the name of a principal does not begin with `role:`")),
            false => Self::checked(name.to_owned()),
        }
    }

    /// All who have a role; `*` is the role of every principal.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for what is no name.
    pub fn role(name: impl AsRef<str>) -> Result<Self> {
        match name.as_ref() {
            "" => Err(Error::invalid("grantee", "a role must have a name")),
            name => Self::checked(format!("{ROLE}{name}")),
        }
    }

    /// Every principal.
    pub fn everyone() -> Self {
        Self(format!("{ROLE}{EVERYONE}"))
    }

    /// The name as it stands in a grant: that of the principal, or `role:` and that of the role.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn checked(name: String) -> Result<Self> {
        match SessionId::new(&name) {
            Ok(_) => Ok(Self(name)),
            Err(error) => Err(Error::invalid("grantee", error.message().to_owned())),
        }
    }
}

impl FromStr for Grantee {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix(ROLE) {
            Some(role) => Self::role(role),
            None => Self::principal(text),
        }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Guard {
    /// Grants actions in place of those that were granted to the same before. Only the owner and those who administer
    /// the session may; the owner stays.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if `read` is not among the actions, because a grant shows the session in
    /// lists and searches, or if `admin` is, which comes from roles alone; [`NotFound`](ErrorKind::NotFound) if the
    /// session does not exist or may not be seen, [`PermissionDenied`](ErrorKind::PermissionDenied) if it may be seen
    /// only.
    ///
    /// # Cancel safety
    /// It was granted or not.
    pub async fn grant(
        &self,
        cx: &Context,
        session: &SessionId,
        to: &Grantee,
        actions: impl IntoIterator<Item = Action> + Send,
    ) -> Result<()> {
        let actions: Actions = actions.into_iter().collect();
        if !actions.contains(Action::Read) || actions.contains(Action::Admin) {
            let rule = "a grant includes `read`, and `admin` comes from roles alone";
            return Err(Error::invalid("actions", rule).during("grant"));
        }
        let grant =
            Grant { to: to.0.clone(), actions: actions.iter().map(|action| action.as_str().to_owned()).collect() };
        self.change(cx, session, "grant", |grants| {
            grants.retain(|old| old.to != to.0);
            grants.push(grant.clone());
        })
        .await
    }

    /// Takes back all that was granted. Other processes notice within the time to live of their caches, 5 seconds at most.
    ///
    /// # Errors
    /// As [`Guard::grant`].
    ///
    /// # Cancel safety
    /// It was revoked or not.
    pub async fn revoke(&self, cx: &Context, session: &SessionId, from: &Grantee) -> Result<()> {
        self.change(cx, session, "revoke", |grants| grants.retain(|old| old.to != from.0)).await
    }

    /// Gives a session that has no owner to a principal: one that was written before there was access control. Only those
    /// who administer the tenant may.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if it has an owner: an owner never changes.
    ///
    /// # Cancel safety
    /// It was given or not.
    pub async fn give(&self, cx: &Context, session: &SessionId, owner: &str) -> Result<()> {
        let owner = Grantee::principal(owner).map_err(|error| error.during("give"))?;
        let mut entry = entry(cx, Operation::Write, Action::Admin.into(), Some(session));
        entry.named = Some("give");
        if let Asker::Principal(who) = self.asker(&mut entry).await? {
            let decision = who.decide(&*self.policy, Action::Admin, Relation::Tenant);
            entry.rule = decision.rule;
            if !decision.allowed {
                return self.refuse(&entry, denied(&entry)).await;
            }
        }
        let give = self.rewrite(cx, session, "give", |found| match found.owner {
            Some(_) => Err(Error::new(ErrorKind::Conflict, "the session has an owner, who stays")),
            None => Ok(Some((Some(owner.0.clone()), found.grants))),
        });
        self.log.around(entry, give).await
    }

    async fn change(
        &self,
        cx: &Context,
        session: &SessionId,
        named: &'static str,
        edit: impl Fn(&mut Vec<Grant>) + Send + Sync,
    ) -> Result<()> {
        let mut entry = entry(cx, Operation::Write, Action::Admin.into(), Some(session));
        entry.named = Some(named);
        if let Asker::Principal(who) = self.asker(&mut entry).await? {
            let found = self.look(cx, session).await?;
            let relation = found.as_ref().map_or(Relation::Other, |found| who.relation(&found.clone().into()));
            // The owner shares what it may change; all others need to administer.
            let action = if relation == Relation::Owner { Action::Update } else { Action::Admin };
            let decision = who.decide(&*self.policy, action, relation);
            entry.rule = if found.is_some() { decision.rule } else { "absent".into() };
            match (found.is_some(), decision.allowed) {
                (true, true) => {}
                (true, false) if who.sees(&*self.policy, relation) => return self.refuse(&entry, denied(&entry)).await,
                _ => return self.refuse(&entry, no_such_session(session)).await,
            }
        }
        let change = self.rewrite(cx, session, named, |found| {
            // A first record without an owner would be the one that counts for ever.
            let Some(owner) = found.owner else {
                let message = "the session has no owner; give it one first";
                return Err(Error::new(ErrorKind::Conflict, message));
            };
            let mut grants = found.grants.clone();
            edit(&mut grants);
            Ok((grants != found.grants).then_some((Some(owner), grants)))
        });
        self.log.around(entry, change).await
    }

    /// Reads who owns a session and what is granted, and writes it anew if nobody wrote in between; else again.
    async fn rewrite(
        &self,
        cx: &Context,
        session: &SessionId,
        named: &'static str,
        edit: impl Fn(Session) -> Result<Option<(Option<String>, Vec<Grant>)>> + Send + Sync,
    ) -> Result<()> {
        for _ in 0..TRIES {
            let Some(found) = self.look(cx, session).await? else {
                return Err(no_such_session(session).during(named));
            };
            let version = found.version;
            let Some((owner, grants)) = edit(found).map_err(|error| error.during(named))? else {
                return Ok(());
            };
            let stamp = cx.mint(Some(version)).map_err(|error| error.during(named))?;
            let options = WriteOptions::fresh().expecting(Expect::Version(version));
            let written = self.inner.write(cx, session, &[Record::Acl { stamp, owner, grants }], &options).await;
            // Also after a failure, which may have an unknown outcome.
            self.cache.forget(&cx.tenant, session);
            match written {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.during(named)),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others write to the session all the time").during(named))
    }
}
