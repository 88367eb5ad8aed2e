//! Several processes that open a new session at the same time.

use std::sync::Barrier;

use craftx_core::{Backend, MessageQuery, WriteOptions};

use super::*;

/// Each thread has connections and layers of its own, as a process has.
#[test]
fn writers_who_open_a_new_session_at_once_lose_nothing() {
    const WRITERS: u64 = 4;
    const SESSIONS: u64 = 15;
    for files in ["sqlite", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let keys = if files == "json" { json(folder.path(), "keys") } else { sqlite(folder.path(), "keys.db") };
            prepared(encrypted(sqlite(folder.path(), "data.db"), keys))
        };
        open();
        let barrier = Barrier::new(WRITERS as usize);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (open, barrier) = (&open, &barrier);
                scope.spawn(move || {
                    let store = open();
                    for session in 0..SESSIONS {
                        let name = id(&format!("s{session}"));
                        barrier.wait();
                        // Two of three are the same for all, as a message that is tried again elsewhere.
                        let records = [said(1, "hello"), said(2, "again"), said(10 + writer, "mine")];
                        block_on(store.write(&cx(), &name, &records, &WriteOptions::fresh())).unwrap();
                    }
                });
            }
        });
        let store = open();
        for session in 0..SESSIONS {
            let name = id(&format!("s{session}"));
            let page = block_on(store.load(&cx(), &name, &MessageQuery::oldest_first())).unwrap();
            assert_eq!(page.items.len() as u64, 2 + WRITERS, "{files}");
            let keys = block_on(store.data_keys(&cx(), &name)).unwrap();
            assert_eq!(keys.len(), 1, "a key store that can compare gives one key");
        }
    }
}
