//! `craftx rm`.

use craftx::{Compact, Error, ErrorKind, SessionId};

use crate::args::{Global, Rm};
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) async fn run(global: &Global, rm: Rm) -> Result<Exit, Failure> {
    let session = SessionId::new(&rm.session)?;
    let storage = global.open_to_change().await?;
    let missing =
        |what: &'static str| Error::new(ErrorKind::NotFound, what).during("rm").with("session", format!("{session:?}"));
    match rm.message {
        Some(id) if !storage.delete_message(&session, id).await? => {
            return Err(missing("there is no such message").with("id", id).into());
        }
        None if !storage.delete_session(&session).await? => return Err(missing("there is no such session").into()),
        _ => {}
    }
    // Deleted means erased: the bytes leave the files now, not some day.
    let erased = storage.compact(&Compact::new().session(session)).await?;
    storage.close().await?;
    output::say(format_args!("deleted; {} bytes erased", erased.bytes));
    Ok(Exit::Ok)
}
