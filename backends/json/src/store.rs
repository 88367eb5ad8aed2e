//! The store without the `async` around it: what all calls share, and reading one session.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use craftx_core::union::no_such_session;
use craftx_core::{
    Context, Durability, Error, ErrorKind, MessageQuery, Messages, Prepare, Result, Session, SessionId, Stamp, Tenant,
};

use crate::cache::{Cache, Slot};
use crate::config::JsonConfig;
use crate::error::poisoned;
use crate::file::Disk;
use crate::gate::{Gate, Pass};
use crate::index::{Index, Place, Target, has_moved};
use crate::layout::{Layout, SessionFiles};
use crate::lock::Locks;
use crate::marker::{self, Opened};

/// How often a session is read again before it is called corrupted: what looks so can be a file that another process
/// is changing right now.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// A folder of sessions.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) layout: Layout,
    pub(crate) disk: Disk,
    pub(crate) locks: Locks,
    pub(crate) cache: Cache,
    pub(crate) gate: Gate,
    longest_wait: Duration,
    durability: Durability,
    /// A sync has failed: see [`poisoned`].
    poisoned: AtomicBool,
}

/// A session as one call sees it: the answer of `look` at the index, and the files that the index speaks of.
pub(crate) struct View<T> {
    pub(crate) answer: T,
    pub(crate) log: Option<File>,
    pub(crate) legacy: Option<File>,
}

impl Store {
    pub(crate) fn new(config: &JsonConfig, disk: Disk) -> Result<Self> {
        let root = std::path::absolute(&config.path)
            .map_err(|error| Error::new(ErrorKind::ConfigInvalid, "`path` is no path of a folder").because(error))?;
        let layout = Layout::new(root);
        let longest_wait = Duration::from_millis(config.lock_wait_ms);
        Ok(Self {
            locks: Locks::new(layout.locks(), disk.clone(), longest_wait),
            layout,
            disk,
            cache: Cache::new(config.cache_entries),
            gate: Gate::default(),
            longest_wait,
            durability: config.durability,
            poisoned: AtomicBool::new(false),
        })
    }

    pub(crate) fn prepare(&self, cx: &Context, mode: Prepare) -> Result<()> {
        cx.check_deadline()?;
        self.gate.check_not_closed()?;
        let opened = marker::prepare(cx, &self.disk, &self.layout, &self.locks, mode)?;
        if mode == Prepare::Check { Ok(()) } else { self.gate.open(opened) }
    }

    pub(crate) fn close(&self, cx: &Context) -> Result<()> {
        self.gate.close(cx, self.longest_wait)
    }

