//! The conformance kit on the JSON store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use craftx_conformance::{Failure, Kit, Subject};
use craftx_core::{Backend, DynBackend, Prepare};
use craftx_json::{Durability, Json, JsonConfig};

fn subject(config: fn(&Path) -> JsonConfig) -> Result<Subject, Failure> {
    let dir = tempfile::tempdir()?;
    let (path, reopened) = (dir.path().to_owned(), dir.path().to_owned());
    let store = Json::new(&config(dir.path()))?;
    Ok(Subject::new(store)
        .reopening(move || {
            let path = reopened.clone();
            async move {
                let store = Json::new(&config(&path))?;
                store.prepare(&common::cx(), Prepare::Open).await?;
                Ok(Arc::new(store) as DynBackend)
            }
        })
        .with_bytes(move || Ok(common::snapshot(&path).into_values().collect::<Vec<_>>().concat()))
        .holding(dir))
}

#[test]
fn json() {
    Kit::new("json", || ready(subject(|path| JsonConfig::new(path)))).run().assert_passed();
}

/// As small a memory as can be: nearly every call reads its session anew. And without syncs, for more cases.
#[test]
fn json_without_memory() {
    let config = |path: &Path| JsonConfig::new(path).durability(Durability::ProcessCrash).cache_entries(0);
    Kit::new("json_without_memory", move || ready(subject(config))).run().assert_passed();
}
