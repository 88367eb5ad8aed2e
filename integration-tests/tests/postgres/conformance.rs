//! The kit over the cluster, by itself, behind a pooler, with tenants kept apart by the server, and in stacks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use craftx_access::{Access, AccessConfig, Action, Rule, Rules};
use craftx_conformance::{AsCaller, Failure, Kit, Subject};
use craftx_core::{Caller, DynBackend, Result, Stack};
use craftx_encrypt::{Encrypt, EncryptConfig, Keyring};
use craftx_failover::{Failover, FailoverConfig, Mirror};
use craftx_integration_tests::servers::{PgBouncer, pgbouncer_is_there, postgres_is_there};
use craftx_sqlite::{Sqlite, SqliteConfig};

use crate::support::{as_another_user, backend, cluster, config, elsewhere, fresh_schema, subject};

/// Runs the kit, unless the servers are missing.
fn passes(name: &'static str, make: impl Fn() -> Result<Subject, Failure> + Clone + Send + Sync + 'static) {
    let kit = Kit::new(name, move || {
        let make = make.clone();
        async move { make() }
    });
    kit.cases(40).sequences(20).rounds(5).run().assert_passed();
}

#[test]
fn the_cluster_passes_the_kit() {
    let url = elsewhere().or_else(|| postgres_is_there("the kit over PostgreSQL").then(|| cluster().url()));
    let Some(url) = url else { return };
    let kit = Kit::new("postgres", move || {
        let url = url.clone();
        async move { subject(config(&url, &fresh_schema())) }
    });
    kit.cases(100).sequences(60).rounds(20).run().assert_passed();
}

#[test]
fn a_pooler_in_front_passes_the_kit() {
    if !postgres_is_there("the kit behind a pooler") || !pgbouncer_is_there("the kit behind a pooler") {
        return;
    }
    let pooler = PgBouncer::start(cluster().port(0));
    let url = pooler.url();
    passes("postgres behind pgbouncer", move || subject(config(&url, &fresh_schema())));
}

#[test]
fn a_server_that_keeps_tenants_apart_passes_the_kit() {
    if !postgres_is_there("the kit with row-level security") {
        return;
    }
    let url = as_another_user(&cluster().url());
    passes("postgres with row-level security", move || subject(config(&url, &fresh_schema()).row_security(true)));
}

/// A stack in a folder, over a schema of its own.
fn stacked(stack: fn(&Path, DynBackend) -> Result<DynBackend>) -> Result<Subject, Failure> {
    let folder = tempfile::tempdir()?;
    let (path, config): (PathBuf, _) = (folder.path().to_owned(), config(&cluster().url(), &fresh_schema()));
    let open = move || stack(&path, backend(config.clone())?);
    let subject = Subject::from(open()?);
    Ok(subject
        .reopening(move || {
            let opened = open();
            async move { Ok(opened?) }
        })
        .holding(folder))
}

fn encrypted(folder: &Path, store: DynBackend) -> Result<DynBackend> {
    static RING: OnceLock<Arc<Keyring>> = OnceLock::new();
    let ring = RING.get_or_init(|| Arc::new(Keyring::generate("2026-11").expect("there are random numbers")));
    let keys = Arc::new(Sqlite::new(SqliteConfig::new(folder.join("keys.db")))?);
    let layer = Encrypt::new(ring.clone(), keys, EncryptConfig::default())?;
    Ok(Stack::builder("postgres", store).layer(layer).build()?.backend().clone())
}

fn guarded(_: &Path, store: DynBackend) -> Result<DynBackend> {
    let rules = Rules::new().allow(Rule::new().roles(["operator"]).actions(Action::ALL));
    let access = Access::new(rules)?.config(AccessConfig::default().owners(false))?;
    let stack = Stack::builder("postgres", store).layer(access).build()?;
    Ok(Arc::new(AsCaller::new(Caller::principal("ann", ["operator"]), stack.backend().clone())))
}

fn mirrored(folder: &Path, store: DynBackend) -> Result<DynBackend> {
    let copy = Arc::new(Sqlite::new(SqliteConfig::new(folder.join("copy.db")))?);
    let builder = Failover::builder("primary", store).secondary("secondary", copy);
    Ok(Arc::new(builder.config(FailoverConfig::default().mirror(Mirror::Async)).build()?))
}

#[test]
fn encryption_over_the_cluster_passes_the_kit() {
    if postgres_is_there("the kit over encryption over PostgreSQL") {
        passes("encryption over postgres", || stacked(encrypted));
    }
}

#[test]
fn access_control_over_the_cluster_passes_the_kit() {
    if postgres_is_there("the kit over access control over PostgreSQL") {
        passes("access control over postgres", || stacked(guarded));
    }
}

#[test]
fn failover_from_the_cluster_to_sqlite_passes_the_kit() {
    if postgres_is_there("the kit over PostgreSQL with a copy in SQLite") {
        passes("postgres mirrored to sqlite", || stacked(mirrored));
    }
}
