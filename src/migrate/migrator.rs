//! What a migration is told before it begins.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use craftx_core::{Error, Result};

use super::journal::Journal;
use super::walk::{self, Place};
use super::{Comparison, Migrated, Plan, Progress, Target, compare, copy, plan};
use crate::Storage;

/// Moves everything from one store to another, of all tenants.
///
/// Both storages must speak for [`Caller::System`](crate::Caller::System). Open the source with
/// [`Prepare::Open`](crate::Prepare::Open) ([`Storage::open_existing`]): it is only read, and is not even upgraded then. Both
/// may have any layers: what one encrypts, the other gets in clear or encrypts by itself.
///
/// Each call of a store may take as long as the storage says ([`Storage::with_timeout`]).
#[derive(Clone)]
pub struct StorageMigrator {
    pub(super) from: Storage,
    pub(super) to: Storage,
    merge: bool,
    journal: Option<PathBuf>,
    pub(super) watcher: Watcher,
}

/// Who is told how far it is, if anybody.
#[derive(Clone, Default)]
pub(super) struct Watcher(Option<Watch>);

type Watch = Arc<dyn Fn(&Progress) + Send + Sync>;

impl Watcher {
    pub(super) fn tell(&self, progress: &Progress) {
        if let Some(watch) = &self.0 {
            watch(progress);
        }
    }
}

impl StorageMigrator {
    /// A migration from one store to another. Nothing is read or written yet.
    pub fn new(from: &Storage, to: &Storage) -> Self {
        Self { from: from.clone(), to: to.clone(), merge: false, journal: None, watcher: Watcher::default() }
    }

    /// Allows a target that holds something already: what both stores have is united.
    #[must_use]
    pub fn merge(mut self, merge: bool) -> Self {
        self.merge = merge;
        self
    }

    /// Keeps in this file how far each session is, so that the next run goes on there, and needs no
    /// [`merge`](Self::merge) for the target that this one filled. The file is made if it is not there.
    ///
    /// It names tenants and sessions, and has nothing of their content.
    #[must_use]
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Is told again and again how far [`run`](Self::run), [`plan`](Self::plan) or [`verify`](Self::verify) is.
    #[must_use]
    pub fn watch(mut self, watch: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.watcher = Watcher(Some(Arc::new(watch)));
        self
    }

    /// Says what [`run`](Self::run) would do. Reads both stores and changes nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run), but a target that is not empty is an [answer](Plan::target).
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn plan(&self) -> Result<Plan> {
        self.planned().await.map_err(|error| error.during("plan migration"))
    }

    /// As [`plan`](Self::plan), for a target that does not exist yet.
    ///
    /// # Errors
    /// Those of the source.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn plan_new(from: &Storage, watch: impl Fn(&Progress) + Send + Sync + 'static) -> Result<Plan> {
        let watcher = Watcher(Some(Arc::new(watch)));
        let planned = async {
            walk::system(from)?;
            plan::plan(from, None, &watcher).await
        };
        planned.await.map_err(|error| error.during("plan migration"))
    }

    /// Copies what the target lacks, until there is nothing left to copy. May be run again at any time, after a crash too: what
    /// is there already is known, and a run that [applies](Migrated::applied) nothing shows that all is there.
    ///
    /// While others write to the source it goes over the sessions again, and gives up catching up after 16 times
    /// ([`Migrated::caught_up`]). A session that cannot be read or written is [named](Migrated::failed), and the others are
    /// copied.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) unless both storages speak for the system,
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) with a fact `field`: `to` if both are the same store, `merge` if the
    /// target is not empty, `journal` if the journal is that of other stores or none at all;
    /// [`Locked`](crate::ErrorKind::Locked) if another migration uses the journal; and those of both stores that concern more
    /// than one session.
    ///
    /// # Cancel safety
    /// May be dropped at any time; run it again.
    pub async fn run(&self) -> Result<Migrated> {
        self.ran().await.map_err(|error| error.during("migrate"))
    }

    /// Compares the records of both stores, session by session and both ways, by the digests of their canonical encodings.
    /// Changes nothing.
    ///
    /// It holds the digests of one session at a time. What is written meanwhile may be told as a difference.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for the journal and the target that is not empty.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn verify(&self) -> Result<Comparison> {
        let compared = async {
            self.places().await?;
            compare::compare(&self.from, &self.to, &self.watcher).await
        };
        compared.await.map_err(|error| error.during("verify migration"))
    }

    /// How many sessions the source has, cleared ones included: what [`watch`](Self::watch) counts up to.
    ///
    /// # Errors
    /// Those of the source.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn count_sessions(&self) -> Result<u64> {
        walk::system(&self.from)?;
        walk::count_sessions(&self.from).await
    }

    /// A name for the [`journal`](Self::journal) of these two stores, which no other two have.
    ///
    /// # Errors
    /// Those of both stores.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn journal_name(&self) -> Result<String> {
        let (from, to) = self.places().await?;
        Ok(format!("craftx-migration-{}-{}.jsonl", from.short(), to.short()))
    }

    async fn planned(&self) -> Result<Plan> {
        let (from, to) = self.places().await?;
        let resumes = match &self.journal {
            Some(path) => Journal::resumes(path, &from, &to)?,
            None => false,
        };
        let mut planned = plan::plan(&self.from, Some(&self.to), &self.watcher).await?;
        if resumes && planned.target == Target::NotEmpty {
            planned.target = Target::Resumes;
        }
        Ok(planned)
    }

    async fn ran(&self) -> Result<Migrated> {
        let (from, to) = self.places().await?;
        let journal = match &self.journal {
            Some(path) => Journal::open(path, &from, &to)?,
            None => None,
        };
        let journal = match journal {
            Some(journal) => journal,
            None => {
                self.refuse_what_is_not_empty().await?;
                Journal::create(self.journal.as_deref(), &from, &to)?
            }
        };
        copy::copy(self.clone(), journal).await
    }

    async fn refuse_what_is_not_empty(&self) -> Result<()> {
        match self.merge || walk::is_empty(&self.to).await? {
            true => Ok(()),
            false => Err(Error::invalid("merge", "the target is not empty, and nobody said that both be united")),
        }
    }

    /// Which stores these are.
    async fn places(&self) -> Result<(Place, Place)> {
        walk::system(&self.from)?;
        walk::system(&self.to)?;
        let (from, to) = (Place::of(&self.from).await?, Place::of(&self.to).await?);
        match from.is(&to) {
            true => Err(Error::invalid("to", "the target is the source itself").with("store", to.name)),
            false => Ok((from, to)),
        }
    }
}

impl fmt::Debug for StorageMigrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageMigrator")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("merge", &self.merge)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}
