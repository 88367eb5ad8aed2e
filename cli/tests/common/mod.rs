//! Runs the real command in a folder of its own.
#![allow(dead_code, reason = "not every test file uses every helper")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A temporary folder and a store in it.
pub(crate) struct Place {
    folder: TempDir,
    store: String,
}

/// One place for each medium.
pub(crate) fn places() -> Vec<Place> {
    ["json:chats", "sqlite:chats.db"].map(Place::new).into()
}

impl Place {
    pub(crate) fn new(store: &str) -> Self {
        Self { folder: TempDir::new().unwrap(), store: store.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn is_json(&self) -> bool {
        self.store.starts_with("json:")
    }

    /// What is in the folder, without the files that a reader of a database makes and removes.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut all, mut folders) = (BTreeMap::new(), vec![self.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let name = path.to_string_lossy().into_owned();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if !path.is_symlink() && !name.ends_with("-shm") && !name.ends_with("-wal") {
                    let bytes = std::fs::read(&path).unwrap();
                    all.insert(path, bytes);
                }
            }
        }
        all
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// The command in this folder, with nothing of the environment that could change what it does.
    pub(crate) fn plain(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_craftx"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CRAFTX_")) {
            command.env_remove(name);
        }
        command.current_dir(self.path()).env("TZ", "UTC").args(words);
        command
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.plain(&[&["--store", &self.store], words].concat())
    }

    /// Runs the command with this standard input.
    pub(crate) fn pipe(&self, words: &[&str], input: &[u8]) -> Run {
        self.give(self.command(words), words, input)
    }

    /// Runs the command without naming the store.
    pub(crate) fn run_plain(&self, words: &[&str]) -> Run {
        self.give(self.plain(words), words, b"")
    }

    pub(crate) fn give(&self, mut command: Command, words: &[&str], input: &[u8]) -> Run {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that fails before it reads is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(input);
        Run::of(&self.store, words, child.wait_with_output().unwrap())
    }

    pub(crate) fn run(&self, words: &[&str]) -> Run {
        self.pipe(words, b"")
    }

    /// Runs the command, which must succeed, and returns what it prints.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let run = self.run(words);
        assert_eq!(run.code, 0, "{run:?}");
        run.out
    }
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) what: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    fn of(store: &str, words: &[&str], output: Output) -> Self {
        Self {
            what: format!("{store} {words:?}"),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
