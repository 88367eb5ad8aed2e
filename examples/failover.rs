//! Takes the primary's file away while four writers work, gives it back, and checks that nothing was lost or doubled.
//!
//! ```text
//! four writers, each on a session of its own: SQLite, with a copy in JSON files
//! the primary's file is moved away while they write
//!   primary: away
//!   secondary: answers
//!   sessions that the primary lacks something of: 4
//!   a reader finds all that was acknowledged: yes
//! the file is moved back while they write
//!   primary: answers
//!   secondary: answers
//!   sessions that the primary lacks something of: 0
//! 400 messages acknowledged, 0 refused
//! in the SQLite file alone: 400 messages, 0 lost, 0 twice
//! in the JSON files alone: 400 messages, 0 lost, 0 twice
//! 0 sessions differ
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use craftx::failover::{Failover, FailoverConfig, Processes};
use craftx::json_backend::{Json, JsonConfig};
use craftx::sqlite_backend::{Sqlite, SqliteConfig};
use craftx::{NewMessage, Prepare, Stack, Storage, TryStreamExt};

const WRITERS: usize = 4;
const MESSAGES: usize = 100;

/// How many messages were acknowledged.
static ACKNOWLEDGED: AtomicUsize = AtomicUsize::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (place, away) = (folder.path().join("primary"), folder.path().join("away"));
    let (file, files) = (place.join("chat.db"), folder.path().join("secondary"));
    let hybrid = hybrid(&file, &files)?;
    let storage = Storage::new(Stack::builder("hybrid", Arc::new(hybrid.clone())).build()?);
    storage.prepare(Prepare::Migrate).await?;

    println!("four writers, each on a session of its own: SQLite, with a copy in JSON files");
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(storage.clone(), writer))).collect();
    until(&storage, || ACKNOWLEDGED.load(Ordering::Relaxed) >= 60).await;

    println!("the primary's file is moved away while they write");
    std::fs::rename(&place, &away)?;
    until(&storage, || hybrid.legs().first().is_some_and(|primary| primary.lacks == WRITERS)).await;
    tell(&hybrid);
    let known = ACKNOWLEDGED.load(Ordering::Relaxed);
    let mut found = 0;
    for writer in 0..WRITERS {
        found += texts(&storage, writer).await?.len();
    }
    println!("  a reader finds all that was acknowledged: {}", if found >= known { "yes" } else { "no" });

    println!("the file is moved back while they write");
    std::fs::rename(&away, &place)?;
    let mut refused = 0;
    for writer in writers {
        refused += writer.await?;
    }
    while !hybrid.heal(&storage.context()).await.done {
        pause(&storage).await;
    }
    tell(&hybrid);
    let acknowledged = ACKNOWLEDGED.load(Ordering::Relaxed);
    println!("{acknowledged} messages acknowledged, {refused} refused");
    let compared = hybrid.compare(&storage.context()).await;
    storage.close().await?;

    let mut wrong = compared.differing.len() + compared.unread.len() + usize::from(found < known);
    wrong += alone("SQLite file", "sqlite", &file).await?;
    wrong += alone("JSON files", "json", &files).await?;
    println!("{} sessions differ", compared.differing.len());
    if wrong == 0 && acknowledged == WRITERS * MESSAGES { Ok(()) } else { Err("this must not happen".into()) }
}

/// SQLite, with a copy in JSON files. The profile `production_hybrid` is the same by configuration alone.
fn hybrid(file: &Path, files: &Path) -> craftx::Result<Failover> {
    // Times that suit a demonstration: nobody waits long for the primary to be asked again.
    let config = FailoverConfig::default().processes(Processes::Single).heal_interval_ms(20);
    let breaker = config.breaker.clone().open_ms(100);
    Failover::builder("primary", Arc::new(Sqlite::new(SqliteConfig::new(file))?))
        .secondary("secondary", Arc::new(Json::new(&JsonConfig::new(files))?))
        .config(config.linger_ms(20).settle_ms(500).breaker(breaker))
        .build()
}

/// Writes its messages, and returns how many were refused.
async fn write(storage: Storage, writer: usize) -> usize {
    let mut refused = 0;
    for number in 0..MESSAGES {
        match storage.append(session(writer), NewMessage::user(number.to_string())).await {
            Ok(_) => drop(ACKNOWLEDGED.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                println!("  {error}");
                refused += 1;
            }
        }
        pause(&storage).await;
    }
    refused
}

fn session(writer: usize) -> String {
    format!("writer {writer}")
}

async fn texts(storage: &Storage, writer: usize) -> craftx::Result<Vec<String>> {
    let messages: Vec<_> = storage.history(session(writer)).try_collect().await?;
    Ok(messages.iter().filter_map(|message| message.text()).map(str::to_owned).collect())
}

/// Says how the stores are, as the hybrid sees them.
fn tell(hybrid: &Failover) {
    for leg in hybrid.legs() {
        let how = if leg.answers { "answers" } else { "away" };
        println!("  {}: {how}", leg.name);
    }
    let primary = hybrid.legs().first().map_or(0, |primary| primary.lacks);
    println!("  sessions that the primary lacks something of: {primary}");
}

/// Looks into one store without the hybrid, and returns how many messages are wrong.
async fn alone(name: &str, scheme: &str, path: &Path) -> craftx::Result<usize> {
    let storage = Storage::open_existing(&format!("{scheme}:{}", path.display())).await?;
    let (mut there, mut lost, mut twice) = (0, 0, 0);
    for writer in 0..WRITERS {
        let texts = texts(&storage, writer).await?;
        let different: BTreeSet<&String> = texts.iter().collect();
        there += texts.len();
        twice += texts.len() - different.len();
        lost += (0..MESSAGES).filter(|number| !different.contains(&number.to_string())).count();
    }
    println!("in the {name} alone: {there} messages, {lost} lost, {twice} twice");
    storage.close().await?;
    Ok(lost + twice)
}

async fn until(storage: &Storage, is_so: impl Fn() -> bool) {
    while !is_so() {
        pause(storage).await;
    }
}

async fn pause(storage: &Storage) {
    storage.context().clock.sleep(Duration::from_millis(2)).await;
}
