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
    how: How,
}

/// What a write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Nothing is synced.
    Unsynced,
    /// The loss of power after the write, not in the middle of it.
    Synced,
    /// The loss of power at any time: the array is written to a second file, which then takes the place of the first.
    Safe,
}

impl Rewrite {
    pub(crate) fn new(folder: &Path, how: How) -> Outcome<Self> {
        let path = folder.join("array.json");
        std::fs::write(&path, "[]")?;
        Ok(Self { path, how })
    }

    /// Appends message `n`.
    pub(crate) fn append(&self, n: usize) -> Outcome<()> {
        let mut entries: Vec<Entry> = serde_json::from_slice(&std::fs::read(&self.path)?)?;
        entries.push(Entry {
            id: messages::stamp(n).to_string(),
            role: messages::role(n).0.as_str().to_owned(),
            content: messages::text(n),
            created_at: "2025-06-28T00:33:47.214584".to_owned(),
        });
        let bytes = serde_json::to_vec(&entries)?;
        let written = if self.how == How::Safe { self.path.with_extension("new") } else { self.path.clone() };
        let mut file = File::create(&written)?;
        file.write_all(&bytes)?;
        if self.how != How::Unsynced {
            file.sync_data()?;
        }
        if self.how == How::Safe {
            std::fs::rename(&written, &self.path)?;
            File::open(self.path.parent().ok_or("the path has a folder")?)?.sync_data()?;
        }
        Ok(())
    }
}
