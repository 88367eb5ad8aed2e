//! The options that every command has, and opening the store that they name.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args as ClapArgs;
use craftx::access::Guard;
use craftx::{Caller, Config, Elsewhere, Error, ErrorKind, Origin, Prepare, Result, Storage, Tenant};

use crate::output;

/// The time limit of a call that reads everything there is.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where the conversations are, such as `json:chat_logs`, `sqlite:craftx.db` or `postgres://host/db`; else the configuration says it
    #[arg(long, global = true, value_name = "URL", conflicts_with_all = ["profile", "config"])]
    store: Option<String>,
    /// The profile of the configuration; `craftx profiles` lists them
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// The file of the configuration, instead of `craftx.toml` here
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The namespace of the sessions
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    tenant: Tenant,
    /// On behalf of this principal, with its roles after a colon: `ann` or `ann:editor,support`
    #[arg(long = "as", global = true, value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// As the system, which may do everything, where the store limits who may do what
    #[arg(long, global = true, conflicts_with = "principal")]
    as_system: bool,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What was opened, so that it can be closed if somebody interrupts.
    #[arg(skip)]
    opened: Mutex<Vec<Storage>>,
}

impl Global {
    /// The store, which is made if it is not there.
    pub(crate) async fn open(&self) -> Result<Storage> {
        self.open_as(Prepare::Migrate).await
    }

    /// The store, which must be there and is not changed by opening it.
    pub(crate) async fn open_existing(&self) -> Result<Storage> {
        self.open_as(Prepare::Open).await
    }

    /// The store, which must be there and is upgraded if it is old, to change something in it.
    pub(crate) async fn open_to_change(&self) -> Result<Storage> {
        match self.check().await {
            // A hybrid goes on without a store that is damaged; by itself such a store cannot be opened either.
            Err(error) if !matches!(error.kind(), ErrorKind::SchemaTooOld | ErrorKind::Corrupted) => Err(error),
            _ => self.open().await,
        }
    }

    /// Whether the store could be opened.
    pub(crate) async fn check(&self) -> Result<()> {
        self.connect(Prepare::Check).await.map(drop)
    }

    async fn open_as(&self, mode: Prepare) -> Result<Storage> {
        let connected = self.connect(mode).await;
        if connected.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.say_elsewhere(None).await;
        }
        let storage = connected?.for_tenant(self.tenant.clone());
        let storage = match &self.principal {
            Some(principal) => storage.for_caller(caller(principal)?),
            None if self.as_system => storage.for_caller(Caller::System),
            // Nobody is the system because nobody was named.
            None if is_guarded(&storage) => {
                let error = Error::new(ErrorKind::Unauthenticated, "the store limits who may do what");
                return Err(error.with("say", "`--as PRINCIPAL` or `--as-system`"));
            }
            None => storage,
        };
        self.stores().push(storage.clone());
        self.say_elsewhere(Some(&storage)).await;
        Ok(storage)
    }

    async fn connect(&self, mode: Prepare) -> Result<Storage> {
        let connected = match &self.store {
            Some(url) => Storage::open_with(&craftx::builtin(), url, mode).await,
            None => self.sources().prepare(mode).open().await,
        };
        connected.map_err(|error| match error.kind() {
            ErrorKind::NotFound => missing(error),
            _ => error,
        })
    }

    /// If there is nothing in the store that the configuration names, says where something is that another profile names:
    /// somebody changed the profile, and has to be told that nothing is lost.
    async fn say_elsewhere(&self, opened: Option<&Storage>) {
        if self.store.is_some() {
            return;
        }
        // A hint that cannot be given is none.
        let sources = self.sources();
        let (Ok(found), Ok(Some(profile))) = (sources.elsewhere(opened).await, sources.profile_name()) else { return };
        for Elsewhere { profile: other, url, .. } in found {
            let config = self.config.as_ref().map(|file| format!(" --config '{}'", file.display())).unwrap_or_default();
            output::say(format_args!(
                "nothing is stored here yet, but profile `{other}` has conversations in `{url}`; to bring them here: craftx migrate \
                 run '{url}' profile:{profile}{config}"
            ));
        }
    }

    /// The store that a command names besides its own, such as the one to copy from: a URL, or `profile:NAME`. It is
    /// opened as the system, for all tenants, because it is about the store as a whole.
    pub(crate) async fn open_other(&self, name: &str, mode: Prepare) -> Result<Storage> {
        let opened = match name.strip_prefix("profile:") {
            Some(profile) => {
                let origin = Origin::Option { name: "profile:".to_owned() };
                self.sources().profile_from(profile, origin).prepare(mode).open().await
            }
            None => Storage::open_with(&craftx::builtin(), name, mode).await,
        };
        let storage = opened.map_err(|error| error.with("store", craftx::shown_url(name)))?;
        self.stores().push(storage.clone());
        Ok(storage.with_timeout(Some(LONG)).for_caller(Caller::System))
    }

    /// What the options, the environment and the files say, if they are asked instead of `--store`.
    fn sources(&self) -> Config {
        let mut config = Config::from_env();
        if let Some(profile) = &self.profile {
            config = config.profile_from(profile, Origin::Option { name: "--profile".to_owned() });
        }
        if let Some(file) = &self.config {
            config = config.file(file);
        }
        config
    }

    /// The configuration, for the commands that show it.
    pub(crate) fn configuration(&self) -> Result<Config> {
        match self.store {
            Some(_) => Err(Error::invalid("--store", "leaves the configuration aside; leave it out to see that")),
            None => Ok(self.sources()),
        }
    }

    /// The same store for what concerns it as a whole. Whoever may read its files is the system, unless the command
    /// was told on whose behalf it acts.
    pub(crate) fn for_administration(&self, storage: &Storage) -> Storage {
        let storage = storage.with_timeout(Some(LONG));
        match self.principal {
            Some(_) => storage,
            None => storage.for_caller(Caller::System),
        }
    }

    /// The namespace of the sessions.
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// What has been opened so far.
    pub(crate) fn opened(&self) -> Vec<Storage> {
        self.stores().clone()
    }

    /// A list cannot be left half-changed.
    fn stores(&self) -> MutexGuard<'_, Vec<Storage>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `NAME` or `NAME:ROLE,ROLE`.
fn caller(principal: &str) -> Result<Caller> {
    let (name, roles) = principal.split_once(':').unwrap_or((principal, ""));
    match name.is_empty() {
        true => Err(Error::invalid("--as", "must name somebody")),
        false => Ok(Caller::principal(name, roles.split(',').filter(|role| !role.is_empty()))),
    }
}

/// What to do about a store that is not there.
fn missing(error: Error) -> Error {
    if error.get("leg").is_some() {
        return error
            .with("say", "`craftx heal` if it is lost, which makes it anew from the others; else bring it back");
    }
    // Whoever lost the keys of a store, and is told to append, would write under others and no longer look for them.
    match error.get("by") {
        Some("key store") => {
            error.with("say", "`craftx append` if nothing was written yet; else restore the key store")
        }
        _ => error.with("made by", "`craftx append` or `craftx import`"),
    }
}

/// Whether a layer decides who may do what.
fn is_guarded(storage: &Storage) -> bool {
    storage.stack().find::<Guard>().is_some()
}
