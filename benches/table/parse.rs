//! Reading a file of another program: how fast, against parsing the same bytes and nothing else.

use std::fmt::Write as _;
use std::path::Path;

use craftx::formats::{self, Source};
use serde_json::{Value as Json, json};

use crate::Outcome;
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;

/// The conversations of the file, and the messages of each: about 60 MB.
const CONVERSATIONS: usize = 4_000;
const NODES: usize = 20;

/// An export of ChatGPT with texts of a usual length.
fn export(conversations: usize) -> String {
    let text =
        "Herons wade slowly through shallow water and \"strike\" with the bill: ärgerlich für Frösche.\n".repeat(4);
    let mut file = "[".to_owned();
    for conversation in 0..conversations {
        let mut mapping = serde_json::Map::new();
        for node in 0..NODES {
            let role = if node % 2 == 0 { "user" } else { "assistant" };
            let name = format!("node-{conversation}-{node}");
            let parent = node.checked_sub(1).map(|parent| format!("node-{conversation}-{parent}"));
            let message = json!({
                "id": name, "author": {"role": role, "name": null, "metadata": {}},
                "create_time": 1_704_067_200.5 + node as f64, "update_time": null,
                "content": {"content_type": "text", "parts": [text]}, "status": "finished_successfully",
                "end_turn": true, "weight": 1.0, "metadata": {"model_slug": "m-1"}, "recipient": "all",
            });
            mapping.insert(name.clone(), json!({"id": name, "message": message, "parent": parent, "children": []}));
        }
        let id = format!("conversation-{conversation}");
        let whole = json!({"conversation_id": id, "title": id, "create_time": 1_704_067_200, "mapping": mapping});
        let separator = if conversation == 0 { "" } else { ",\n" };
        let _ = write!(file, "{separator}{whole}");
    }
    file.push(']');
    file
}

fn read(path: &Path) -> Outcome<usize> {
    let format = formats::named("chatgpt")?;
    let entries = format.read(Source::file(path)?)?;
    let mut items = 0;
    for entry in entries {
        entry.item?;
        items += 1;
    }
    Ok(items)
}

pub(crate) fn chatgpt(settings: &Settings) -> Outcome<Row> {
    let folder = settings.folder()?;
    let path = folder.path().join("conversations.json");
    let file = export(settings.scaled(CONVERSATIONS).max(10));
    std::fs::write(&path, &file)?;
    let pairs = Pairs::measure(
        settings.rounds(5),
        |_| timed(|| read(&path).map(drop)),
        |_| {
            timed(|| {
                let value: Json = serde_json::from_slice(&std::fs::read(&path)?)?;
                drop(value);
                Ok(())
            })
        },
    )?;
    let speed = file.len() as f64 / 1e6 / pairs.a(1).as_secs_f64();
    Ok(Row::Measured {
        what: format!("reading an export of ChatGPT of {:.0} MB: {speed:.0} MB/s", file.len() as f64 / 1e6),
        craftx: time(pairs.a(1)),
        baseline: format!("serde_json, the whole file as one value: {}", time(pairs.b(1))),
        value: Value::Times(1.0 / pairs.a_over_b()),
        goal: Goal::AtLeast(Value::Times(0.5)),
    })
}
