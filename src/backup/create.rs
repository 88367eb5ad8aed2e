//! Writing the backup of a store.

use std::fmt;
use std::sync::Arc;

use craftx_core::{Cursor, Error, ErrorKind, MAX_PAGE, Record, Result, SessionId, Tenant, Time};
use serde::Serialize;

use super::archive::Archive;
use super::base::Base;
use super::format::{self, About, Begin, Counts, End};
use super::state;
use super::walk::Walk;
use super::writer::Writer;
use crate::Storage;

/// Failed sessions that a report names at most.
const NAMED: usize = 1_000;
/// How often a session whose cursor expires meanwhile is begun again.
const TRIES: u32 = 5;

/// Who is told how much has been done.
pub(super) type Watch = Arc<dyn Fn(&Counts) + Send + Sync>;

/// A backup that is to be made: of all tenants, cleared sessions included, while others write.
///
/// The storage must be [for](Storage::for_caller) [`Caller::System`](crate::Caller::System). What was acknowledged
/// before the backup began is in it; of what is written meanwhile, each session has what it had when it was read. Memory
/// does not grow with the store.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// use craftx::backup::{Archive, Backup, Restore};
/// use craftx::{Caller, NewMessage, Storage};
/// let storage = Storage::open("memory:").await?.for_caller(Caller::System);
/// storage.append("chat", NewMessage::user("hello")).await?;
/// let archive = Archive::file(folder.path().join("chats.craftx"));
/// assert_eq!(Backup::of(&storage).write_to(&archive).await?.counts.messages, 1);
///
/// let copy = Storage::open("memory:").await?.for_caller(Caller::System);
/// assert_eq!(Restore::of(&archive).into_storage(&copy).await?.applied, Some(1));
/// # Ok::<(), craftx::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Backup {
    storage: Storage,
    since: Option<Archive>,
    watch: Option<Watch>,
}

/// What was backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackedUp {
    /// Of what the archive is a backup.
    pub about: About,
    /// How much it holds.
    pub counts: Counts,
    /// The digest that it ends with, which names it.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// The sessions that could not be read to their end, 1,000 at most.
    pub failed: Vec<FailedSession>,
    /// Whether the store itself says now when it was backed up; a store that nobody may write to does not.
    pub recorded: bool,
}

/// A session that could not be read to its end. What could be read of it is in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailedSession {
    /// The tenant.
    pub tenant: Tenant,
    /// The session.
    pub session: SessionId,
    /// The error.
    pub error: String,
}

impl Backup {
    /// A backup of everything in a store.
    pub fn of(storage: &Storage) -> Self {
        Self { storage: storage.clone(), since: None, watch: None }
    }

    /// Only what arrived after this archive was written; restoring it needs that one too.
    #[must_use]
    pub fn since(mut self, base: Archive) -> Self {
        self.since = Some(base);
        self
    }

    /// After each session, `watch` is told how much has been backed up.
    #[must_use]
    pub fn watched(mut self, watch: impl Fn(&Counts) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Makes the backup. The archive appears when it is complete; one of the same name is replaced then.
    ///
    /// A session that cannot be read to its end does not stop the others, but the backup does not count as a good one.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) unless the caller is the system;
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the archive to build on is of another store, or the store was set
    /// back since; [`Corrupted`](ErrorKind::Corrupted) if that archive is damaged; and those of the store and of the
    /// place of the archive.
    ///
    /// # Cancel safety
    /// May be dropped at any time: nothing appears. Parts of an upload may be left where nobody sees them.
    pub async fn write_to(&self, archive: &Archive) -> Result<BackedUp> {
        self.run(archive).await.map_err(|error| error.during("backup"))
    }

    async fn run(&self, archive: &Archive) -> Result<BackedUp> {
        let walk = Walk::new(&self.storage);
        let cx = self.storage.context();
        cx.require_system()?;
        let status = walk.status().await?;
        let time = Time::try_from(cx.clock.wall())?;
        let store = status.store.to_string();
        let mut about = About::new(store, status.scheme, status.position, time, walk.encrypted);
        let base = match &self.since {
            Some(base) if base.to_string() == archive.to_string() => {
                return Err(Error::invalid("since", "an increment cannot take the place of what it builds on"));
            }
            Some(_) if status.store.is_nil() => {
                return Err(Error::invalid("since", "the store has no identity yet; back up all of it"));
            }
            Some(base) => {
                let base = Base::open(base, &about).await?;
                about.base = Some(base.digest.clone());
                Some(base)
            }
            None => None,
        };
        let writer = Writer::open(archive, &about).await.map_err(|error| archive.name(error))?;
        let (counts, failed) = (Counts::default(), Vec::new());
        let mut run = Run { walk, writer, base, counts, failed, sealed: false, watch: self.watch.clone() };
        if let Err(error) = run.all().await {
            run.writer.abort().await;
            return Err(error);
        }
        let Run { walk, writer, counts, failed, sealed, .. } = run;
        let (digest, size) = writer.finish(counts).await.map_err(|error| archive.name(error))?;
        let mut done = BackedUp { about, counts, digest, size, failed, recorded: false };
        // A store that cannot be written to can be backed up all the same.
        // One without an identity is a folder of another program, and is left as it is.
        let complete = counts.failed == 0 && !status.store.is_nil();
        // Nothing may be written in clear into one that was opened without its encryption.
        done.recorded = complete && sealed <= walk.encrypted && state::backed_up(&walk, &done).await.is_ok();
        Ok(done)
    }
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("storage", &self.storage).field("since", &self.since).finish_non_exhaustive()
    }
}

