//! `craftx append`.

use std::io::{IsTerminal, Read};

use craftx::{Error, ErrorKind, NewMessage, Role, SessionId};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::args::Append;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::resolve;

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
            standard_input().await?
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

/// Reads everything on a thread of its own, so that Ctrl-C is noticed while it waits.
async fn standard_input() -> Result<String, Failure> {
    let (send, receive) = oneshot::channel();
    let read = move || {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        // Nobody waits for it any more if the command was interrupted.
        let _ = send.send(read.map(|_| text));
    };
    let failed = |error| Failure::file("standard input", error);
    std::thread::Builder::new().name("craftx-stdin".into()).spawn(read).map_err(failed)?;
    match receive.await {
        Ok(text) => text.map_err(failed),
        Err(_) => Err(Error::new(ErrorKind::Unexpected, "the thread that reads standard input is gone").into()),
    }
}
