//! Programs that some tests need besides Rust.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// A package of Debian and Ubuntu, and whether what is needed of it is there.
type Tool = (&'static str, fn() -> bool);

const TOOLS: [Tool; 3] = [("strace", || runs("strace")), ("postgresql", has_postgres), ("pgbouncer", has_pgbouncer)];

/// Installs what is missing, where that is possible. What stays missing is told by the tests that need it.
pub(crate) fn install_missing() {
    let missing: Vec<&str> = TOOLS.iter().filter(|(_, there)| !there()).map(|(package, _)| *package).collect();
    if !missing.is_empty() && !superuser().is_some_and(|before| install(&before, &missing)) {
        eprintln!("\n{}", advice(&missing));
    }
}

/// What comes before a command that only the superuser may run; `None` if we may not either.
fn superuser() -> Option<Vec<&'static str>> {
    let is_superuser = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if is_superuser {
        return Some(Vec::new());
    }
    succeeds(Command::new("sudo").args(["-n", "true"])).then(|| vec!["sudo", "-n"])
}

/// Servers that come this way are not started: tests start their own, and this machine is not ours.
fn install(before: &[&str], packages: &[&str]) -> bool {
    eprintln!("\n$ apt-get install {}", packages.join(" "));
    let quiet = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"];
    let run = |words: &[&str]| {
        let mut words = before.iter().chain(&quiet).chain(words);
        let status = words.next().map(|program| Command::new(program).args(words).status());
        status.is_some_and(|status| status.is_ok_and(|status| ExitStatus::success(&status)))
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    // One source of many that does not answer need not matter.
    run(&["update"]);
    run(&install)
}

fn advice(missing: &[&str]) -> String {
    let docker = match missing.contains(&"postgresql") {
        true => ", or `docker compose up -d --wait` with CRAFTX_TEST_POSTGRES_URL as docker-compose.yml says",
        false => "",
    };
    format!(
        "not here, and could not be installed: {}. The tests that need it are skipped, or fail with \
         CRAFTX_TEST_REQUIRE=all. What helps: `apt-get install {}`{docker}.",
        missing.join(", "),
        missing.join(" ")
    )
}

/// Debian keeps the servers of each version in a folder of their own.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folder = Command::new("pg_config").arg("--bindir").output().map(|output| output.stdout).unwrap_or_default();
    versions.map(|version| version.path().join("bin/postgres")).any(|program| program.is_file())
        || Path::new(String::from_utf8_lossy(&folder).trim()).join("postgres").is_file()
        || runs("postgres")
}

/// It lies where only the superuser looks for programs.
fn has_pgbouncer() -> bool {
    runs("pgbouncer") || runs("/usr/sbin/pgbouncer")
}

fn runs(tool: &str) -> bool {
    succeeds(Command::new(tool).arg("--version"))
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_noticed() {
        assert!(runs("cargo"));
        assert!(!runs("a-tool-that-nobody-has"));
    }

    #[test]
    fn the_advice_names_every_way() {
        assert!(advice(&["postgresql", "pgbouncer"]).contains("`apt-get install postgresql pgbouncer`, or `docker"));
        assert!(advice(&["strace"]).ends_with("`apt-get install strace`."));
    }
}
