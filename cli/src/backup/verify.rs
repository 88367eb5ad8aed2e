//! `craftx backup verify`.

use craftx::backup::{Archive, verify_watched};
use serde_json::json;

use crate::args::BackupVerify;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

pub(crate) async fn run(global: &Global, check: &BackupVerify) -> Result<Exit, Failure> {
    let archive = Archive::parse(&check.file)?;
    let size = archive_bytes(&check.file);
    let progress = Progress::new(global, "backup verify", "bytes", size);
    let told = std::sync::atomic::AtomicU64::new(0);
    let watch = |at: u64| progress.add(at - told.swap(at, std::sync::atomic::Ordering::Relaxed));
    let checked = verify_watched(&archive, &watch).await?;
    drop(progress);
    // The archive is what counts; the store that it was made of may be away, or gone.
    let recorded = match super::existing(global, check.store.as_deref()).await {
        Ok(storage) => {
            let recorded = checked.record(&storage).await.unwrap_or(false);
            storage.close().await?;
            recorded
        }
        Err(_) if check.store.is_none() => false,
        Err(error) => return Err(error),
    };
    let counts = &checked.counts;
    if counts.failed > 0 {
        output::say(format_args!("{} sessions could not be read when the backup was made", counts.failed));
    }
    let mut out = Out::new();
    if global.json {
        out.object(json!({
            "archive": archive.to_string(),
            "digest": checked.digest,
            "store": checked.about.store,
            "scheme": checked.about.scheme,
            "time": checked.about.time,
            "base": checked.about.base,
            "encrypted": checked.about.encrypted,
            "tenants": counts.tenants,
            "sessions": counts.sessions,
            "messages": counts.messages,
            "records": counts.records,
            "bytes": counts.bytes,
            "failed": counts.failed,
            "recorded": recorded,
        }))?;
    } else {
        out.line(format_args!("{} of {}", super::counted(counts), checked.about.time))?;
        if let Some(base) = &checked.about.base {
            out.line(format_args!("an increment on the archive {base}"))?;
        }
        out.line("every count and digest is right")?;
    }
    out.finish()?;
    Ok(if counts.failed == 0 { Exit::Ok } else { Exit::Partial })
}

/// The length of a file.
fn archive_bytes(file: &str) -> Option<u64> {
    std::fs::metadata(file).ok().map(|found| found.len())
}
