//! The kit over encrypted stores on a disk.

use std::path::{Path, PathBuf};

use craftx_conformance::{Failure, Subject, conformance};
use craftx_core::Result;
use craftx_failover::Mirror;

use super::*;

fn over_sqlite(folder: &Path) -> DynBackend {
    Arc::new(encrypted(sqlite(folder, "data.db"), sqlite(folder, "keys.db")))
}

fn over_sqlite_with_a_blind_index(folder: &Path) -> DynBackend {
    let config = EncryptConfig::default().blind_index(true);
    let layer = Encrypt::new(keyring(), sqlite(folder, "keys.db"), config).unwrap();
    Arc::new(layer.over(sqlite(folder, "data.db")).unwrap())
}

fn over_json(folder: &Path) -> DynBackend {
    Arc::new(encrypted(json(folder, "data"), json(folder, "keys")))
}

pub(crate) fn subject(open: fn(&Path) -> DynBackend) -> Result<Subject, Failure> {
    let folder = tempfile::tempdir()?;
    let path: PathBuf = folder.path().to_owned();
    Ok(Subject::from(open(&path))
        .reopening(move || {
            let path = path.clone();
            async move { Ok(open(&path)) }
        })
        .holding(folder))
}

conformance!(encrypted_sqlite, || async { subject(over_sqlite) }, |kit| kit.cases(40).sequences(20).rounds(5));
conformance!(encrypted_sqlite_with_a_blind_index, || async { subject(over_sqlite_with_a_blind_index) }, |kit| kit
    .cases(40)
    .sequences(20)
    .rounds(5));
conformance!(encrypted_json, || async { subject(over_json) }, |kit| kit.cases(40).sequences(20).rounds(5));

#[test]
fn a_key_store_that_is_mirrored_later_is_refused_and_one_that_is_mirrored_at_once_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let new = |mirror| Encrypt::new(keyring(), hybrid(folder.path(), mirror), EncryptConfig::default());
    let error = new(Mirror::Async).unwrap_err();
    assert_eq!(error.kind(), craftx_core::ErrorKind::ConfigInvalid);
    new(Mirror::Sync).unwrap();
}
