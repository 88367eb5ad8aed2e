//! `craftx backup`.

use std::path::PathBuf;
use std::sync::Arc;

use craftx::Error;
use craftx::backup::{Archive, BackedUp, Backup};
use indicatif::HumanBytes;
use serde_json::json;

use crate::args;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::interrupt::Partial;
use crate::output::{self, Out};
use crate::progress::Progress;
use crate::taken::{self, Taken};

pub(crate) async fn run(global: &Global, backup: &args::Backup) -> Result<Exit, Failure> {
    let (store, file) = match backup.places.as_slice() {
        [file] => (None, file),
        [store, file] => (Some(store.as_str()), file),
        _ => return Err(Error::invalid("FILE", "must be named").into()),
    };
    if is_store(file) {
        let error = Error::invalid("FILE", "this names a store; name the archive too");
        return Err(error.with("store", craftx::shown_url(file)).with("say", "`craftx backup STORE FILE`").into());
    }
    let archive = Archive::parse(file)?;
    let since = backup.since.as_deref().map(Archive::parse).transpose()?;
    let storage = super::existing(global, store).await?;
    let path = match file.strip_prefix("file://") {
        Some(_) => PathBuf::from(format!("/{archive}")),
        None => file.into(),
    };
    Taken::of(&storage).await?.refuse_file("FILE", &path, ".partial")?;
    taken::must_be_file("FILE", &path)?;
    let progress = Arc::new(Progress::new(global, "backup", "sessions", None));
    let watch = Arc::clone(&progress);
    let mut making = Backup::of(&storage).watched(move |_| watch.add(1));
    if let Some(since) = since {
        making = making.since(since);
    }
    let partial = archive.partial().map(Partial::new);
    let made = making.write_to(&archive).await;
    drop((making, partial));
    drop(progress);
    storage.close().await?;
    tell(global, &archive, &made?)
}

/// Whether this is not the name of an archive, but that of a store.
fn is_store(name: &str) -> bool {
    let registry = craftx::builtin();
    match name.split_once(':') {
        Some(("profile", _)) => true,
        Some((scheme, _)) => registry.schemes().chain(registry.missing()).any(|known| known == scheme),
        None => false,
    }
}

fn tell(global: &Global, archive: &Archive, made: &BackedUp) -> Result<Exit, Failure> {
    for failed in &made.failed {
        let (session, error) = (&failed.session, &failed.error);
        output::complain("session", Exit::Partial, format_args!("{session:?}: {error}"));
    }
    if let Some(keys) = super::keys(&made.about) {
        output::say(keys);
    }
    let mut out = Out::new();
    if global.json {
        out.object(json!({
            "archive": archive.to_string(),
            "digest": made.digest,
            "store": made.about.store,
            "time": made.about.time,
            "base": made.about.base,
            "encrypted": made.about.encrypted,
            "tenants": made.counts.tenants,
            "sessions": made.counts.sessions,
            "messages": made.counts.messages,
            "records": made.counts.records,
            "bytes": made.counts.bytes,
            "archive_bytes": made.size,
            "failed": made.counts.failed,
            "recorded": made.recorded,
        }))?;
    } else {
        out.line(format_args!("{}, in {}", super::counted(&made.counts), HumanBytes(made.size)))?;
        if !made.recorded && made.counts.failed == 0 {
            output::say("the store could not be told of its backup: `craftx status` does not know of it");
        }
    }
    out.finish()?;
    Ok(if made.counts.failed == 0 { Exit::Ok } else { Exit::Partial })
}
