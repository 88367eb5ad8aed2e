//! Stacks by configuration alone: layers, composites of composites, parts that others have registered.

use std::sync::Arc;

use craftx::{Config, ErrorKind, Limits, Memory, NewMessage, Storage, Validate};
use serde::Deserialize;

use crate::support::{Folder, registry, setting};

#[test]
fn layers_are_built_in_their_order_with_their_options() {
    let mut registry = registry();
    registry.register_layer("strict", |part| {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Strict {
            batch: u32,
        }
        let mut limits = Limits::default();
        limits.max_batch = part.config::<Strict>()?.batch;
        Ok(Box::new(Validate::new(limits)))
    });
    let toml = "backend = 'memory'\nlayers = ['strict', 'validate']\n[strict]\nbatch = 3\n[validate]\nmax_batch = 5\n";
    let folder = Folder::with(toml);
    let stack = folder.config(&[]).registry(registry.clone()).stack().unwrap();
    assert_eq!((stack.capabilities().max_batch, stack.describe().lines().count()), (Some(3), 3));
    let variable = [("CRAFTX_STRICT__BATHC", "2")];
    let error = folder.config(&variable).registry(registry).check().unwrap_err();
    assert_eq!(
        folder.text(&error),
        "configure: there is no such key, key: `strict.bathc`, nearest: `batch`, source: variable `CRAFTX_STRICT__BATHC`"
    );
}

#[tokio::test]
async fn composites_nest_in_a_file() {
    let folder = Folder::empty();
    let toml = format!(
        "backend = 'hybrid'\n[hybrid.primary]\nbackend = 'hybrid'\n[hybrid.primary.hybrid.primary]\nbackend = 'sqlite'\n\
         layers = ['validate']\n[hybrid.primary.hybrid.primary.validate]\nmax_batch = 2\n\
         [hybrid.primary.hybrid.primary.sqlite]\npath = '{}'\n[[hybrid.primary.hybrid.secondary]]\nbackend = 'memory'\n\
         [[hybrid.secondary]]\nbackend = 'json'\n[hybrid.secondary.json]\npath = 'never'\n",
        folder.path("inner.db").display()
    );
    std::fs::write(folder.path("craftx.toml"), toml).unwrap();
    let config = folder.config(&[]);
    let storage = config.open().await.unwrap();
    storage.append("s", NewMessage::user("deep")).await.unwrap();
    assert!(folder.path("inner.db").is_file());
    let many = vec![NewMessage::user("x"); 3];
    assert_eq!(storage.append_all("s", many).await.unwrap_err().kind(), ErrorKind::InvalidInput, "its own limits hold");
    let deep = setting(&config, "hybrid.primary.hybrid.primary.validate.max_batch").unwrap();
    assert_eq!(deep, ("2".to_owned(), "`craftx.toml:8`".to_owned()));
    let variables = [("CRAFTX_HYBRID__PRIMARY__HYBRID__SECONDARY__0__BACKEND", "sqlite")];
    let error = folder.config(&variables).check().unwrap_err();
    assert_eq!(error.get("key"), Some("`hybrid.primary.hybrid.secondary.0.sqlite.path`"));
}

#[tokio::test]
async fn a_part_that_somebody_registered_gets_its_table_as_any_other() {
    let mut registry = registry();
    registry.register("my-store", |part| {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Mine {
            path: String,
            size: u32,
        }
        let config: Mine = part.config()?;
        assert_eq!((config.path.as_str(), config.size), ("here", 3));
        Ok(Arc::new(Memory::new()))
    });
    let folder = Folder::with("backend = 'my-store'\n[my-store]\npath = 'here'\nsize = 3\n");
    folder.config(&[]).registry(registry.clone()).check().unwrap();
    let variables = [("CRAFTX_BACKEND", "my-store"), ("CRAFTX_MY_STORE__PATH", "here"), ("CRAFTX_MY_STORE__SIZE", "3")];
    Folder::empty().config(&variables).registry(registry.clone()).check().unwrap();
    let by_code = Config::new().registry(registry.clone()).set("backend", "my-store").set("my-store.path", "here");
    by_code.set("my-store.size", 3).check().unwrap();
    Storage::open_with(&registry, "my-store:here?size=3", craftx::Prepare::Migrate).await.unwrap();
}

#[test]
fn the_layers_for_stores_that_are_away_are_built_by_name() {
    let folder = Folder::with(
        "backend = 'memory'\nlayers = ['breaker', 'retry', 'timeout']\n[retry]\nattempts = 5\n[timeout]\nlimit_ms = 500\n",
    );
    let stack = folder.config(&[]).stack().unwrap();
    assert!(stack.describe().starts_with("validate\nbreaker\nretry\ntimeout\nmemory"), "{}", stack.describe());
    let error = folder.config(&[("CRAFTX_RETRY__ATTEMPTS", "0")]).check().unwrap_err();
    assert_eq!(
        folder.text(&error),
        "configure: a call can be tried 1 to 100 times, key: `retry.attempts`, source: variable `CRAFTX_RETRY__ATTEMPTS`"
    );
    folder.config(&[("CRAFTX_RETRY__BUDGET", "0.5")]).check().unwrap();
    let error = folder.config(&[("CRAFTX_LAYERS", "timeout,retry")]).check().unwrap_err();
    assert_eq!((error.get("key"), error.get("outer")), (Some("`layers`"), Some("`timeout` (timeout)")));
}
