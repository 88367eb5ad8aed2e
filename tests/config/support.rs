//! A folder with a file, and what a configuration says of itself.

use std::path::PathBuf;
use std::sync::Arc;

use craftx::{Config, Memory, Registry, StackConfig};
use serde::Deserialize;
use tempfile::TempDir;

/// A folder in which a file `craftx.toml` may lie.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn with(toml: &str) -> Self {
        let folder = Self::empty();
        std::fs::write(folder.path("craftx.toml"), toml).unwrap();
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Reads the file of this folder, and these variables.
    pub(crate) fn config(&self, variables: &[(&str, &str)]) -> Config {
        Config::new().folder(self.0.path()).variables(variables.iter().copied()).registry(registry())
    }

    /// An error as text, without the name of this folder.
    pub(crate) fn text(&self, error: &craftx::Error) -> String {
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// What this build brings, and a composite that opens its first store and has built the others.
pub(crate) fn registry() -> Registry {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Hybrid {
        primary: StackConfig,
        #[serde(default)]
        secondary: Vec<StackConfig>,
    }
    let mut registry = craftx::builtin();
    registry.register("hybrid", |part| {
        let hybrid: Hybrid = part.config()?;
        for (index, leg) in hybrid.secondary.iter().enumerate() {
            part.build(&format!("secondary.{index}"), leg)?;
        }
        Ok(part.build("primary", &hybrid.primary)?.backend().clone())
    });
    registry.register("bucket", |part| {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "only read")]
        struct Bucket {
            bucket: String,
            secret_key: Option<craftx::Secret>,
            endpoint: Option<String>,
            password: Option<String>,
        }
        part.config::<Bucket>()?;
        Ok(Arc::new(Memory::new()))
    });
    registry
}

/// The value of a key, and where it came from.
pub(crate) fn setting(config: &Config, key: &str) -> Option<(String, String)> {
    let settings = config.origins().unwrap();
    let found = settings.into_iter().find(|setting| setting.key == key)?;
    let origin = found.origin.to_string();
    let origin = origin.rsplit_once('/').map_or(origin.clone(), |(_, name)| format!("`{name}"));
    Some((found.value, origin))
}
