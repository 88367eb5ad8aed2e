//! Programs that some tests need besides Rust.

use std::process::{Command, ExitStatus, Stdio};

/// Each with the package that brings it.
const TOOLS: [(&str, &str); 1] = [("strace", "strace")];

/// Installs what is missing, where that is possible. What stays missing is told by the tests that need it.
pub(crate) fn install_missing() {
    let missing: Vec<&str> = TOOLS.iter().filter(|(tool, _)| !runs(tool)).map(|(_, package)| *package).collect();
    if missing.is_empty() || !is_superuser() {
        return;
    }
    eprintln!("\n$ apt-get install {}", missing.join(" "));
    let update = Command::new("apt-get").args(["update", "-q"]).status();
    let install =
        Command::new("apt-get").args(["install", "-y", "-q", "--no-install-recommends"]).args(missing).status();
    if ![update, install].into_iter().all(|status| status.is_ok_and(|status| ExitStatus::success(&status))) {
        eprintln!("it could not be installed: the tests that need it will be skipped");
    }
}

fn runs(tool: &str) -> bool {
    let status = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn is_superuser() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_noticed() {
        assert!(runs("cargo"));
        assert!(!runs("a-tool-that-nobody-has"));
    }
}
