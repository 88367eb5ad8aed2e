//! Configuration: profiles, `craftx.toml`, the environment and the program, put over each other.

mod elsewhere;
mod entry;
mod file;
mod guide;
mod merged;
mod origin;
mod parts;
mod profiles;
mod recommend;
mod resolved;
mod setting;
mod variables;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use craftx_core::{Prepare, Registry, Result, Stack, StackConfig, is_name};
use serde_json::Value;

pub use elsewhere::Elsewhere;
pub use origin::Origin;
pub use profiles::{ProfileInfo, list_profiles};
pub use recommend::{Recommendation, recommend};
pub use setting::Setting;

use entry::{Entry, MASK};
use resolved::{Resolved, Sources};

use crate::Storage;

/// How a store is chosen and opened: profiles, a file, the environment and the program, each over the one before.
///
/// `docs/configuration.md` tells every key, variable and rule. Every error names the key, where it came from, and the
/// nearest known name, and quotes no value of an option.
///
/// ```
/// use craftx::Config;
/// let config = Config::new().profile("development").set("json.path", "elsewhere");
/// config.check()?;
/// let settings = config.origins()?;
/// let shown = |key: &str| settings.iter().find(|setting| setting.key == key).map(|s| (s.value.as_str(), s.origin.to_string()));
/// assert_eq!(shown("backend"), Some(("\"json\"", "built-in profile `development`".to_owned())));
/// assert_eq!(shown("json.path"), Some(("\"elsewhere\"", "code".to_owned())));
/// # Ok::<(), craftx::Error>(())
/// ```
#[derive(Clone)]
pub struct Config {
    registry: Registry,
    profile: Option<(String, Origin)>,
    file: FileChoice,
    variables: Vec<(OsString, OsString)>,
    overrides: Vec<Entry>,
    mode: Prepare,
}

/// Which file is read.
#[derive(Clone, Debug)]
enum FileChoice {
    None,
    /// `craftx.toml` in this folder, if it is there.
    Find(PathBuf),
    /// This one, which must be there.
    This(PathBuf),
}

impl Config {
    /// The built-in profiles alone: no file and no environment.
    pub fn new() -> Self {
        Self {
            registry: crate::builtin(),
            profile: None,
            file: FileChoice::None,
            variables: Vec::new(),
            overrides: Vec::new(),
            mode: Prepare::Migrate,
        }
    }

    /// The environment of this process, and the file that it names by `CRAFTX_CONFIG`, or `craftx.toml` in the current
    /// folder if there is one.
    pub fn from_env() -> Self {
        Self::new().variables(std::env::vars_os()).folder(".")
    }

    /// Names the profile, whatever the environment and the file say.
    #[must_use]
    pub fn profile(self, name: impl Into<String>) -> Self {
        self.profile_from(name, Origin::Code)
    }

    /// As [`Config::profile`], for programs that were told the profile themselves: errors name `origin`.
    #[must_use]
    pub fn profile_from(mut self, name: impl Into<String>, origin: Origin) -> Self {
        self.profile = Some((name.into(), origin));
        self
    }

