//! `craftx stats`.

use craftx::{Record, SessionId, SessionQuery, Storage, StreamExt};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use crate::args::Stats;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

/// What a session amounts to.
struct Size {
    session: SessionId,
    messages: u64,
    /// Of its records in their canonical encoding, which is the same on every medium.
    bytes: u64,
}

pub(crate) async fn run(global: &Global, stats: Stats) -> Result<Exit, Failure> {
    // Even what a status counts can take long.
    let progress = Progress::new(global, "stats", "sessions", None);
    let storage = global.open_existing().await?;
    let store_bytes = global.for_administration(&storage).status().await?.bytes;
    let (sizes, tally) = measure(&storage, &progress).await?;
    drop(progress);
    storage.close().await?;
    print(global, &stats, sizes, store_bytes, tally.failed())?;
    Ok(tally.exit())
}

async fn measure(storage: &Storage, progress: &Progress) -> Result<(Vec<Size>, Tally), Failure> {
    let (mut sizes, mut tally) = (Vec::new(), Tally::default());
    let mut sessions = storage.all_sessions(SessionQuery::new());
    while let Some(session) = sessions.next().await.transpose()? {
        match size(storage, session.id.clone()).await {
            Ok(size) => {
                tally.done(1);
                sizes.push(size);
            }
            Err(error) => tally.fail(output::complain_of(&error.with("session", format!("{:?}", session.id)))),
        }
        progress.add(1);
    }
    Ok((sizes, tally))
}

async fn size(storage: &Storage, session: SessionId) -> craftx::Result<Size> {
    let (mut messages, mut bytes) = (0, 0);
    let mut records = storage.records(&session);
    while let Some(record) = records.next().await.transpose()? {
        messages += u64::from(matches!(record, Record::Message(_)));
        bytes += record.encode().as_str().len() as u64 + 1;
    }
    Ok(Size { session, messages, bytes })
}

fn print(
    global: &Global,
    stats: &Stats,
    mut sizes: Vec<Size>,
    store_bytes: Option<u64>,
    unreadable: u64,
) -> Result<(), Failure> {
    let (messages, bytes) =
        sizes.iter().fold((0, 0), |(messages, bytes), size| (messages + size.messages, bytes + size.bytes));
    let sessions = sizes.len() as u64;
    sizes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.session.cmp(&b.session)));
    sizes.truncate(stats.largest);
    let mut out = Out::new();
    if global.json {
        let largest: Vec<Value> = sizes
            .iter()
            .map(|size| json!({"session": size.session, "messages": size.messages, "bytes": size.bytes}))
            .collect();
        out.object(json!({
            "tenant": global.tenant(),
            "sessions": sessions,
            "messages": messages,
            "bytes": bytes,
            "store_bytes": store_bytes,
            "unreadable": unreadable,
            "largest": largest,
        }))?;
        return out.finish();
    }
    out.line(format_args!("sessions  {}", HumanCount(sessions)))?;
    out.line(format_args!("messages  {}", HumanCount(messages)))?;
    out.line(format_args!("bytes     {} when exported", HumanBytes(bytes)))?;
    if let Some(store_bytes) = store_bytes {
        out.line(format_args!("          {} in the store, all tenants", HumanBytes(store_bytes)))?;
    }
    if !sizes.is_empty() {
        out.line(format_args!("\n{:>12}  {:>10}  the largest sessions", "bytes", "messages"))?;
    }
    for size in &sizes {
        let (bytes, messages) = (HumanBytes(size.bytes).to_string(), HumanCount(size.messages).to_string());
        out.line(output::one_line(&format!("{bytes:>12}  {messages:>10}  {}", size.session)))?;
    }
    out.finish()
}