    pub(crate) fn enter(&self, cx: &Context) -> Result<Pass<'_>> {
        cx.check_deadline()?;
        self.gate.enter()
    }

    /// Enters to write.
    pub(crate) fn enter_to_write(&self, cx: &Context) -> Result<Pass<'_>> {
        let pass = self.enter(cx)?;
        if pass.opened == Opened::Legacy {
            return Err(Error::new(
                ErrorKind::SchemaTooOld,
                "this folder of CraftX.py can only be read until it is migrated",
            ));
        }
        self.check_not_poisoned()?;
        Ok(pass)
    }

    /// Fails if a sync has failed: what the disk holds is unknown, and a later sync may succeed without having brought
    /// it there.
    pub(crate) fn check_not_poisoned(&self) -> Result<()> {
        if self.poisoned.load(Ordering::SeqCst) { Err(poisoned()) } else { Ok(()) }
    }

    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }

    /// Brings a file to the disk; if that fails, nothing is written any more.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        self.disk.sync(file).inspect_err(|_| self.poison())
    }

    /// Brings the names in a folder to the disk; if that fails, nothing is written any more.
    pub(crate) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path).inspect_err(|_| self.poison())
    }

    pub(crate) fn syncs(&self) -> bool {
        self.durability == Durability::PowerLoss
    }

    pub(crate) fn slot(&self, target: &Target<'_>) -> Arc<Slot> {
        self.cache.slot(target.tenant, target.session)
    }

    pub(crate) fn target<'a>(
        &'a self,
        tenant: &'a Tenant,
        session: &'a SessionId,
        files: &'a SessionFiles,
    ) -> Target<'a> {
        Target { disk: &self.disk, tenant, session, files }
    }

    /// Brings an index up to date and returns the session file that it speaks of.
    pub(crate) fn refresh(
        &self,
        cx: &Context,
        target: &Target<'_>,
        index: &mut Index,
        open: impl Fn() -> Result<Option<File>>,
    ) -> Result<Option<File>> {
        let mut looks = 1;
        loop {
            let file = open()?;
            match index.refresh(cx, target, file.as_ref()) {
                Ok(()) => {
                    self.cache.weigh(target.tenant, target.session, index.set.len());
                    return Ok(file);
                }
                Err(error) if error.kind() == ErrorKind::Corrupted && looks < LOOKS => {
                    index.forget();
                    if looks > 1 {
                        std::thread::sleep(BETWEEN_LOOKS);
                    }
                }
                Err(error) => {
                    index.forget();
                    return Err(error);
                }
            }
            looks += 1;
        }
    }

    /// Looks at a session that is up to date. What another process is about to sync is brought to the disk first: a loss
    /// of power must not take back what somebody has read.
    pub(crate) fn view<T>(
        &self,
        cx: &Context,
        target: &Target<'_>,
        look: impl FnOnce(&Index) -> Result<T>,
    ) -> Result<View<T>> {
        let slot = self.slot(target);
        let mut index = slot.index();
        let open = || {
            self.disk
                .open(&target.files.log)
                .map_err(|error| crate::error::io_error("cannot open a session file", &target.files.log, error))
        };
        let known = index.log.end;
        let log = self.refresh(cx, target, &mut index, open)?;
        if index.log.end != known && !self.locks.is_free(&target.files.lock_name) {
            let durable = self.make_durable(target, log.as_ref(), index.durable_to, index.log.end);
            index.durable_to = durable.inspect_err(|_| index.forget())?;
        }
        let legacy = target.open_legacy(index.legacy)?;
        Ok(View { answer: look(&index)?, log, legacy })
    }

    pub(crate) fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        let _pass = self.enter(cx)?;
        let files = self.layout.session(&cx.tenant, session);
        let target = self.target(&cx.tenant, session, &files);
        self.again_if_moved(&target, || {
            let view = self.view(cx, &target, |index| {
                if !index.set.is_live() {
                    return Err(no_such_session(session));
                }
                let (found, more) = index.set.select(query)?;
                Ok((found.into_iter().map(|(id, place)| (id, *place)).collect::<Vec<_>>(), more))
            })?;
            let (places, more) = view.answer;
            let body = |(id, place): (Stamp, Place)| {
                cx.check_deadline()?;
                target.message(id, place, view.log.as_ref(), view.legacy.as_ref())
            };
            Ok(Messages { items: places.into_iter().map(body).collect::<Result<_>>()?, more })
        })
    }

    /// Runs a read again, from scratch, if what the index speaks of has moved away in between.
    pub(crate) fn again_if_moved<T>(&self, target: &Target<'_>, read: impl Fn() -> Result<T>) -> Result<T> {
        let mut looks = 1;
        loop {
            match read() {
                Err(error) if has_moved(&error) && looks < LOOKS => {
                    self.slot(target).index().forget();
                }
                done => return done,
            }
            looks += 1;
        }
    }

    pub(crate) fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        let _pass = self.enter(cx)?;
        Ok(self.look_up(cx, session)?.filter(|(_, live)| *live).map(|(session, _)| session))
    }

    /// What is known of a session, and whether it exists.
    pub(crate) fn look_up(&self, cx: &Context, session: &SessionId) -> Result<Option<(Session, bool)>> {
        let files = self.layout.session(&cx.tenant, session);
        let target = self.target(&cx.tenant, session, &files);
        let view = self.view(cx, &target, |index| {
            let updated = index.updated.unwrap_or(std::time::SystemTime::UNIX_EPOCH);
            Ok(index.set.session(session, updated).map(|session| (session, index.set.is_live())))
        })?;
        Ok(view.answer)
    }
}
