//! What `cargo metadata` says, as far as the checks need it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The workspace that this test belongs to.
pub(crate) static WORKSPACE: LazyLock<Workspace> = LazyLock::new(|| Workspace::read(&metadata()));

pub(crate) struct Workspace {
    pub(crate) members: Vec<Member>,
    /// The folders of the members that a plain `cargo test` tests.
    pub(crate) default_members: Vec<String>,
    /// Every package of the lock file, members included.
    pub(crate) packages: Vec<Package>,
}

/// A member; `folder` is relative to the root, which is `""` itself.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: String,
    pub(crate) published: bool,
    /// The text of its `Cargo.toml`.
    pub(crate) manifest: String,
    /// Its entry in the output of `cargo metadata`.
    pub(crate) json: Value,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) dev: bool,
}

pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) rust_version: Option<String>,
    /// An expression such as `MIT OR Apache-2.0`.
    pub(crate) license: Option<String>,
    /// Where it comes from; `None` for members.
    pub(crate) source: Option<String>,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs `cargo` in the root; its output, or what it had to say instead.
pub(crate) fn cargo(arguments: &[&str]) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn metadata() -> Value {
    let all = ["metadata", "--format-version", "1", "--all-features"];
    let json = cargo(&all).or_else(|_| {
        // Without a network cargo knows only the packages of this platform.
        let version = Command::new("rustc").arg("-vV").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        cargo(&[&all[..], &["--offline", "--filter-platform", host]].concat())
    });
    serde_json::from_str(&json.unwrap()).unwrap()
}

impl Workspace {
    fn read(json: &Value) -> Self {
        let root = Path::new(json["workspace_root"].as_str().unwrap());
        let packages = json["packages"].as_array().unwrap();
        let members = |list: &str| {
            let ids = json[list].as_array().unwrap();
            packages.iter().filter(|package| ids.contains(&package["id"])).map(|package| Member::read(root, package))
        };
        Self {
            members: members("workspace_members").collect(),
            default_members: members("workspace_default_members").map(|member| member.folder).collect(),
            packages: packages
                .iter()
                .map(|package| Package {
                    name: package["name"].as_str().unwrap().to_owned(),
                    version: package["version"].as_str().unwrap().to_owned(),
                    rust_version: package["rust_version"].as_str().map(str::to_owned),
                    license: package["license"].as_str().map(str::to_owned),
                    source: package["source"].as_str().map(str::to_owned),
                })
                .collect(),
        }
    }
}

impl Member {
    fn read(root: &Path, json: &Value) -> Self {
        let manifest = Path::new(json["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap().strip_prefix(root).unwrap();
        Self {
            name: json["name"].as_str().unwrap().to_owned(),
            folder: folder.to_str().unwrap().replace('\\', "/"),
            published: json["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            manifest: std::fs::read_to_string(manifest).unwrap(),
            json: json.clone(),
            dependencies: json["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .map(|dependency| Dependency {
                    name: dependency["name"].as_str().unwrap().to_owned(),
                    dev: dependency["kind"] == "dev",
                })
                .collect(),
        }
    }
}

/// A member for bad examples.
pub(crate) fn member(name: &str, folder: &str) -> Member {
    Member {
        name: name.to_owned(),
        folder: folder.to_owned(),
        published: true,
        manifest: String::new(),
        json: Value::Null,
        dependencies: Vec::new(),
    }
}

/// A package for bad examples.
pub(crate) fn package(name: &str) -> Package {
    Package { name: name.to_owned(), version: "1.0.0".to_owned(), rust_version: None, license: None, source: None }
}