    /// Names the file, whatever the environment says. It must be there.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = FileChoice::This(path.into());
        self
    }

    /// Looks for `craftx.toml` in this folder, unless the environment names a file.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.file = FileChoice::Find(folder.into());
        self
    }

    /// Takes these variables for the environment. Only those that begin with `CRAFTX_` count.
    #[must_use]
    pub fn variables<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Sets a key, such as `sqlite.path`, over all other sources.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.overrides.push(Entry::new(key.split('.').map(str::to_owned).collect(), value, Origin::Code));
        self
    }

    /// Builds with the backends and layers of a registry, plugins among them.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Sets whether opening may create or upgrade the store. Default: it may ([`Prepare::Migrate`]).
    #[must_use]
    pub fn prepare(mut self, mode: Prepare) -> Self {
        self.mode = mode;
        self
    }

    /// Finds out whether the configuration can be built, without touching any store.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) naming the key, where it came from, and the nearest known name.
    pub fn check(&self) -> Result<()> {
        self.stack().map(drop)
    }

    /// Builds the stack, without touching any store.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn stack(&self) -> Result<Stack> {
        Resolved::new(self, &Sources::read(self)?)?.stack()
    }

    /// What the stack consists of.
    ///
    /// # Errors
    /// As [`Config::check`], but parts are not asked whether they accept their options.
    pub fn stack_config(&self) -> Result<StackConfig> {
        Resolved::new(self, &Sources::read(self)?)?.stack_config()
    }

    /// Every value that was given and counts, and where it came from; defaults of parts are not among them. Secrets are masked; as long as [`Config::check`] fails, so is
    /// all text but paths and the names of parts.
    ///
    /// # Errors
    /// As [`Config::check`] if the sources cannot be put together at all.
    pub fn origins(&self) -> Result<Vec<Setting>> {
        let resolved = Resolved::new(self, &Sources::read(self)?)?;
        Ok(setting::settings(&resolved, resolved.stack().is_ok()))
    }

    /// The profiles that can be named: those that are built in, and those of the file.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) if the file cannot be read.
    pub fn profiles(&self) -> Result<Vec<ProfileInfo>> {
        Ok(Sources::read(self)?.profiles.list())
    }

    /// The profile that counts; `None` if the file describes a stack of its own.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) if the sources cannot be put together at all.
    pub fn profile_name(&self) -> Result<Option<String>> {
        let resolved = Resolved::new(self, &Sources::read(self)?)?;
        Ok(resolved.profile.as_ref().map(|(name, _)| name.clone()))
    }

    /// The file that is read, if any.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) if it cannot be read.
    pub fn path(&self) -> Result<Option<PathBuf>> {
        Ok(Sources::read(self)?.path)
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`Config::check`] and [`Storage::open`].
    pub async fn open(&self) -> Result<Storage> {
        let storage = Storage::new(self.stack()?);
        storage.prepare(self.mode).await?;
        Ok(storage)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Config {
    /// Shows no value of an option and of no variable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("profile", &self.profile.as_ref().map(|(name, _)| if is_name(name) { name } else { MASK }))
            .field("file", &self.file)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl Storage {
    /// Opens the store of a profile: one that is built in ([`list_profiles`]), or one of `craftx.toml`. The file and
    /// the environment count as in [`Storage::from_env`]; only the name of the profile is given.
    ///
    /// # Errors
    /// As [`Config::check`] and [`Storage::open`].
    ///
    /// ```standalone_crate
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(folder.path()).unwrap();
    /// let storage = craftx::Storage::from_profile("production_sqlite").await?;
    /// assert_eq!(storage.status().await?.scheme, "sqlite");
    /// assert!(std::path::Path::new("craftx_production.db").is_file());
    /// # Ok::<(), craftx::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn from_profile(name: &str) -> Result<Self> {
        Config::from_env().profile(name).open().await
    }

    /// Opens the store that a file describes. The environment counts as in [`Storage::from_env`].
    ///
    /// # Errors
    /// As [`Config::check`] and [`Storage::open`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("craftx.toml");
    /// std::fs::write(&path, "backend = 'memory'").unwrap();
    /// let storage = craftx::Storage::from_config(&path).await?;
    /// assert_eq!(storage.status().await?.scheme, "memory");
    /// # Ok::<(), craftx::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn from_config(path: impl Into<PathBuf>) -> Result<Self> {
        Config::from_env().file(path).open().await
    }

    /// Opens the store that the environment describes: `CRAFTX_CONFIG` names the file (otherwise `craftx.toml` in the
    /// current folder counts, if it is there), `CRAFTX_PROFILE` the profile (otherwise the file does, otherwise it is
    /// `development`), and `CRAFTX_PART__KEY` sets a key.
    ///
    /// # Errors
    /// As [`Config::check`] and [`Storage::open`].
    pub async fn from_env() -> Result<Self> {
        Config::from_env().open().await
    }
}
