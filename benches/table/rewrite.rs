//! The baseline for JSON Lines: a conversation as one JSON array, read whole, appended to, and written whole.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::messages;

/// A message in the array.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: String,
    role: String,
    content: String,
    created_at: String,
}

/// A file with one array.
#[derive(Debug)]
pub(crate) struct Rewrite {
    path: PathBuf,
    /// Whether the array is written to a second file, which then takes the place of the first: what it takes to survive a
    /// crash in the middle of a write.
    safe: bool,
}

impl Rewrite {
    pub(crate) fn new(folder: &Path, safe: bool) -> Outcome<Self> {
        let path = folder.join("array.json");
        std::fs::write(&path, "[]")?;
        Ok(Self { path, safe })
    }

    /// Appends message `n`, with one sync of the file (and one of the folder, if safe).
    pub(crate) fn append(&self, n: usize) -> Outcome<()> {
        let mut entries: Vec<Entry> = serde_json::from_slice(&std::fs::read(&self.path)?)?;
        entries.push(Entry {
            id: messages::stamp(n).to_string(),
            role: messages::role(n).0.as_str().to_owned(),
            content: messages::text(n),
            created_at: "2025-06-28T00:33:47.214584".to_owned(),
        });
        let bytes = serde_json::to_vec(&entries)?;
        let written = if self.safe { self.path.with_extension("new") } else { self.path.clone() };
        let mut file = File::create(&written)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        if self.safe {
            std::fs::rename(&written, &self.path)?;
            File::open(self.path.parent().ok_or("the path has a folder")?)?.sync_data()?;
        }
        Ok(())
    }
}
