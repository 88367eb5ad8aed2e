//! `craftx show`.

mod markdown;
mod text;

use craftx::{Error, Message, MessageQuery, Record, SessionId, Storage, StreamExt};
use serde_json::Value;

use crate::args::{Form, Show};
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::resolve;

/// The keys of metadata that are shown as parts.
const SHOWN: [&str; 3] = ["tool_calls", "function_call", "tool_call_id"];

pub(crate) async fn run(global: &Global, show: Show) -> Result<Exit, Failure> {
    let form = match (global.json, show.format) {
        (false, form) => form,
        (true, Form::Text | Form::Json) => Form::Json,
        (true, _) => return Err(Error::invalid("--format", "contradicts `--json`").into()),
    };
    let storage = global.open_existing().await?;
    let session = show.which.session(&storage).await?;
    let mut out = Out::new();
    let mut print = |message: Message| match form {
        Form::Raw => out.line(Record::Message(message).encode().as_str()),
        // A message is made of names, numbers and JSON values: it always serialises.
        Form::Json => out.object(serde_json::to_value(&message).unwrap_or_default()),
        Form::Text => text::print(&mut out, &message, show.full),
        Form::Markdown => markdown::print(&mut out, &message),
    };
    match (&show.message, show.tail) {
        (Some(id), _) => print(resolve::one_message(&storage, &session, id).await?)?,
        (None, Some(tail)) => storage.last(&session, tail).await?.into_iter().try_for_each(print)?,
        (None, None) => stream(&storage, &session, print).await?,
    }
    storage.close().await?;
    out.finish()?;
    Ok(Exit::Ok)
}

async fn stream(
    storage: &Storage,
    session: &SessionId,
    mut print: impl FnMut(Message) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut messages = storage.stream(session, MessageQuery::oldest_first());
    while let Some(message) = messages.next().await.transpose()? {
        print(message)?;
    }
    Ok(())
}

/// When a message was written, on the clock of this machine's zone. A time without a zone is shown as it was written;
/// a message that was imported without a time carries the year 1970 in its stamp, which says nothing.
fn when(message: &Message) -> Option<String> {
    match &message.created_at {
        Some(time) if time.has_zone() => Some(output::local_time(time.at())),
        Some(time) => Some(time.to_string()),
        None => (message.id.millis() > 0).then(|| output::local_time(message.id.time())),
    }
}

/// What is known of a message besides what is said in it; `None` if that is nothing.
fn metadata(message: &Message) -> Option<String> {
    let rest: serde_json::Map<String, Value> = message
        .metadata
        .iter()
        .filter(|(key, _)| !SHOWN.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!rest.is_empty()).then(|| Value::Object(rest).to_string())
}
