//! Space on disk against the bytes of the files that were imported.

use std::path::{Path, PathBuf};

use craftx::{Line, Storage};
use futures_executor::block_on;

use crate::row::{Goal, Row, Value};
use crate::settings::Settings;
use crate::{Outcome, messages};

pub(crate) fn sqlite(settings: &Settings) -> Outcome<Row> {
    space(settings, "sqlite", "SQLite", 1.3)
}

pub(crate) fn json(settings: &Settings) -> Outcome<Row> {
    space(settings, "json", "JSON", 1.6)
}

fn space(settings: &Settings, scheme: &str, name: &str, goal: f64) -> Outcome<Row> {
    let what = format!("{name}, space on disk of real conversations");
    let files = files(&settings.data);
    if files.is_empty() {
        let reason = format!("there are no conversations in `{}`", settings.data.display());
        return Ok(Row::Skipped { what, reason });
    }
    let (input, stored) = import(settings, scheme, &files)?;
    let each = files.iter().map(|file| {
        let (input, stored) = import(settings, scheme, std::slice::from_ref(file))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(format!("{name} {:.2}", stored as f64 / input as f64))
    });
    Ok(Row::Measured {
        what,
        craftx: format!("{stored} bytes (each file alone: {})", each.collect::<Outcome<Vec<_>>>()?.join(", ")),
        baseline: format!("the {} files that were imported: {input} bytes", files.len()),
        value: Value::Times(stored as f64 / input as f64),
        goal: Goal::AtMost(Value::Times(goal)),
    })
}

/// The files with conversations, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    files.sort();
    files
}

/// Imports the files into one new store. Returns their bytes, and those of the store after it was closed.
fn import(settings: &Settings, scheme: &str, files: &[PathBuf]) -> Outcome<(u64, u64)> {
    let folder = settings.folder()?;
    let storage = block_on(Storage::open(&messages::url(scheme, folder.path(), "store")))?;
    let mut input = 0;
    for file in files {
        let text = std::fs::read_to_string(file)?;
        input += text.len() as u64;
        for line in text.lines() {
            if let Line::Conversation(conversation) = Line::parse(line)? {
                block_on(storage.import_conversation(&conversation))?;
            }
        }
    }
    block_on(storage.close())?;
    Ok((input, bytes(folder.path())?))
}

/// The bytes of all files in a folder.
fn bytes(folder: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        let kind = entry.metadata()?;
        sum += if kind.is_dir() { bytes(&entry.path())? } else { kind.len() };
    }
    Ok(sum)
}
