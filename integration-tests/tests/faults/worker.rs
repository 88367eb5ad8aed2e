//! The program that works until it is killed or starved.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use craftx_integration_tests::faults::Told;

/// The program itself.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fault-worker");
const KILL: i32 = 9;

/// The command that does batches `from` to `from + count` of a seed.
pub(crate) fn run(url: &str, seed: u64, from: u64, count: u64, options: &[&str]) -> Vec<String> {
    let mut words = vec![PROGRAM.to_owned(), "run".to_owned(), url.to_owned()];
    words.extend([seed, from, count].map(|number| number.to_string()));
    words.extend(options.iter().map(|option| (*option).to_owned()));
    words
}

/// A worker that runs. It is killed when this is dropped.
pub(crate) struct Worker {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Worker {
    pub(crate) fn start(command: &[String]) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", command[0]));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn next(&mut self) -> Option<Told> {
        let line = self.lines.next()?.unwrap();
        Some(line.parse().unwrap_or_else(|error| panic!("{error}")))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// All that it says from now on, and how it ended.
    pub(crate) fn finish(mut self) -> (Vec<Told>, ExitStatus) {
        let rest = std::iter::from_fn(|| self.next()).collect();
        (rest, self.child.wait().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it ended by `kill -9`; anything but that and success is a panic or a crash.
pub(crate) fn was_killed(status: ExitStatus) -> Result<bool, String> {
    match (status.success(), status.signal()) {
        (true, _) => Ok(false),
        (_, Some(KILL)) => Ok(true),
        _ => Err(format!("the worker ended with {status}")),
    }
}
