//! Checking the folder: every line of every session is read, and what else lies there is named.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use craftx_core::{Context, Error, ErrorKind, Prepare, Problem, Result, SessionId, Tenant, Verified};

use crate::error::{io_error, shown};
use crate::index::Index;
use crate::layout::{LEGACY, LOG, TEMPORARY, TORN, is_default};
use crate::marker;
use crate::name::{self, Decoded};
use crate::store::Store;

/// What helps against a damaged file.
const RESTORE: &str = "restore the file from a backup; the other sessions are not affected";

/// Tells the thread that works for a call that nobody waits for it any more.
#[derive(Debug, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    /// Looks whether the call is still waited for.
    pub(crate) fn sign(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    verified: Verified,
    sessions: u64,
    lines: u64,
    legacy: u64,
}

impl Store {
    /// Checks all tenants. One damaged file does not hide the others.
    pub(crate) fn verify(&self, cx: &Context, abandoned: &AtomicBool) -> Result<Verified> {
        cx.require_system()?;
        let _pass = self.enter(cx)?;
        let mut seen = Seen::default();
        let marker = marker::prepare(cx, &self.disk, &self.layout, &self.locks, Prepare::Check);
        tell(marker.map(drop), &self.layout.marker(), &mut seen)?;
        for tenant in self.tenants_seen(cx, &mut seen)? {
            for session in self.sessions_seen(cx, &tenant, &mut seen)? {
                cx.check_deadline()?;
                if abandoned.load(Ordering::Relaxed) {
                    return Err(Error::new(ErrorKind::Timeout, "nobody waits for the answer"));
                }
                self.verify_session(cx, &tenant, &session, &mut seen)?;
            }
        }
        let Seen { mut verified, sessions, lines, legacy } = seen;
        verified.checked(format!("every line of every session by its checksum (sessions: {sessions}, lines: {lines})"));
        verified
            .unverifiable("whether a session file once was longer: one that was cut between two writes looks whole");
        if legacy > 0 {
            verified.checked(format!("that the files of CraftX.py can be read (files: {legacy})"));
            verified.unverifiable("whether the files of CraftX.py are what was written: they hold no checksums");
        }
        Ok(verified)
    }

    fn verify_session(&self, cx: &Context, tenant: &Tenant, session: &SessionId, seen: &mut Seen) -> Result<()> {
        let files = self.layout.session(tenant, session);
        let target = self.target(tenant, session, &files);
        let open =
            || self.disk.open(&files.log).map_err(|error| io_error("cannot open a session file", &files.log, error));
        // Not the index that is kept in memory: what was read before says nothing of what the disk holds now.
        let mut index = Index::default();
        match self.refresh(cx, &target, &mut index, open) {
            Ok(log) => {
                seen.sessions += u64::from(log.is_some());
                seen.lines += index.log.lines();
                seen.legacy += u64::from(index.legacy.is_some());
                index.set.conflicts().for_each(|id| seen.verified.conflict(shown(&files.log), id));
                if index.log.torn > 0 {
                    seen.verified.note(format!(
                        "{}: {} bytes at the end are of a write that was interrupted, or is under way; the next write \
                         sets them aside",
                        shown(&files.log),
                        index.log.torn
                    ));
                }
                Ok(())
            }
            Err(error) => tell(Err(error), &files.log, seen),
        }
    }

    /// The tenants that have a folder.
    fn tenants_seen(&self, cx: &Context, seen: &mut Seen) -> Result<Vec<Tenant>> {
        let dir = self.layout.tenants();
        let names = self.disk.list(&dir).map_err(|error| io_error("cannot list the tenants", &dir, error))?;
        let mut tenants = vec![Tenant::default()];
        for (name, is_dir) in names.unwrap_or_default() {
            let path = dir.join(&name);
            if !is_dir {
                foreign(&path, seen);
                continue;
            }
            match name.to_str().map(name::decode) {
                Some(Decoded::Id(id)) if id.as_str() != Tenant::default().as_str() => {
                    tenants.push(Tenant::new(id.as_str())?);
                }
                Some(Decoded::Long) => match self.tenant_in_header(cx, &path) {
                    Ok(tenant) => tenants.extend(tenant),
                    Err(error) => tell(Err(error), &path, seen)?,
                },
                _ => misnamed(&path, "no tenant has a folder of this name", seen),
            }
        }
        Ok(tenants)
    }

