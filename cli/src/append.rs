//! `craftx append`.

use std::io::IsTerminal;

use craftx::{Error, NewMessage, Role, SessionId};
use serde_json::{Value, json};

use crate::args::Append;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::resolve;
use crate::stdin;

pub(crate) async fn run(global: &Global, append: Append) -> Result<Exit, Failure> {
    let (named, text) = match append.last {
        true => (None, append.session),
        false => (append.session.map(SessionId::new).transpose()?, append.text),
    };
    let role = Role::new(&append.role)?;
    let metadata = match &append.meta {
        None => serde_json::Map::new(),
        Some(text) => match craftx::json::parse(text).map_err(|error| error.with("option", "`--meta`"))? {
            Value::Object(metadata) => metadata,
            _ => return Err(Error::invalid("--meta", "must be a JSON object").into()),
        },
    };
    let text = match text {
        Some(text) if text != "-" => text,
        _ => {
            if std::io::stdin().is_terminal() {
                output::say("the text of the message; Ctrl-D on an empty line ends it");
            }
            stdin::read(|| std::io::read_to_string(std::io::stdin())).await?
        }
    };
    let mut message = NewMessage::new(role, text);
    message.metadata = metadata;
    let (storage, session) = match named {
        Some(session) => (global.open().await?, session),
        None => {
            let storage = global.open_to_change().await?;
            let newest = resolve::newest(&storage).await?;
            (storage, newest)
        }
    };
    let stored = storage.append(&session, message).await?;
    storage.close().await?;
    let mut out = Out::new();
    if global.json {
        out.object(json!({"session": session, "id": stored.id}))?;
    } else {
        out.line(stored.id)?;
    }
    out.finish()?;
    Ok(Exit::Ok)
}