/// A backup that is being made.
struct Run {
    walk: Walk,
    writer: Writer,
    base: Option<Base>,
    counts: Counts,
    failed: Vec<FailedSession>,
    /// There are messages in ciphertext.
    sealed: bool,
    watch: Option<Watch>,
}

impl Run {
    async fn all(&mut self) -> Result<()> {
        for tenant in self.walk.tenants().await? {
            let before = self.counts.sessions;
            let mut from = None;
            loop {
                let (sessions, next) = self.walk.sessions(&tenant, from).await?;
                for session in sessions {
                    self.session(&tenant, session).await?;
                    if let Some(watch) = &self.watch {
                        watch(&self.counts);
                    }
                }
                match next {
                    Some(_) => from = next,
                    None => break,
                }
            }
            self.counts.tenants += u64::from(self.counts.sessions > before);
        }
        Ok(())
    }

    async fn session(&mut self, tenant: &Tenant, session: SessionId) -> Result<()> {
        let from = match &mut self.base {
            Some(base) => base.cursor(tenant, &session).await?,
            None => None,
        };
        self.writer.line(&format::encode(&Begin::new(tenant.clone(), session.clone()))).await?;
        let mut end = End::new(0, 0, 0, String::new());
        match self.records(tenant, &session, from, &mut end).await? {
            Ok(cursor) => end.cursor = Some(cursor),
            Err(error) => {
                // If the store as a whole is gone, that is no matter of one session.
                self.walk.status().await?;
                end.failed = Some(error.kind().as_str().to_owned());
                self.counts.failed += 1;
                if self.failed.len() < NAMED {
                    let (tenant, error) = (tenant.clone(), error.to_string());
                    self.failed.push(FailedSession { tenant, session, error });
                }
            }
        }
        self.counts.sessions += 1;
        self.counts.records += end.records;
        self.counts.messages += end.messages;
        self.counts.bytes += end.bytes;
        self.writer.end_of_session(end).await
    }

    /// Writes the records of a session. The outer error is one of the archive, the inner one of the session.
    async fn records(
        &mut self,
        tenant: &Tenant,
        session: &SessionId,
        mut from: Option<Cursor>,
        end: &mut End,
    ) -> Result<Result<Cursor>> {
        let mut tries = 0;
        loop {
            let cx = self.walk.context(tenant);
            let part = match self.walk.backend.records(&cx, session, from.as_ref(), Some(MAX_PAGE)).await {
                Ok(part) => part,
                // The cursor has expired: the session whole. What is in the archive already is there twice then.
                Err(error) if error.kind() == ErrorKind::Conflict && from.is_some() && tries < TRIES => {
                    (from, tries) = (None, tries + 1);
                    continue;
                }
                Err(error) => return Ok(Err(error)),
            };
            for record in &part.items {
                let line = record.encode();
                end.records += 1;
                if let Record::Message(message) = record {
                    end.messages += 1;
                    self.sealed |= message.sealed.is_some();
                }
                end.bytes += line.as_str().len() as u64;
                self.writer.line(line.as_str()).await?;
            }
            if part.done {
                return Ok(Ok(part.next));
            }
            from = Some(part.next);
        }
    }
}
