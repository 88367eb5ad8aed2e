//! PostgreSQL: against what a team would write by hand with tokio-postgres, and against pgbench.
//!
//! One fresh server of the tests' harness, with fsync on and its settings those of PostgreSQL itself, serves all rows of a run;
//! each row has a schema and a table of its own in it.

mod appends;
mod by_hand;
mod import;
mod reads;
mod searches;
mod writers;

use std::future::Future;
use std::sync::OnceLock;

use craftx::{Prepare, Registry, Storage};
use craftx_integration_tests::craftx_postgres;
use craftx_integration_tests::servers::{Postgres, PostgresOptions, postgres_is_there};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::row::Row;

pub(crate) use appends::{append, append_apart, append_searchable};
pub(crate) use import::{import, import_searchable};
pub(crate) use reads::{last_50, last_50_apart};
pub(crate) use searches::search;
pub(crate) use writers::{writers, writers_searchable};

/// The server, unless it is not installed. It is ended by whoever watches this process.
fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    let start = || {
        // The harness has settings of its own for tests that kill servers.
        let extra =
            [("shared_buffers", "128MB"), ("wal_log_hints", "off"), ("wal_keep_size", "0"), ("max_connections", "300")];
        let extra = extra.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = PostgresOptions { fsync: true, extra, ..PostgresOptions::default() };
        postgres_is_there("the benches of PostgreSQL").then(|| Postgres::start(&options))
    };
    SERVER.get_or_init(start).as_ref()
}

fn skipped(what: String) -> Row {
    Row::Skipped { what, reason: "PostgreSQL is not installed".into() }
}

/// An empty store in a new schema.
async fn store(server: &Postgres, schema: &str, options: &str) -> Outcome<Storage> {
    server.sql(0, &format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))?;
    let mut registry = Registry::new();
    craftx_postgres::register(&mut registry);
    let url = format!("{}?schema={schema}&{options}", server.url());
    Ok(Storage::open_with(&registry, &url, Prepare::Migrate).await?)
}

/// What an application has.
fn runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// A runtime for the connection of a baseline that is to be as far from who asks as that of craftx.
fn runtime_of(apart: bool) -> Outcome<Option<Runtime>> {
    apart.then(runtime).transpose()
}

fn where_it_is(apart: bool) -> &'static str {
    if apart { ", its connection on threads of its own" } else { "" }
}

/// Runs something as a task, as the handlers of a server are.
fn run<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = Outcome<T>> + Send + 'static) -> Outcome<T> {
    let done = runtime.block_on(runtime.spawn(async move { work.await.map_err(|error| error.to_string()) }))?;
    Ok(done?)
}
