//! What `cargo metadata` says of the workspace.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::Cargo;

/// The members and where things lie.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo builds, whatever the environment says.
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// All but `default`.
    pub(crate) features: Vec<String>,
    pub(crate) examples: Vec<Example>,
}

/// An example of a member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) required_features: Vec<String>,
}

impl Workspace {
    /// Asks `cargo`.
    pub(crate) fn load() -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let json = Cargo::new(here).args("metadata --no-deps --format-version 1").output()?;
        let json = serde_json::from_slice(&json).map_err(|error| format!("`cargo metadata` gave no JSON: {error}"))?;
        Self::read(&json).ok_or_else(|| "`cargo metadata` has another shape than expected".to_owned())
    }

    fn read(json: &Value) -> Option<Self> {
        Some(Self {
            root: json.get("workspace_root")?.as_str()?.into(),
            target: json.get("target_directory")?.as_str()?.into(),
            packages: json.get("packages")?.as_array()?.iter().map(Package::read).collect::<Option<_>>()?,
        })
    }

    /// The manifests of the packages outside of the workspace that prove which versions of other crates fit, relative to
    /// the root.
    pub(crate) fn compat_manifests(&self) -> Result<Vec<String>, String> {
        let folder = self.root.join("integration-tests").join("compat");
        let entries = folder.read_dir().map_err(|error| format!("cannot read `{}`: {error}", folder.display()))?;
        let mut manifests = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| format!("cannot read `{}`: {error}", folder.display()))?;
            if entry.path().join("Cargo.toml").is_file() {
                manifests.push(format!("integration-tests/compat/{}/Cargo.toml", entry.file_name().to_string_lossy()));
            }
        }
        manifests.sort();
        Ok(manifests)
    }
}

impl Package {
    fn read(json: &Value) -> Option<Self> {
        let features = json.get("features")?.as_object()?.keys().filter(|name| *name != "default").cloned().collect();
        let mut examples = Vec::new();
        for target in json.get("targets")?.as_array()? {
            if strings(target.get("kind")?).iter().any(|kind| kind == "example") {
                let name = target.get("name")?.as_str()?.to_owned();
                let required_features = target.get("required-features").map(strings).unwrap_or_default();
                examples.push(Example { name, required_features });
            }
        }
        Some(Self { name: json.get("name")?.as_str()?.to_owned(), features, examples })
    }
}

fn strings(json: &Value) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_examples_are_found() {
        let workspace = Workspace::read(&serde_json::json!({
            "workspace_root": "/a",
            "target_directory": "/b",
            "packages": [{
                "name": "craftx",
                "features": { "default": ["json"], "json": [] },
                "targets": [
                    { "kind": ["lib"], "name": "craftx" },
                    { "kind": ["example"], "name": "demo", "required-features": ["json"] },
                ],
            }],
        }))
        .unwrap();
        let example = Example { name: "demo".to_owned(), required_features: vec!["json".to_owned()] };
        let package = Package { name: "craftx".to_owned(), features: vec!["json".to_owned()], examples: vec![example] };
        assert_eq!(workspace.packages, [package]);
        assert_eq!(workspace.target, Path::new("/b"));
    }
}
