//! What is measured, at which scale, and where.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Outcome;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Just enough to see that it works.
    Smoke,
    /// A tenth.
    Small,
    /// The numbers of the goals.
    Full,
}

/// The choices of this run.
#[derive(Debug)]
pub(crate) struct Settings {
    scale: Scale,
    filters: Vec<String>,
    folder: PathBuf,
    /// Where conversations lie whose space is measured.
    pub(crate) data: PathBuf,
    /// The file with conversations that are searched.
    pub(crate) locomo: PathBuf,
}

impl Settings {
    pub(crate) fn of_environment() -> Self {
        let mut bench = false;
        let mut filters = Vec::new();
        for argument in std::env::args().skip(1) {
            match argument.strip_prefix("--") {
                Some("bench") => bench = true,
                // Options of Rust's own harness, which `cargo test` gives to all test programs.
                Some(_) => {}
                None => filters.push(argument),
            }
        }
        let scale = match std::env::var("CRAFTX_BENCH_SCALE").as_deref() {
            _ if !bench => Scale::Smoke,
            Ok("small") => Scale::Small,
            Ok("full") | Err(_) => Scale::Full,
            Ok(other) => panic!("CRAFTX_BENCH_SCALE is `small` or `full`, not `{other}`"),
        };
        let path = |name, otherwise: &Path| std::env::var_os(name).map_or_else(|| otherwise.to_owned(), PathBuf::from);
        let beside = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
        Self {
            scale,
            filters,
            folder: path("CRAFTX_BENCH_DIR", Path::new(env!("CARGO_TARGET_TMPDIR"))),
            data: path("CRAFTX_BENCH_DATA", &beside("conversations")),
            locomo: path("CRAFTX_BENCH_LOCOMO", &beside("locomo/locomo_first5.json")),
        }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }

    pub(crate) fn is_smoke(&self) -> bool {
        self.scale == Scale::Smoke
    }

    /// How many of `full` there are at this scale.
    pub(crate) fn scaled(&self, full: usize) -> usize {
        match self.scale {
            Scale::Full => full,
            Scale::Small => (full / 10).max(1),
            Scale::Smoke => (full / 1_000).max(2),
        }
    }

    /// How many rounds of two alternating measurements there are.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.is_smoke() { 1 } else { full }
    }

    /// A folder that is gone when the value is.
    pub(crate) fn folder(&self) -> Outcome<TempDir> {
        std::fs::create_dir_all(&self.folder)?;
        Ok(TempDir::new_in(&self.folder)?)
    }

    /// The conditions of this run, for who reads the table later.
    pub(crate) fn describe(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let sqlite = rusqlite::version();
        format!(
            "{:?} scale, {cores} cores, {} {}, {}, SQLite {sqlite}\n",
            self.scale,
            std::env::consts::OS,
            kernel.trim(),
            self.file_system(),
        )
    }

    /// The kind of file system that the stores lie on, where that is known.
    fn file_system(&self) -> String {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let of = |line: &str| {
            let mut fields = line.split(' ').skip(1);
            let point = fields.next().filter(|point| self.folder.starts_with(point))?;
            Some((point.len(), fields.next()?.to_owned()))
        };
        let found = mounts.lines().filter_map(of).max_by_key(|(length, _)| *length);
        found.map_or_else(|| "unknown file system".to_owned(), |(_, kind)| kind)
    }
}
