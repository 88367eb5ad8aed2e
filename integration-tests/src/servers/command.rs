//! Programs that are run as the right user, and not waited for without end.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rustix::process::Signal;

use super::{PATIENCE, process};

/// Servers refuse to run as the superuser, who therefore runs them as this user. Anyone else runs them as oneself.
pub(super) fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:")).expect("there is no user `postgres`");
    let mut ids = user.split(':').skip(2).map(|id| id.parse().unwrap());
    ids.next().zip(ids.next())
}

/// Gives a folder or file to the user who runs the servers.
pub(super) fn give(path: &Path) {
    if let Some((user, group)) = account() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
}

/// A command that the user of the servers runs, untouched by the variables and the keyboard of who runs the tests.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    // The folder of the tests and the home of who runs them need not be such that this user may enter them.
    command.current_dir("/").env("HOME", "/").env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
    command
}

/// Runs a command to its end: what it printed, or why it failed. It is killed when it takes too long.
pub(super) fn finish(mut command: Command) -> Result<String, String> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        process::signal(pid, Signal::KILL);
        return Err(format!("{} did not end in time", command.get_program().display()));
    };
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// As [`finish`], for what has to work.
pub(super) fn must(command: Command) -> String {
    let program = command.get_program().display().to_string();
    finish(command).unwrap_or_else(|error| panic!("{program}: {error}"))
}
