//! What the kit found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use craftx_core::{Capabilities, Support};

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The promise was kept.
    Passed,
    /// It was broken, and how.
    Failed(String),
    /// It could not be tried, and why.
    Skipped(String),
}

/// One check and what it found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The stable name of the check.
    pub name: &'static str,
    /// The area that it belongs to.
    pub area: &'static str,
    /// The promise in one line.
    pub promise: &'static str,
    /// The capabilities that it tests; none if every store must pass it.
    pub extends: Vec<&'static str>,
    /// What was found.
    pub finding: Finding,
    /// How long it took.
    pub took: Duration,
}

/// What all checks found. `Display` prints it, grouped by area.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The name of the store.
    pub name: String,
    /// What the store claimed after it was prepared.
    pub capabilities: Capabilities,
    /// Repeats the random choices of this run.
    pub seed: u64,
    /// One for each check, in the order of the areas.
    pub entries: Vec<Entry>,
}

impl Report {
    /// Whether no check failed.
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| matches!(entry.finding, Finding::Failed(_)))
    }

    /// The check with this name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// How many checks passed, failed and were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let passed = self.entries.iter().filter(|entry| entry.finding == Finding::Passed).count();
        let failed = self.failed().count();
        (passed, failed, self.entries.len() - passed - failed)
    }

    /// One line for what every store must do, and one for each capability.
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, entries: Vec<&Entry>| {
            let tried: Vec<_> = entries.iter().filter(|entry| !matches!(entry.finding, Finding::Skipped(_))).collect();
            let passed = tried.iter().filter(|entry| entry.finding == Finding::Passed).count();
            writeln!(f, "  {name:20} {passed} of {} passed, {} skipped", tried.len(), entries.len() - tried.len())
        };
        line("base", self.entries.iter().filter(|entry| entry.extends.is_empty()).collect())?;
        for (name, _) in self.capabilities.named() {
            let entries: Vec<_> = self.entries.iter().filter(|entry| entry.extends.contains(&name)).collect();
            if !entries.is_empty() {
                line(name, entries)?;
            }
        }
        Ok(())
    }

    /// Prints the report, and panics if a check failed.
    ///
    /// # Panics
    /// If a check failed: this is how a test fails.
    #[track_caller]
    #[allow(clippy::panic, reason = "a failed test is a panic")]
    pub fn assert_passed(&self) {
        if !self.passed() {
            panic!("{self}");
        }
        println!("{self}");
    }
}

/// How long a check took, if long enough to matter to whoever waits.
fn slow(took: Duration) -> String {
    if took < Duration::from_secs(1) { String::new() } else { format!(" ({:.1} s)", took.as_secs_f64()) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = |wanted: bool| {
            let names: Vec<_> = self
                .capabilities
                .named()
                .into_iter()
                .filter(|(_, support)| (*support == Support::Yes) == wanted)
                .map(|(name, _)| name)
                .collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        writeln!(f, "conformance of {}", self.name)?;
        writeln!(f, "claimed: {}", claims(true))?;
        writeln!(f, "not claimed: {}", claims(false))?;
        let mut areas: Vec<&str> = Vec::new();
        let mut by_area: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            if !areas.contains(&entry.area) {
                areas.push(entry.area);
            }
            by_area.entry(entry.area).or_default().push(entry);
        }
        for area in areas {
            writeln!(f, "\n{area}")?;
            for entry in by_area.get(area).into_iter().flatten() {
                match &entry.finding {
                    Finding::Passed => writeln!(f, "  passed   {}{}", entry.name, slow(entry.took))?,
                    Finding::Skipped(why) => writeln!(f, "  skipped  {}: {why}", entry.name)?,
                    Finding::Failed(why) => {
                        writeln!(f, "  FAILED   {}", entry.name)?;
                        writeln!(f, "           promise: {}", entry.promise)?;
                        writeln!(f, "           found: {}", why.replace('\n', "\n           "))?;
                    }
                }
            }
        }
        writeln!(f, "\nsummary")?;
        self.summary(f)?;
        let (passed, failed, skipped) = self.counts();
        writeln!(f, "\n{passed} passed, {failed} failed, {skipped} skipped")?;
        write!(f, "repeat the random choices with CRAFTX_CONFORMANCE_SEED={}", self.seed)
    }
}
