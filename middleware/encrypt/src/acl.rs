//! Owners and grants: in clear, because the medium compares them, and authenticated.
//!
//! A last grant, to a name that begins with `craftx.mac` and for no action, says which key vouches for the record, with
//! which stamp it was written, and a keyed digest of all of it. The key is one for the tenant: it stays when a session is
//! shredded, as its owner does.

use std::collections::BTreeSet;

use craftx_core::{
    Context, Cursor, Error, ErrorKind, Grant, Hit, Record, Result, Scope, Session, SessionId, Stamp, Tenant,
};
use ctutils::CtEq;

use crate::data_key::DataKey;
use crate::layer::Encrypted;
use crate::place::{Field, Place};

/// What the name begins with that the last grant is to.
const MARK: &str = "craftx.mac ";
/// The tenant of the key store whose sessions hold the keys of whole tenants.
const KEYS_OF_TENANTS: &str = "craftx.encrypt";

/// Who owns a session and who else may do what, as one record says it.
#[derive(Clone, Copy)]
struct Acl<'a> {
    stamp: Stamp,
    owner: Option<&'a str>,
    grants: &'a [Grant],
}

/// What stands in the mark.
struct Mark<'a> {
    key: Stamp,
    stamp: Stamp,
    mac: &'a str,
}

/// # Errors
/// [`ErrorKind::PermissionDenied`] for the tenant that is ours.
pub(crate) fn refuse_reserved(tenant: &Tenant) -> Result<()> {
    match tenant.as_str() == KEYS_OF_TENANTS {
        true => Err(Error::new(ErrorKind::PermissionDenied, "the tenant `craftx.encrypt` is reserved")),
        false => Ok(()),
    }
}

/// # Errors
/// [`ErrorKind::InvalidInput`] if somebody else wrote a mark.
pub(crate) fn refuse_marks(grants: &[Grant]) -> Result<()> {
    match grants.iter().any(|grant| grant.to.starts_with(MARK)) {
        true => Err(Error::invalid("grants", "names that begin with `craftx.mac` are reserved")),
        false => Ok(()),
    }
}

impl Encrypted {
    /// Where the key of the tenant is kept.
    pub(crate) fn place_of_key(cx: &Context) -> Result<(Context, SessionId)> {
        Ok((cx.clone().with_tenant(Tenant::new(KEYS_OF_TENANTS)?), SessionId::new(cx.tenant.as_str())?))
    }

    /// The grants with a mark behind them.
    pub(crate) async fn marked(
        &self,
        cx: &Context,
        session: &SessionId,
        stamp: Stamp,
        owner: Option<&str>,
        grants: &[Grant],
    ) -> Result<Vec<Grant>> {
        let (key_cx, place) = Self::place_of_key(cx)?;
        let (_, key) = self.shared.keys.to_write(&key_cx, &place).await?;
        let mac = mac(&key, cx, session, Acl { stamp, owner, grants });
        let mut marked = grants.to_vec();
        marked.push(Grant { to: format!("{MARK}{}.{stamp}.{mac}", key.id), actions: Vec::new() });
        Ok(marked)
    }

    /// Takes the mark off the grants of a record.
    ///
    /// # Errors
    /// [`ErrorKind::Tampered`] unless the mark is that of this record.
    pub(crate) async fn unmarked(
        &self,
        cx: &Context,
        session: &SessionId,
        stamp: Stamp,
        owner: Option<&str>,
        mut grants: Vec<Grant>,
    ) -> Result<Vec<Grant>> {
        let mark = grants.pop().ok_or_else(forged)?;
        let read = read(&mark).filter(|mark| mark.stamp == stamp).ok_or_else(forged)?;
        match self.is_vouched_for(cx, session, &read, Acl { stamp, owner, grants: &grants }).await? {
            true => Ok(grants),
            false => Err(forged()),
        }
    }

    async fn is_vouched_for(&self, cx: &Context, session: &SessionId, mark: &Mark<'_>, acl: Acl<'_>) -> Result<bool> {
        let (key_cx, place) = Self::place_of_key(cx)?;
        let key = self.shared.keys.to_read(&key_cx, &place, mark.key).await?;
        Ok(mac(&key, cx, session, acl).as_bytes().ct_eq(mark.mac.as_bytes()).to_bool())
    }

    /// Checks owner and grants of a session as a whole, and takes the mark off. They may come from two records: then both
    /// are looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Tampered`] if one of them is not what was written.
    pub(crate) async fn check_acl(&self, cx: &Context, session: &mut Session) -> Result<()> {
        let Some((last, rest)) = session.grants.split_last() else {
            return if session.owner.is_none() { Ok(()) } else { Err(forged()) };
        };
        let mark = read(last).ok_or_else(forged)?;
        let acl = Acl { stamp: mark.stamp, owner: session.owner.as_deref(), grants: rest };
        if self.is_vouched_for(cx, &session.id, &mark, acl).await? {
            session.grants.pop();
            return Ok(());
        }
        let (owner, grants) = self.acl_of_records(cx, &session.id).await?;
        session.owner = owner;
        session.grants = grants;
        Ok(())
    }

    /// Whether everything that was found lies in the scope, by owners and grants that are vouched for: the medium that
    /// looked for it goes by columns of its own, which whoever can write there can change.
    ///
    /// # Errors
    /// [`ErrorKind::Tampered`] if owner or grants of a session are not what was written, and those of the store below.
    pub(crate) async fn admits_all(&self, cx: &Context, scope: &Scope, hits: &[Hit]) -> Result<bool> {
        if *scope == Scope::All {
            return Ok(true);
        }
        for session in hits.iter().map(|hit| &hit.session).collect::<BTreeSet<_>>() {
            let Some(mut found) = self.inner.session(cx, session).await? else { return Ok(false) };
            let checked = self.check_acl(cx, &mut found).await;
            checked.map_err(|error| error.with("session", format!("{session:?}")))?;
            if !scope.admits(found.owner.as_deref(), &found.grants) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The owner of the first record and the grants of the last one, each of which is vouched for.
    async fn acl_of_records(&self, cx: &Context, session: &SessionId) -> Result<(Option<String>, Vec<Grant>)> {
        let mut all = Vec::new();
        let mut from: Option<Cursor> = None;
        loop {
            let part = self.inner.records(cx, session, from.as_ref(), None).await?;
            for record in part.items {
                if let Record::Acl { stamp, owner, grants } = record {
                    let grants = self.unmarked(cx, session, stamp, owner.as_deref(), grants).await?;
                    all.push((stamp, owner, grants));
                }
            }
            if part.done {
                break;
            }
            from = Some(part.next);
        }
        all.sort_by_key(|(stamp, ..)| *stamp);
        let owner = all.first().ok_or_else(forged)?.1.clone();
        Ok((owner, all.pop().ok_or_else(forged)?.2))
    }
}

fn mac(key: &DataKey, cx: &Context, session: &SessionId, acl: Acl<'_>) -> String {
    let Acl { stamp, owner, grants } = acl;
    key.vouch(&Place { tenant: &cx.tenant, session, field: Field::Acl { stamp, owner, grants } })
}

fn read(grant: &Grant) -> Option<Mark<'_>> {
    let text = grant.to.strip_prefix(MARK).filter(|_| grant.actions.is_empty())?;
    let (key, rest) = text.split_once('.')?;
    let (stamp, mac) = rest.split_once('.')?;
    Some(Mark { key: key.parse().ok()?, stamp: stamp.parse().ok()?, mac })
}

pub(crate) fn forged() -> Error {
    Error::new(ErrorKind::Tampered, "owner or grants are not what was written")
}