    /// The sessions that have a file, and what else lies in the folder.
    fn sessions_seen(&self, cx: &Context, tenant: &Tenant, seen: &mut Seen) -> Result<BTreeSet<SessionId>> {
        let dir = self.layout.tenant(tenant);
        let names = self.disk.list(&dir).map_err(|error| io_error("cannot list the sessions", &dir, error))?;
        let mut ids = BTreeSet::new();
        for (name, is_dir) in names.unwrap_or_default() {
            cx.check_deadline()?;
            let path = dir.join(&name);
            let text = name.to_str().unwrap_or_default();
            if is_dir {
                if !(is_default(tenant) && [self.layout.tenants(), self.layout.locks()].contains(&path)) {
                    foreign(&path, seen);
                }
            } else if let Some(stem) = text.strip_suffix(LOG) {
                match name::decode(stem) {
                    Decoded::Id(id) => drop(ids.insert(id)),
                    Decoded::Long => match self.id_in_header(&path, tenant) {
                        Ok(id) => ids.extend(id),
                        Err(error) => tell(Err(error), &path, seen)?,
                    },
                    Decoded::Foreign => misnamed(&path, "no session has a file of this name", seen),
                }
            } else if let Some(stem) = text.strip_suffix(LEGACY).filter(|_| is_default(tenant)) {
                match name::verbatim(stem) {
                    Ok(id) => drop(ids.insert(id)),
                    Err(_) => misnamed(&path, "no session has a file of this name", seen),
                }
            } else if text.contains(&format!("{LOG}{TORN}")) {
                seen.verified.note(format!(
                    "{}: what an interrupted write left, set aside; compacting removes it",
                    shown(&path)
                ));
            } else if text.ends_with(&format!("{LOG}{TEMPORARY}")) {
                seen.verified
                    .note(format!("{}: what an interrupted compaction left; the next one removes it", shown(&path)));
            } else if path == self.layout.temporary_marker() {
                seen.verified.note(format!("{}: left when the store was created; it may be removed", shown(&path)));
            } else if ends_like_a_session(&name) {
                misnamed(&path, "no session has a file of this name", seen);
            } else if path != self.layout.marker() {
                foreign(&path, seen);
            }
        }
        Ok(ids)
    }
}

/// Whether a name that is not UTF-8 has the ending of a session file.
fn ends_like_a_session(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    name.to_str().is_none() && [LOG, LEGACY].iter().any(|ending| bytes.ends_with(ending.as_bytes()))
}

fn foreign(path: &Path, seen: &mut Seen) {
    seen.verified.note(format!("{}: not of this store; nobody looks at it", shown(path)));
}

fn misnamed(path: &Path, what: &str, seen: &mut Seen) {
    let remedy = "move it elsewhere: lists of sessions fail while it is there";
    seen.verified.problem(Problem::new(shown(path), what).with_remedy(remedy));
}

/// Turns an error of one file into a problem. Only the deadline ends the whole check.
fn tell(result: Result<()>, path: &Path, seen: &mut Seen) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    if error.kind() == ErrorKind::Timeout {
        return Err(error);
    }
    let mut place = error.get("file").map_or_else(|| shown(path), str::to_owned);
    for fact in ["line", "entry"] {
        if let Some(number) = error.get(fact) {
            place.push_str(&format!(", {fact} {number}"));
        }
    }
    let what = match error.get("reason") {
        Some(reason) => format!("{}: {reason}", error.message()),
        None => error.message().to_owned(),
    };
    let problem = Problem::new(place, what);
    seen.verified.problem(match error.kind() {
        ErrorKind::Corrupted => problem.with_remedy(RESTORE),
        _ => problem,
    });
    Ok(())
}
