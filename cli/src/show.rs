//! `craftx show`.

use craftx::{Content, Message, MessageQuery, Record, Storage, StreamExt};
use serde_json::Value;

use crate::args::{Global, Show};
use crate::exit::{Exit, Failure};
use crate::output::{self, Out};

pub(crate) async fn run(global: &Global, show: Show) -> Result<Exit, Failure> {
    let storage = global.open_existing().await?;
    let mut out = Out::new();
    match show.last {
        Some(last) => {
            for message in storage.last(&show.session, last).await? {
                print(&mut out, global, &show, message)?;
            }
        }
        None => stream(&mut out, global, &show, &storage).await?,
    }
    storage.close().await?;
    out.finish()?;
    Ok(Exit::Ok)
}

async fn stream(out: &mut Out, global: &Global, show: &Show, storage: &Storage) -> Result<(), Failure> {
    let mut messages = storage.stream(&show.session, MessageQuery::oldest_first());
    while let Some(message) = messages.next().await.transpose()? {
        print(out, global, show, message)?;
    }
    Ok(())
}

fn print(out: &mut Out, global: &Global, show: &Show, message: Message) -> Result<(), Failure> {
    if show.raw {
        return out.line(Record::Message(message).encode().as_str());
    }
    if global.json {
        // A message is made of names, numbers and JSON values: it always serialises.
        return out.line(serde_json::to_string(&message).unwrap_or_default());
    }
    let head = match when(&message) {
        Some(when) => format!("{}  {when}  {}", message.role, message.id),
        None => format!("{}  {}", message.role, message.id),
    };
    out.line(output::printable(&head))?;
    if let Some(text) = text(message.content) {
        out.line(output::printable(&text))?;
    }
    for call in message.metadata.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        out.line(output::printable(&format!("→ {call}")))?;
    }
    out.line("")
}

/// A message that was imported without a time carries the year 1970 in its stamp, which says nothing.
fn when(message: &Message) -> Option<String> {
    match &message.created_at {
        Some(time) => Some(time.to_string()),
        None => (message.id.millis() > 0).then(|| output::time(message.id.time())),
    }
}

fn text(content: Content) -> Option<String> {
    match content {
        Content::Absent | Content::Null => None,
        Content::Text(text) => Some(text),
        other => other.into_value().map(|value| value.to_string()),
    }
}
