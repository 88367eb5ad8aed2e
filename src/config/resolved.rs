//! The sources of a configuration, put together.

use std::path::PathBuf;

use craftx_core::{Error, Registry, Result, Stack, StackConfig};
use serde_json::{Map, Value};

use super::entry::{Entry, keys, wrong};
use super::file::{self, File};
use super::merged::Merged;
use super::parts::Parts;
use super::profiles::{DEFAULT, Profiles};
use super::variables::{self, Variables, variable_of};
use super::{Config, FileChoice, Origin, guide};

/// The file, the profiles and the variables, before a profile is chosen.
pub(super) struct Sources {
    pub(super) profiles: Profiles,
    pub(super) path: Option<PathBuf>,
    variables: Variables,
}

impl Sources {
    pub(super) fn read(config: &Config) -> Result<Self> {
        let variables = Variables::read(&config.variables, &config.registry)?;
        let named = variables.config.as_ref().map(PathBuf::from);
        let path = match (&config.file, named) {
            (FileChoice::This(path), _) => Some(path.clone()),
            (FileChoice::None | FileChoice::Find(_), Some(path)) => Some(path),
            (FileChoice::Find(folder), None) => file::find(folder),
            (FileChoice::None, None) => None,
        };
        let file = match &path {
            Some(path) => File::read(path).map_err(|error| Self::named_by(error, config))?,
            None => File::default(),
        };
        Ok(Self { profiles: Profiles::new(file)?, path, variables })
    }

    /// Says who named a file that cannot be read.
    fn named_by(error: Error, config: &Config) -> Error {
        let by_variable = !matches!(config.file, FileChoice::This(_))
            && config.variables.iter().any(|(name, _)| name == variables::CONFIG);
        match by_variable && error.get("file").is_some() {
            true => error.with("source", Origin::Variable { name: variables::CONFIG.to_owned() }),
            false => error,
        }
    }

    /// The profile, and who named it. `None` if the file describes a stack of its own.
    fn profile(&self, config: &Config) -> Result<Option<(String, Origin)>> {
        let by_variable = || {
            let name = self.variables.profile.clone()?;
            Some((name, Origin::Variable { name: variables::PROFILE.to_owned() }))
        };
        let named = config.profile.clone().or_else(by_variable);
        match (named, self.profiles.file().own_stack()) {
            (Some((_, origin)), Some(backend)) => {
                let rule = "a profile is named, and the file describes a stack of its own, which stands on none";
                Err(wrong(rule, &keys(["profile"]), &origin).with("other", backend))
            }
            (None, Some(_)) => Ok(None),
            (Some(named), None) => Ok(Some(named)),
            (None, None) => {
                let otherwise = || (DEFAULT.to_owned(), Origin::Default);
                Ok(Some(self.profiles.file().profile.clone().unwrap_or_else(otherwise)))
            }
        }
    }
}

/// A configuration in which every key has its value.
pub(super) struct Resolved<'a> {
    registry: &'a Registry,
    pub(super) profile: Option<(String, Origin)>,
    /// Where the profile is described.
    described: Option<Origin>,
    pub(super) merged: Merged,
    /// What counts: without the options that were inherited and belong to no part.
    pub(super) table: Map<String, Value>,
}

impl<'a> Resolved<'a> {
    pub(super) fn new(config: &'a Config, sources: &Sources) -> Result<Self> {
        let registry = &config.registry;
        let profile = sources.profile(config)?;
        let mut merged = Merged::default();
        if let Some((name, origin)) = &profile {
            for (name, entries) in sources.profiles.chain(name, &keys(["profile"]), origin)? {
                put(&mut merged, &entries)?;
                // A profile must make sense by itself: nothing in it may wait for a stack that comes later.
                Parts { merged: &merged, registry, binds: &|origin| origin.is_of(&name) }.of_the_stack()?;
            }
        }
        put(&mut merged, &sources.profiles.file().entries)?;
        put(&mut merged, &sources.variables.entries)?;
        guide::apply(&mut merged, &sources.variables, registry)?;
        put(&mut merged, &config.overrides)?;
        let table = Parts { merged: &merged, registry, binds: &|origin| !origin.is_inherited() }.of_the_stack()?;
        let described = profile.as_ref().and_then(|(name, _)| sources.profiles.origin(name));
        Ok(Self { registry, profile, described, merged, table })
    }

    pub(super) fn stack_config(&self) -> Result<StackConfig> {
        StackConfig::from_table(Value::Object(self.table.clone())).map_err(|error| self.explained(error))
    }

    /// Builds the stack. Does no I/O.
    pub(super) fn stack(&self) -> Result<Stack> {
        self.registry.build_stack(&self.stack_config()?).map_err(|error| self.explained(error))
    }

    /// Adds where the key came from which an error names.
    fn explained(&self, error: Error) -> Error {
        let error = error.during("configure");
        let Some(key) = error.get("key") else { return error };
        let path: Vec<String> = key.trim_matches('`').split('.').map(str::to_owned).collect();
        let missing = self.merged.get(&path).is_none();
        let error = match self.responsible(&path).or(self.described.as_ref()) {
            Some(origin) => error.with("source", origin),
            None => error,
        };
        if missing { error.with("variable", format_args!("`{}`", variable_of(&path))) } else { error }
    }

    /// Who set a key, or who chose the backend that misses it.
    fn responsible(&self, path: &[String]) -> Option<&Origin> {
        if self.merged.get(path).is_some_and(|value| !value.is_object()) {
            return self.merged.origin(path);
        }
        (0..path.len()).rev().find_map(|depth| {
            let mut backend = path.split_at(depth).0.to_vec();
            backend.push("backend".to_owned());
            self.merged.origin(&backend)
        })
    }
}

fn put(merged: &mut Merged, entries: &[Entry]) -> Result<()> {
    entries.iter().try_for_each(|entry| merged.put(entry.clone()))
}
