//! Runs `cargo`, says what it runs, and stops at what fails.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// One call of `cargo`.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
}

impl Cargo {
    /// `cargo`, the one that started this program, in the folder `at`.
    pub(crate) fn new(at: &Path) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.current_dir(at);
        Self { command, shown: "cargo".to_owned() }
    }

    /// Adds arguments, separated by spaces.
    pub(crate) fn args(self, arguments: &str) -> Self {
        arguments.split_whitespace().fold(self, Self::arg)
    }

    /// Adds one argument, spaces included.
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self.shown = format!("{} {argument}", self.shown);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.shown = format!("{name}='{value}' {}", self.shown);
        self
    }

    /// Runs it and waits. Says first what it runs.
    pub(crate) fn run(mut self) -> Result<(), String> {
        eprintln!("\n$ {}", self.shown);
        let status = self.command.status().map_err(|error| self.not_started(&error))?;
        if status.success() { Ok(()) } else { Err(self.failed(&status.to_string())) }
    }

    /// Runs it and gives each line of its output to `watch`, which says whether the user should see it.
    pub(crate) fn run_watched(mut self, mut watch: impl FnMut(&str) -> bool) -> Result<(), String> {
        eprintln!("\n$ {}", self.shown);
        let mut child = self.command.stdout(Stdio::piped()).spawn().map_err(|error| self.not_started(&error))?;
        if let Some(output) = child.stdout.take() {
            // Tests may print anything, so lines are bytes first.
            for line in BufReader::new(output).split(b'\n') {
                let line = line.map_err(|error| format!("the output of `{}` broke off: {error}", self.shown))?;
                let line = String::from_utf8_lossy(&line);
                if watch(&line) {
                    println!("{line}");
                }
            }
        }
        let status = child.wait().map_err(|error| self.not_started(&error))?;
        if status.success() { Ok(()) } else { Err(self.failed(&status.to_string())) }
    }

    /// Runs it silently and returns what it printed.
    pub(crate) fn output(mut self) -> Result<Vec<u8>, String> {
        let output = self.command.stderr(Stdio::inherit()).output().map_err(|error| self.not_started(&error))?;
        if output.status.success() { Ok(output.stdout) } else { Err(self.failed(&output.status.to_string())) }
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        format!("`{}` could not be run: {error}", self.shown)
    }

    fn failed(&self, status: &str) -> String {
        format!("`{}` failed ({status})", self.shown)
    }
}
