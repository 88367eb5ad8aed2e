//! Listing sessions and tenants.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use craftx_core::{
    Binding, Context, Cursor, Error, ErrorKind, Include, Page, Result, Scope, Session, SessionId, SessionOrder,
    SessionQuery, Stamp, Tenant, page_size,
};

use crate::error::{corrupted, io_error};
use crate::header::{Header, NoHeader};
use crate::layout::{LEGACY, LOG};
use crate::lines::Lines;
use crate::name::{self, Decoded};
use crate::store::Store;

/// What a header takes at most: two names of 255 bytes, each byte escaped, and the rest.
const HEADER: u64 = 2_048;

impl Store {
    /// Lists sessions. A file that cannot be read fails the page that its session would be on: nothing is left out in
    /// silence. Whoever copies the store is given the name alone, and the error where the session is read, so that one
    /// file does not hide the others.
    pub(crate) fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        let _pass = self.enter(cx)?;
        let binding = Binding::sessions(&cx.tenant, query);
        let after = query.cursor.as_ref().map(|cursor| cursor.position(&binding)).transpose()?;
        let mut names = self.session_names(cx, &cx.tenant)?;
        names.retain(|id| query.prefix.as_deref().is_none_or(|prefix| id.as_str().starts_with(prefix)));
        match query.order {
            SessionOrder::ById => {
                names.retain(|id| after.is_none_or(|after| id.as_str() > after));
                self.page(cx, query, names.into_iter(), |session| Cursor::new(&binding, &session.id))
            }
            _ => {
                let names = self.by_time(cx, names, after)?;
                let position = |session: &Session| Cursor::new(&binding, Moment::of(session.updated, &session.id));
                self.page(cx, query, names.into_iter(), position)
            }
        }
    }

    fn page(
        &self,
        cx: &Context,
        query: &SessionQuery,
        names: impl Iterator<Item = SessionId>,
        cursor: impl Fn(&Session) -> Cursor,
    ) -> Result<Page<Session>> {
        let size = page_size(query.limit);
        let mut page = Page::default();
        for id in names {
            cx.check_deadline()?;
            let found = match self.look_up(cx, &id) {
                Err(error) if is_all(query) && concerns_one(&error) => {
                    Some((Session::new(id, Stamp::MIN, UNIX_EPOCH), false))
                }
                found => found?,
            };
            let Some((session, live)) = found else { continue };
            let fits = (live || query.include == Include::All) && query.admits(&session);
            if !fits {
                continue;
            }
            if page.items.len() == size {
                page.next = page.items.last().map(cursor);
                break;
            }
            page.items.push(session);
        }
        Ok(page)
    }

    /// The sessions that were written last come first.
    fn by_time(&self, cx: &Context, names: Vec<SessionId>, after: Option<&str>) -> Result<Vec<SessionId>> {
        let mut moments = Vec::with_capacity(names.len());
        for id in names {
            let files = self.layout.session(&cx.tenant, &id);
            let mut updated = UNIX_EPOCH;
            for path in [Some(&files.log), files.legacy.as_ref()].into_iter().flatten() {
                let stat = self.disk.stat_path(path).map_err(|error| io_error("cannot look at a file", path, error))?;
                updated = updated.max(stat.map_or(UNIX_EPOCH, |stat| stat.modified));
            }
            moments.push(Moment::of(updated, &id));
        }
        moments.sort_unstable();
        if let Some(after) = after {
            let after = Moment::parse(after)?;
            moments.retain(|moment| *moment > after);
        }
        Ok(moments.into_iter().map(|moment| moment.id).collect())
    }

    /// The names of all sessions that have a file, by the bytes of their ids.
    pub(crate) fn session_names(&self, cx: &Context, tenant: &Tenant) -> Result<Vec<SessionId>> {
        let dir = self.layout.tenant(tenant);
        let names = self.disk.list(&dir).map_err(|error| io_error("cannot list the sessions", &dir, error))?;
        let mut ids = Vec::new();
        for (name, is_dir) in names.unwrap_or_default() {
            let foreign = || corrupted(&dir.join(&name), None, "no session has a file of this name");
            if is_dir {
                continue;
            }
            let Some(text) = name.to_str() else {
                let bytes = name.as_encoded_bytes();
                if bytes.ends_with(LOG.as_bytes()) || bytes.ends_with(LEGACY.as_bytes()) {
                    return Err(foreign());
                }
                continue;
            };
            if let Some(stem) = text.strip_suffix(LOG) {
                match name::decode(stem) {
                    Decoded::Id(id) => ids.push(id),
                    Decoded::Long => ids.extend(self.id_in_header(&dir.join(&name), tenant)?),
                    Decoded::Foreign => return Err(foreign()),
                }
            } else if let Some(stem) = text.strip_suffix(LEGACY).filter(|_| crate::layout::is_default(tenant)) {
                ids.push(name::verbatim(stem).map_err(|_| foreign())?);
            }
            cx.check_deadline()?;
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The id of a session whose name was cut. `None`: nothing was ever stored in the file.
    pub(crate) fn id_in_header(&self, path: &std::path::Path, tenant: &Tenant) -> Result<Option<SessionId>> {
        let failed = |error| io_error("cannot read a session file", path, error);
        let Some(file) = self.disk.open(path).map_err(failed)? else { return Ok(None) };
        let size = self.disk.stat(&file).map_err(failed)?.len;
        let Some(line) = Lines::new(&self.disk, &file, path, 0, size.min(HEADER)).next()? else { return Ok(None) };
        match Header::read(&line.bytes) {
            Ok(header) if line.whole && header.tenant == *tenant => Ok(Some(header.session)),
            Ok(_) if line.whole => Err(corrupted(path, Some(1), "the file is that of another tenant")),
            Err(NoHeader::Wrong(error)) => Err(error.with("file", crate::error::shown(path)).with("line", 1)),
            // The first append to the file was interrupted, or the header is damaged.
            _ => {
                let bytes = self.disk.read(&file, 0, usize::try_from(size).unwrap_or(usize::MAX)).map_err(failed)?;
                match crate::recover::judge(0, &bytes) {
                    crate::recover::Tail::Torn => Ok(None),
                    crate::recover::Tail::Damaged(index) => {
                        Err(corrupted(path, Some(index + 1), "a line is not what was written"))
                    }
                }
            }
        }
    }

    pub(crate) fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        cx.require_system()?;
        let _pass = self.enter(cx)?;
        let binding = Binding::new("tenants", &Tenant::default(), []);
        let after = from.map(|cursor| cursor.position(&binding)).transpose()?;
        let mut tenants = self.tenant_names(cx)?;
        tenants.retain(|tenant| after.is_none_or(|after| tenant.as_str() > after));
        let size = page_size(None);
        let mut page = Page::default();
        for tenant in tenants {
            if !self.has_records(cx, &tenant)? {
                continue;
            }
            if page.items.len() == size {
                page.next = page.items.last().map(|tenant| Cursor::new(&binding, tenant));
                break;
            }
            page.items.push(tenant);
        }
        Ok(page)
    }

    fn tenant_names(&self, cx: &Context) -> Result<Vec<Tenant>> {
        let dir = self.layout.tenants();
        let names = self.disk.list(&dir).map_err(|error| io_error("cannot list the tenants", &dir, error))?;
        let mut tenants = vec![Tenant::default()];
        for (name, _) in names.unwrap_or_default().into_iter().filter(|(_, is_dir)| *is_dir) {
            let path = dir.join(&name);
            match name.to_str().map(name::decode) {
                Some(Decoded::Id(id)) if id.as_str() != Tenant::default().as_str() => {
                    tenants.push(Tenant::new(id.as_str())?);
                }
                Some(Decoded::Long) => tenants.extend(self.tenant_in_header(cx, &path)?),
                _ => return Err(corrupted(&path, None, "no tenant has a folder of this name")),
            }
        }
        tenants.sort_unstable();
        Ok(tenants)
    }

    /// The tenant whose name was cut, by the header of any of its sessions.
    pub(crate) fn tenant_in_header(&self, cx: &Context, dir: &std::path::Path) -> Result<Option<Tenant>> {
        let names = self.disk.list(dir).map_err(|error| io_error("cannot list the sessions", dir, error))?;
        for (name, _) in names.unwrap_or_default() {
            cx.check_deadline()?;
            let path = dir.join(&name);
            if !name.as_encoded_bytes().ends_with(LOG.as_bytes()) {
                continue;
            }
            let failed = |error| io_error("cannot read a session file", &path, error);
            let Some(file) = self.disk.open(&path).map_err(failed)? else { continue };
            let line = Lines::new(&self.disk, &file, &path, 0, HEADER).next()?;
            if let Some(Ok(header)) = line.filter(|line| line.whole).map(|line| Header::read(&line.bytes)) {
                return Ok(Some(header.tenant));
            }
        }
        Ok(None)
    }

    fn has_records(&self, cx: &Context, tenant: &Tenant) -> Result<bool> {
        let cx = cx.clone().with_tenant(tenant.clone());
        for id in self.session_names(&cx, tenant)? {
            cx.check_deadline()?;
            match self.look_up(&cx, &id) {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(true),
                // A session that cannot be read has records.
                Err(error) if concerns_one(&error) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Whether the query is that of who copies the whole store.
fn is_all(query: &SessionQuery) -> bool {
    let SessionQuery { scope, include, prefix, metadata, .. } = query;
    *include == Include::All && *scope == Scope::All && prefix.is_none() && metadata.is_empty()
}

/// Whether an error says something of one file and nothing of the others.
fn concerns_one(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupted | ErrorKind::PermissionDenied | ErrorKind::SchemaTooNew)
}

/// When a session was written last, and which: the latest first, equal times by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    nanoseconds: Reverse<u128>,
    id: SessionId,
}

impl Moment {
    fn of(updated: SystemTime, id: &SessionId) -> Self {
        let since = updated.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { nanoseconds: Reverse(since.as_nanos()), id: id.clone() }
    }

    fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("cursor", "is no cursor of this list");
        let (nanoseconds, id) = text.split_once('.').ok_or_else(wrong)?;
        Ok(Self {
            nanoseconds: Reverse(nanoseconds.parse().map_err(|_| wrong())?),
            id: SessionId::new(id).map_err(|_| wrong())?,
        })
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.nanoseconds.0, self.id)
    }
}
