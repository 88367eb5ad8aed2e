//! The table of capabilities in the README is what the backends say.
#![cfg(all(feature = "json", feature = "postgres", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod common;

use std::fmt::Write;
use std::path::Path;

use common::stores;
use craftx::{Capabilities, Location, Support};

const BEGIN: &str = "<!-- capabilities: made by `CRAFTX_UPDATE=1 cargo test --test capabilities` -->\n";
const END: &str = "<!-- end of capabilities -->";

/// A backend of which some is known only when its server was asked.
fn unopened(url: &str) -> Capabilities {
    craftx::builtin().build(&Location::parse(url).unwrap()).unwrap().capabilities()
}

/// One row a capability, one column a backend, as they are after they were opened; of those with a server, before.
async fn table() -> String {
    let mut columns = Vec::new();
    for store in stores().await {
        columns.push((store.name, store.storage.status().await.unwrap().capabilities));
    }
    columns.push(("postgres", unopened("postgres://localhost/chats")));
    let names: Vec<_> = columns.iter().map(|(name, _)| format!(" `{name}:` |")).collect();
    let mut table = format!("| |{}\n|---|{}\n", names.concat(), "---|".repeat(columns.len()));
    let rows = columns.first().map(|(_, capabilities)| capabilities.named()).unwrap();
    for (row, (capability, _)) in rows.iter().enumerate() {
        let cells = columns.iter().map(|(_, capabilities)| match capabilities.named().get(row) {
            Some((_, Support::Yes)) => " yes |",
            Some((_, Support::Probe)) => " depends |",
            _ => " – |",
        });
        writeln!(table, "| {} |{}", capability.replace('_', " "), cells.collect::<String>()).unwrap();
    }
    table
}

#[tokio::test]
async fn the_table_of_capabilities_is_what_the_backends_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let table = table().await;
    if std::env::var_os("CRAFTX_UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "run `CRAFTX_UPDATE=1 cargo test --test capabilities`");
    }
}
