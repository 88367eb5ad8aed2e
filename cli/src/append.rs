//! `craftx append`.

use std::io::Read;

use craftx::{Error, NewMessage, Role, SessionId};
use serde_json::{Value, json};

use crate::args::{Append, Global};
use crate::exit::{Exit, Failure};
use crate::output::Out;

pub(crate) async fn run(global: &Global, append: Append) -> Result<Exit, Failure> {
    let (session, role) = (SessionId::new(&append.session)?, Role::new(&append.role)?);
    let metadata = match &append.meta {
        None => serde_json::Map::new(),
        Some(text) => match craftx::json::parse(text).map_err(|error| error.with("option", "`--meta`"))? {
            Value::Object(metadata) => metadata,
            _ => return Err(Error::invalid("--meta", "must be a JSON object").into()),
        },
    };
    let text = match append.text {
        Some(text) if text != "-" => text,
        _ => standard_input()?,
    };
    let mut message = NewMessage::new(role, text);
    message.metadata = metadata;
    let storage = global.open().await?;
    let stored = storage.append(&session, message).await?;
    storage.close().await?;
    let mut out = Out::new();
    if global.json {
        out.line(json!({"session": session, "id": stored.id}))?;
    } else {
        out.line(stored.id)?;
    }
    out.finish()?;
    Ok(Exit::Ok)
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::file("standard input", error))?;
    Ok(text)
}
