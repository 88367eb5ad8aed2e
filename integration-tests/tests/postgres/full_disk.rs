//! The disk of the server fills up, and later there is space again: reads work all the time, writes resume on the same
//! handle, nothing is lost.

use std::path::Path;
use std::process::{Command, Stdio};

use craftx_core::{ErrorKind, Outcome, Retry};
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use futures_executor::block_on;

use crate::errors::clean;
use crate::size::{Trial, times};
use crate::support::{config, cx, fresh_schema, message, open, texts, within, write};

/// Says that the test runs in a name space of its own, whose small disk ends with it.
const INSIDE: &str = "CRAFTX_TEST_MAY_MOUNT";

fn ran(words: &[&str]) -> bool {
    let status = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs this test again where it may mount a disk; whether that can be done. Only the superuser can both mount a disk and
/// start a server as somebody else.
fn goes_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !postgres_is_there("a full disk") {
        return false;
    }
    if !ran(&["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]) {
        let must = std::env::var("CRAFTX_TEST_REQUIRE").as_deref() == Ok("all");
        assert!(!must, "a full disk needs the right to mount one");
        eprintln!("skipped: a full disk needs the right to mount one");
        return false;
    }
    let mut again = Command::new("unshare");
    again.arg("-m").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    assert!(again.status().unwrap().success(), "see above");
    false
}

/// A disk of this size, or the same one with another size.
fn disk(path: &Path, how: &str, mib: u64) {
    let path = path.to_str().unwrap();
    let options = format!("{how}mode=0777,size={mib}m");
    assert!(ran(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", path]));
}

#[test]
fn writes_resume_when_there_is_space_again() {
    if !goes_inside("full_disk::writes_resume_when_there_is_space_again") {
        return;
    }
    let trial = Trial::new("full disk, PostgreSQL");
    let servers = Servers::start(&PostgresOptions { fsync: true, ..PostgresOptions::default() });
    let folder = tempfile::tempdir().unwrap();
    disk(folder.path(), "", 4);
    // The folder that a server creates belongs to it.
    std::os::unix::fs::chown(folder.path(), owner(servers.folder()), None).unwrap();
    assert!(ran(&["chmod", "700", folder.path().to_str().unwrap()]));
    servers.sql(0, &format!("CREATE TABLESPACE small LOCATION '{}'", folder.path().display())).unwrap();
    servers.sql(0, "ALTER DATABASE craftx SET default_tablespace = small").unwrap();
    let store = open(config(&servers.url(), &fresh_schema()));

    let mut dice = craftx_integration_tests::faults::Dice::new(trial.seed);
    let mut noise = || -> String { (0..4_000).map(|_| format!("{:016x}", dice.next())).collect() };
    let (mut written, mut refused, cycles) = (Vec::new(), 0, times(5, 100));
    for cycle in 1..=cycles {
        let full = loop {
            let text = format!("canary {}", noise());
            let record = [message(written.len() as u64 + 1, &text)];
            match block_on(write(&store, &within(20_000), "a", &record)) {
                Ok(_) => written.push(text),
                Err(error) => break (error, record, text),
            }
            assert!(written.len() < 1_000_000, "the disk does not fill up");
        };
        let (error, record, text) = full;
        refused += 1;
        let what = (error.kind(), error.outcome(), error.retry());
        assert_eq!(what, (ErrorKind::StorageFull, Outcome::NotApplied, Retry::Later), "{error:?}");
        clean(&error);
        let found = block_on(texts(&store, &cx(), "a")).unwrap();
        assert!(found == written, "cycle {cycle}: reads find {} of {} messages", found.len(), written.len());
        disk(folder.path(), "remount,", 4 + cycle);
        block_on(write(&store, &within(20_000), "a", &record)).unwrap();
        written.push(text);
    }
    let found = block_on(texts(&store, &cx(), "a")).unwrap();
    assert!(found == written);
    trial.told(format_args!("{cycles} cycles, {} acknowledged, {refused} refused", written.len()));
}

fn owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    Some(path.metadata().unwrap().uid())
}
