//! Profiles: those of the guide, and those of a file.

use std::collections::BTreeSet;

use craftx_core::{Result, is_name};

use super::Origin;
use super::entry::{Entry, keys, suggesting, wrong};
use super::file::{File, FileProfile};

/// The profile that is used when nobody names one.
pub(super) const DEFAULT: &str = "development";

/// A profile that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfileInfo {
    /// Its name.
    pub name: String,
    /// What it is, in a few words.
    pub description: String,
    /// Where it stands.
    pub origin: Origin,
}

/// The profiles that are part of craftx, those of the *CraftX.py Storage System Guide*, from the smallest to the largest.
///
/// ```
/// let names: Vec<_> = craftx::list_profiles().into_iter().map(|profile| profile.name).collect();
/// assert_eq!(names, ["development", "production_sqlite", "production_hybrid", "cloud_ready"]);
/// ```
pub fn list_profiles() -> Vec<ProfileInfo> {
    Profiles::new(File::default()).map(|profiles| profiles.list()).unwrap_or_default()
}

/// The built-in profiles, in the order in which they are listed.
const BUILT_IN: [&str; 4] = ["development", "production_sqlite", "production_hybrid", "cloud_ready"];

/// Built-in profiles and those of a file.
pub(super) struct Profiles {
    built_in: File,
    file: File,
}

impl Profiles {
    pub(super) fn new(file: File) -> Result<Self> {
        let place = |_, profile: Option<String>| Origin::BuiltIn { profile: profile.unwrap_or_default() };
        Ok(Self { built_in: File::parse(include_str!("profiles.toml"), &place)?, file })
    }

    /// What stands on the top level of the file, over any profile.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// All of them: those that are built in, then those of the file by name.
    pub(super) fn list(&self) -> Vec<ProfileInfo> {
        let own = self.file.profiles.keys().map(String::as_str).filter(|name| !BUILT_IN.contains(name));
        BUILT_IN.into_iter().chain(own).filter_map(|name| self.info(name)).collect()
    }

    fn info(&self, name: &str) -> Option<ProfileInfo> {
        let found: Vec<_> = [&self.file, &self.built_in].iter().filter_map(|file| file.profiles.get(name)).collect();
        let description = found.iter().find_map(|profile| profile.description.clone()).unwrap_or_default();
        Some(ProfileInfo { name: name.to_owned(), description, origin: found.first()?.origin.clone() })
    }

    /// Where a profile is described.
    pub(super) fn origin(&self, name: &str) -> Option<Origin> {
        self.info(name).map(|info| info.origin)
    }

    /// What a profile consists of, the one that it stands on first. `key` and `origin` tell who named it.
    pub(super) fn chain(&self, name: &str, key: &[String], origin: &Origin) -> Result<Vec<(String, Vec<Entry>)>> {
        let mut chain = Vec::new();
        self.collect(name, key, origin, &mut BTreeSet::new(), &mut chain)?;
        Ok(chain)
    }

    fn collect(
        &self,
        name: &str,
        key: &[String],
        origin: &Origin,
        seen: &mut BTreeSet<String>,
        chain: &mut Vec<(String, Vec<Entry>)>,
    ) -> Result<()> {
        let built_in = self.built_in.profiles.get(name);
        let mut add = |profile: &FileProfile| chain.push((name.to_owned(), profile.entries.clone()));
        let Some(own) = self.file.profiles.get(name) else {
            return built_in.map(add).ok_or_else(|| self.unknown(name, key, origin));
        };
        if !seen.insert(name.to_owned()) {
            return Err(wrong("these profiles extend each other", key, origin));
        }
        match (&own.extends, built_in) {
            (Some((base, _)), Some(built_in)) if base == name => add(built_in),
            (Some((base, origin)), _) => {
                self.collect(base, &keys(["profiles", name, "extends"]), origin, seen, chain)?
            }
            (None, Some(built_in)) => add(built_in),
            (None, None) => {}
        }
        chain.push((name.to_owned(), own.entries.clone()));
        Ok(())
    }

    fn unknown(&self, name: &str, key: &[String], origin: &Origin) -> craftx_core::Error {
        let rule = match is_name(name) {
            true => format!("there is no profile `{name}`"),
            false => "this is not the name of a profile".to_owned(),
        };
        suggesting(wrong(rule, key, origin), name, self.list().iter().map(|profile| profile.name.as_str()))
    }
}
