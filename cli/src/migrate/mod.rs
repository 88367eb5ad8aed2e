//! `craftx migrate`.

mod plan;
mod run;
mod verify;

use std::path::{Path, PathBuf};

use craftx::migrate::{SessionFailure, StorageMigrator};
use craftx::{Error, ErrorKind, Prepare, Storage, Tenant};
use serde_json::{Value, json};

use crate::args::{Ends, Migrate};
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output;
use crate::progress::Progress;
use crate::taken::{self, Taken};

const JOURNAL: &str = "--journal";
/// What is behind the name of a new journal until its first line is complete.
const WHILE_WRITTEN: &str = ".tmp";

pub(crate) async fn run(global: &Global, migrate: Migrate) -> Result<Exit, Failure> {
    global.refuse_choices()?;
    match migrate {
        Migrate::Plan(plan) => plan::run(global, &plan).await,
        Migrate::Run(run) => run::run(global, run).await,
        Migrate::Verify(ends) => verify::run(global, &ends).await,
    }
}

/// The source, which is only read.
async fn source(global: &Global, ends: &Ends) -> Result<Storage, Error> {
    global.open_other(&ends.from, Prepare::Open).await
}

/// The target, if it is there. It is not changed by looking at it.
async fn existing(global: &Global, ends: &Ends) -> Result<Option<Storage>, Error> {
    match global.open_other(&ends.to, Prepare::Open).await {
        Ok(storage) => Ok(Some(storage)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the journal that was named must be, as far as it can be told before there is a target.
async fn check_named(named: Option<&Path>, ends: &Ends, from: &Storage) -> Result<(), Error> {
    let Some(path) = named else { return Ok(()) };
    taken::must_be_possible(JOURNAL, path)?;
    let mut taken = Taken::of(from).await?;
    taken.add_url(&ends.to);
    taken.refuse_file(JOURNAL, path, WHILE_WRITTEN)
}

/// The journal that was named, or the one that these stores have: beside a target that is a file or a folder, else here.
async fn journal(
    named: Option<PathBuf>,
    migrator: &StorageMigrator,
    from: &Storage,
    to: &Storage,
) -> Result<PathBuf, Error> {
    let path = match named {
        Some(path) => path,
        None => beside(migrator, to).await?,
    };
    let mut taken = Taken::of(from).await?;
    taken.add(to).await?;
    taken.refuse_file(JOURNAL, &path, WHILE_WRITTEN)?;
    Ok(path)
}

async fn beside(migrator: &StorageMigrator, to: &Storage) -> Result<PathBuf, Error> {
    let name = migrator.journal_name().await?;
    let status = to.status().await?;
    let path = match status.scheme {
        "json" => Some(status.name.as_ref()),
        "sqlite" => status.name.strip_prefix("sqlite:"),
        _ => None,
    };
    Ok(path.map_or_else(|| name.clone().into(), |path| Path::new(path).with_file_name(&name)))
}

/// A bar of the sessions that are done.
fn watched(progress: Progress) -> impl Fn(&craftx::migrate::Progress) + Send + Sync + 'static {
    let told = std::sync::atomic::AtomicU64::new(0);
    move |now| {
        // Later passes go over sessions that have been counted.
        if now.pass == 1 {
            let before = told.swap(now.sessions, std::sync::atomic::Ordering::Relaxed);
            progress.add(now.sessions.saturating_sub(before));
        }
    }
}

/// Names on stderr the sessions that failed, and adds them to the tally.
fn complain(failed: &[SessionFailure], tally: &mut Tally) {
    for failure in failed {
        let exit = Exit::from(&Error::new(failure.kind(), ""));
        let place = place(&failure.tenant, failure.session.as_str());
        output::complain(failure.kind().as_str(), exit, format_args!("{place}: {}", failure.error));
        tally.fail(exit);
    }
}

/// A session for people: the tenant is said unless it is the one that everybody has.
fn place(tenant: &Tenant, session: &str) -> String {
    match *tenant == Tenant::default() {
        true => format!("session {}", output::quoted(session)),
        false => format!("session {} of tenant {}", output::quoted(session), output::quoted(tenant.as_str())),
    }
}

/// Says which tenants were left out.
fn say_skipped(skipped: &[Tenant]) {
    for tenant in skipped {
        output::say(format_args!("tenant `{tenant}` belongs to a layer over the store, and is left out"));
    }
}

/// A report as an object, the names of the stores before it.
fn object(ends: &Ends, report: Value) -> Value {
    let mut object = json!({"from": craftx::shown_url(&ends.from), "to": craftx::shown_url(&ends.to)});
    if let (Value::Object(all), Value::Object(members)) = (&mut object, report) {
        all.extend(members);
    }
    object
}
