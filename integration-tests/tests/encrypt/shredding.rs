//! After a session was shredded, no file has what could open it.

use craftx_core::{Backend, ErrorKind, MessageQuery, WriteOptions};
use craftx_failover::Mirror;

use super::*;

/// Copies a folder, as a backup of files does.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let to = to.join(entry.file_name().unwrap());
        if entry.is_dir() { copy(&entry, &to) } else { std::fs::copy(&entry, &to).map(drop).unwrap() }
    }
}

fn wrapped_keys(keys: &DynBackend, session: &str) -> Vec<String> {
    let records = block_on(keys.records(&cx(), &id(session), None, None)).unwrap().items;
    let body = |record: &Record| match record {
        Record::Message(message) => message.content.clone().into_value().unwrap(),
        other => panic!("{other:?}"),
    };
    records.iter().map(|record| body(record)["wrapped"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_copy_of_a_shredded_session_can_be_read_and_no_file_has_its_key() {
    for files in ["sqlite", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let (data_folder, key_folder) = (folder.path().join("data"), folder.path().join("keys"));
        let backup = folder.path().join("backup");
        std::fs::create_dir_all(&data_folder).unwrap();
        std::fs::create_dir_all(&key_folder).unwrap();
        let keys = if files == "json" { json(&key_folder, "k") } else { sqlite(&key_folder, "k.db") };
        let data = hybrid(&data_folder, Mirror::Sync);
        let store = prepared(encrypted(Arc::clone(&data), Arc::clone(&keys)));
        let write = |session: &str, record: Record| {
            block_on(store.write(&cx(), &id(session), &[record], &WriteOptions::fresh())).unwrap();
        };
        for ms in 1..50 {
            write("secret", said(ms, "the canary sings"));
            write("other", said(ms, "the canary is silent"));
        }
        let wrapped = wrapped_keys(&keys, "secret");
        assert!(!wrapped.is_empty() && holds(&bytes(&key_folder), wrapped[0].as_bytes()));
        copy(&data_folder, &backup);
        let receipt = block_on(store.shred(&cx(), &id("secret"))).unwrap();
        assert!(receipt.is_complete() && receipt.data_keys == 1, "{receipt:?}");
        block_on(store.close(&cx())).unwrap();
        for key in &wrapped {
            assert!(!holds(&bytes(&key_folder), key.as_bytes()), "{files}: a wrapped key is still in a file");
        }
        assert!(!holds(&bytes(folder.path()), b"canary"));
        // The legs, and the files of the backup, are whole and open nothing.
        let keys = || if files == "json" { json(&key_folder, "k") } else { sqlite(&key_folder, "k.db") };
        let load = |store: &Encrypted, session: &str| {
            block_on(store.load(&cx(), &id(session), &MessageQuery::oldest_first())).map(|page| page.items.len())
        };
        for leg in [sqlite(&backup, "primary.db"), json(&backup, "log")] {
            let store = prepared(encrypted(leg, keys()));
            assert_eq!(load(&store, "secret").unwrap_err().kind(), ErrorKind::KeyUnavailable);
            assert_eq!(load(&store, "other").unwrap(), 49);
            block_on(store.close(&cx())).unwrap();
        }
        for leg in [sqlite(&data_folder, "primary.db"), json(&data_folder, "log")] {
            let store = prepared(encrypted(leg, keys()));
            assert_eq!(load(&store, "secret").unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(load(&store, "other").unwrap(), 49);
            block_on(store.close(&cx())).unwrap();
        }
    }
}
