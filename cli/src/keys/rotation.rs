//! Rotation: wrapping data keys under the primary key, and what is left to do.

use craftx::encrypt_layer::{KeyState, KeyUse, RotationStatus};
use serde_json::json;

use super::Opened;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

pub(crate) async fn rotate(global: &Global) -> Result<Exit, Failure> {
    let opened = Opened::new(global, global.open_to_change().await?);
    let progress = Progress::new(global, "keys rotate", "sessions", None);
    let rotated = opened.layer()?.rotate_watched(&opened.cx, &|_| progress.add(1)).await?;
    drop(progress);
    opened.close().await?;
    let mut out = Out::new();
    if global.json {
        out.object(json!({
            "sessions": rotated.sessions,
            "rewrapped": rotated.rewrapped,
            "removed": rotated.removed,
            "failed": rotated.failed,
            "problems": rotated.problems,
        }))?;
    } else {
        for problem in &rotated.problems {
            out.line(output::one_line(&format!("problem     {}: {}", problem.place, problem.what)))?;
        }
        let (sessions, rewrapped, failed) = (rotated.sessions, rotated.rewrapped, rotated.failed);
        out.line(format_args!("{rewrapped} data keys of {sessions} sessions wrapped anew, {failed} failed"))?;
    }
    out.finish()?;
    let mut tally = Tally::default();
    tally.done(rotated.rewrapped + rotated.removed);
    (0..rotated.failed).for_each(|_| tally.fail(Exit::Key));
    Ok(tally.exit())
}

pub(crate) async fn status(global: &Global) -> Result<Exit, Failure> {
    let opened = Opened::new(global, global.open_existing().await?);
    let status = opened.layer()?.rotation_status(&opened.cx).await?;
    opened.close().await?;
    let mut out = Out::new();
    match global.json {
        true => {
            let keys = status.keys.iter().map(|key| {
                json!({
                    "id": key.id,
                    "state": key.state,
                    "data_keys": key.data_keys,
                    "sessions": key.sessions,
                    "can": can(key),
                })
            });
            let keys: Vec<_> = keys.collect();
            out.object(json!({"complete": status.is_complete(), "sessions": status.sessions, "keys": keys}))?;
        }
        false => print(&mut out, &status)?,
    }
    out.finish()?;
    Ok(if status.keys.iter().any(is_missing) { Exit::Key } else { Exit::Ok })
}

/// What can be done with a key that protects nothing any more.
fn can(key: &KeyUse) -> Option<&'static str> {
    match key.state {
        Some(KeyState::Enabled) if key.data_keys == 0 => Some("retire"),
        Some(KeyState::Retired) if key.data_keys == 0 => Some("destroy"),
        _ => None,
    }
}

/// Whether something needs a key that is not there.
fn is_missing(key: &KeyUse) -> bool {
    key.data_keys > 0 && matches!(key.state, None | Some(KeyState::Destroyed))
}

/// Whether rotating takes something from this key.
fn is_left_to_rotate(key: &KeyUse) -> bool {
    key.data_keys > 0 && matches!(key.state, Some(KeyState::Enabled | KeyState::Retired))
}

fn print(out: &mut Out, status: &RotationStatus) -> Result<(), Failure> {
    for key in &status.keys {
        let state = key.state.map_or("missing", KeyState::as_str);
        let mut line = format!("{state:<10} {}: {} data keys of {} sessions", key.id, key.data_keys, key.sessions);
        if let Some(can) = can(key) {
            line.push_str(&format!("; `craftx keys {can} {}` is possible", key.id));
        }
        if is_missing(key) {
            line.push_str(", which nobody can read without it");
        }
        out.line(output::one_line(&line))?;
    }
    if status.is_complete() {
        return out.line("the primary key alone is needed");
    }
    if status.keys.iter().any(is_left_to_rotate) {
        out.line("`craftx keys rotate` wraps under the primary key what the other keys open")?;
    }
    match status.keys.iter().any(is_missing) {
        true => out.line("restore the keyring that has what is missing: rotating does not help"),
        false => Ok(()),
    }
}
