//! Where the programs are, and what to say where they are not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The folder of PostgreSQL's programs.
static POSTGRES: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| folders().into_iter().find(|folder| ["postgres", "initdb"].iter().all(|it| is_in(folder, it))));

/// Where a program of PostgreSQL is that comes with the server, such as `pgbench`.
///
/// # Panics
/// If there is no PostgreSQL: ask [`postgres_is_there`] first.
pub fn postgres_program(name: &str) -> PathBuf {
    postgres(name)
}

/// A program of PostgreSQL.
pub(super) fn postgres(name: &str) -> PathBuf {
    POSTGRES.as_ref().expect("PostgreSQL is not installed: ask `postgres_is_there` first").join(name)
}

/// PgBouncer lies where only the superuser looks for programs.
pub(super) fn pgbouncer() -> Option<PathBuf> {
    let mut folders = path();
    folders.push("/usr/sbin".into());
    folders.into_iter().find(|folder| is_in(folder, "pgbouncer")).map(|folder| folder.join("pgbouncer"))
}

/// Whether PostgreSQL servers can be started here. If not, the test says so and passes, unless `CRAFTX_TEST_REQUIRE=all`.
///
/// # Panics
/// If they cannot, and with `CRAFTX_TEST_REQUIRE=all` nothing may be missing.
pub fn postgres_is_there(what_for: &str) -> bool {
    let advice = "PostgreSQL: `apt-get install postgresql`, or `docker compose up` for tests that can do with a URL";
    there(POSTGRES.is_some(), what_for, advice)
}

/// As [`postgres_is_there`], for PgBouncer.
///
/// # Panics
/// As [`postgres_is_there`].
pub fn pgbouncer_is_there(what_for: &str) -> bool {
    there(pgbouncer().is_some(), what_for, "PgBouncer: `apt-get install pgbouncer`")
}

fn there(is: bool, what_for: &str, advice: &str) -> bool {
    if is {
        return true;
    }
    let must = std::env::var("CRAFTX_TEST_REQUIRE").as_deref() == Ok("all");
    assert!(!must, "{what_for} needs {advice}");
    eprintln!("skipped: {what_for} needs {advice}");
    false
}

/// Debian keeps the programs of each version apart, and none of them on the path; the newest first. Others have them
/// on the path, or a `pg_config` that knows.
fn folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    versions.sort_by_key(|folder| std::cmp::Reverse(number(folder)));
    let mut folders: Vec<PathBuf> = versions.into_iter().map(|folder| folder.join("bin")).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    folders.extend(path());
    folders
}

fn path() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

fn is_in(folder: &Path, program: &str) -> bool {
    folder.is_absolute() && folder.join(program).is_file()
}
