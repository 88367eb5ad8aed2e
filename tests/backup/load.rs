//! Backups of stores that others write to meanwhile.
#![cfg(all(feature = "json", feature = "sqlite"))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

const WRITERS: usize = 3;
/// Messages of one batch; pages of 1,000 cut batches of this size.
const BATCH: u64 = 7;
const BACKUPS: usize = 6;

/// What a writer has done: the number of the next batch, before and after it was acknowledged.
#[derive(Default)]
struct Done {
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

async fn write(url: String, writer: usize, done: Arc<Done>, stop: Arc<AtomicBool>) {
    let storage = Storage::open(&url).await.unwrap();
    while !stop.load(Ordering::Acquire) {
        let number = done.begun.fetch_add(1, Ordering::AcqRel);
        // Every writer has a session of its own, and they share one.
        for session in [format!("w{writer}"), "shared".to_owned()] {
            let batch = (0..BATCH).map(|part| NewMessage::user(format!("{writer} {number} {part}")));
            storage.append_all(&session, batch).await.unwrap();
        }
        done.acknowledged.store(number + 1, Ordering::Release);
    }
    storage.close().await.unwrap();
}

/// The batches of a writer that a session has; each must be whole.
async fn batches(storage: &Storage, session: &str, writer: usize) -> BTreeSet<u64> {
    let mut parts = std::collections::BTreeMap::<u64, Vec<u64>>::new();
    for message in storage.load_conversation(session).await.unwrap_or_default() {
        let text: Vec<u64> = message.text().unwrap().split(' ').map(|word| word.parse().unwrap()).collect();
        if text[0] == writer as u64 {
            parts.entry(text[1]).or_default().push(text[2]);
        }
    }
    for (number, parts) in &parts {
        assert!(parts.iter().copied().eq(0..BATCH), "{session}: batch {number} of {writer} is cut: {parts:?}");
    }
    parts.into_keys().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_all_that_was_acknowledged_and_nothing_that_was_not_written() {
    for scheme in ["sqlite", "json"] {
        let folder = TempDir::new().unwrap();
        let url = format!("{scheme}:{}", folder.path().join("store").display());
        let storage = Storage::open(&url).await.unwrap().for_caller(Caller::System);
        let stop = Arc::new(AtomicBool::new(false));
        let done: Vec<Arc<Done>> = (0..WRITERS).map(|_| Arc::default()).collect();
        let writers: Vec<_> = done
            .iter()
            .enumerate()
            .map(|(writer, done)| tokio::spawn(write(url.clone(), writer, Arc::clone(done), Arc::clone(&stop))))
            .collect();
        // An increment on an increment: what each of them may miss, the next one would not bring either.
        let chain = Storage::open("memory:").await.unwrap().for_caller(Caller::System);
        for n in 0..BACKUPS {
            while done.iter().any(|done| done.acknowledged.load(Ordering::Acquire) < 30 * (n as u64 + 1)) {
                tokio::task::yield_now().await;
            }
            let archive = |n: usize| archive(&folder, &format!("{n}.craftx"));
            let before: Vec<u64> = done.iter().map(|done| done.acknowledged.load(Ordering::Acquire)).collect();
            let mut backup = Backup::of(&storage);
            if n > 0 {
                backup = backup.since(archive(n - 1));
            }
            backup.write_to(&archive(n)).await.unwrap();
            let after: Vec<u64> = done.iter().map(|done| done.begun.load(Ordering::Acquire)).collect();
            let restored = Restore::of(&archive(n)).merge(n > 0).into_storage(&chain).await.unwrap();
            assert!(restored.verified.is_clean() && !restored.lacks_base);
            for writer in 0..WRITERS {
                for session in [format!("w{writer}"), "shared".to_owned()] {
                    let found = batches(&chain, &session, writer).await;
                    let missing = (0..before[writer]).find(|number| !found.contains(number));
                    assert_eq!(missing, None, "{scheme}, backup {n}, {session}");
                    assert!(found.iter().all(|number| *number < after[writer]), "{scheme}, backup {n}, {session}");
                }
            }
        }
        stop.store(true, Ordering::Release);
        for writer in writers {
            writer.await.unwrap();
        }
    }
}
