//! Where else conversations are: whoever changes the profile and finds nothing has not lost anything.

use std::collections::BTreeSet;
use std::path::Path;

use craftx_core::{Caller, Location, Prepare, Result, StackConfig};
use serde_json::{Map, Value};

use super::Config;
use crate::{Storage, inventory};

/// A place that another profile names and that holds conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elsewhere {
    /// The profile.
    pub profile: String,
    /// The store, such as `json:chat_logs`.
    pub url: String,
}

/// The backends whose stores are paths, and so can be looked at without asking anybody.
const BY_PATH: [&str; 2] = ["json", "sqlite"];

impl Config {
    /// The files and folders of the other profiles that hold conversations, if `opened`, the store of this one, holds none.
    /// Nothing is created, upgraded or written; what cannot be read is left out.
    ///
    /// # Errors
    /// Those of the file, and of `opened`.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = |name: &str| folder.path().join(name).display().to_string();
    /// # std::fs::write(path("craftx.toml"), format!("[profiles.development.json]\npath = '{}'\n[profiles.production_sqlite.sqlite]\npath = '{}'", path("chat_logs"), path("new.db"))).unwrap();
    /// use craftx::{Config, NewMessage};
    /// let config = Config::new().folder(folder.path());
    /// config.clone().profile("development").open().await?.append("a", NewMessage::user("hello")).await?;
    ///
    /// let config = config.profile("production_sqlite");
    /// let elsewhere = config.elsewhere(Some(&config.open().await?)).await?;
    /// assert_eq!(elsewhere[0].profile, "development");
    /// # Ok::<(), craftx::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn elsewhere(&self, opened: Option<&Storage>) -> Result<Vec<Elsewhere>> {
        if let Some(opened) = opened
            && !is_empty(&opened.for_caller(Caller::System)).await?
        {
            return Ok(Vec::new());
        }
        let mut seen: BTreeSet<String> =
            self.stack_config().map(|own| urls(&own)).unwrap_or_default().into_iter().collect();
        let mut found = Vec::new();
        for profile in self.profiles()? {
            // As the environment has it now, and as it was before anybody set anything.
            for config in [self.clone(), Self::new()] {
                let Ok(other) = config.profile(profile.name.as_str()).stack_config() else { continue };
                for url in urls(&other) {
                    if seen.insert(url.clone()) && self.holds_something(&url).await {
                        found.push(Elsewhere { profile: profile.name.clone(), url });
                    }
                }
            }
        }
        Ok(found)
    }

    async fn holds_something(&self, url: &str) -> bool {
        let looked = async {
            let backend = self.registry.build(&Location::parse(url)?)?;
            let storage = Storage::new(craftx_core::Stack::builder("elsewhere", backend).build()?);
            storage.prepare(Prepare::Open).await?;
            let is_empty = is_empty(&storage.for_caller(Caller::System)).await;
            storage.close().await?;
            is_empty
        };
        looked.await.is_ok_and(|is_empty| !is_empty)
    }
}

/// Whether no user has a session in the store, not even one that was deleted.
async fn is_empty(storage: &Storage) -> Result<bool> {
    inventory::is_empty(storage.stack().backend(), &storage.context()).await
}

/// The stores of a stack that are paths which are there.
fn urls(config: &StackConfig) -> Vec<String> {
    let mut urls = Vec::new();
    let table = config.options.iter().map(|(part, options)| (part.clone(), Value::Object(options.clone())));
    let mut table: Map<String, Value> = table.collect();
    table.insert("backend".to_owned(), config.backend.clone().into());
    collect(&Value::Object(table), &mut urls);
    urls
}

fn collect(value: &Value, urls: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            let backend = table.get("backend").and_then(Value::as_str).filter(|name| BY_PATH.contains(name));
            let path = backend.and_then(|name| table.get(name)?.get("path")?.as_str());
            if let (Some(backend), Some(path)) = (backend, path)
                // What would begin the options of a URL cannot be named in one.
                && !path.contains('?')
                && Path::new(path).exists()
            {
                urls.push(format!("{backend}:{path}"));
            }
            table.values().for_each(|inner| collect(inner, urls));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, urls)),
        _ => {}
    }
}
