//! `craftx rm`.

use craftx::{Compact, Error, Result, Session, SessionId, SessionQuery, Storage, StreamExt};
use jiff::{Span, Zoned};
use serde_json::json;
use std::time::SystemTime;

use crate::args::Rm;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::resolve;

pub(crate) async fn run(global: &Global, rm: Rm) -> Result<Exit, Failure> {
    let before = rm.older_than.as_deref().map(ago).transpose()?;
    let named = rm.session.as_deref().map(SessionId::new).transpose()?;
    let storage = match rm.dry_run {
        true => global.open_existing().await?,
        false => global.open_to_change().await?,
    };
    let mut out = Out::new();
    let exit = match (named, before) {
        (Some(session), _) => {
            one(global, &storage, &mut out, &session, &rm).await?;
            Exit::Ok
        }
        (None, Some(before)) => old(global, &storage, &mut out, before, rm.dry_run).await?,
        (None, None) => return Err(Error::invalid("session", "must be named").into()),
    };
    storage.close().await?;
    out.finish()?;
    Ok(exit)
}

/// The point in time that lies so far back.
fn ago(age: &str) -> Result<SystemTime> {
    let wrong = |why: &'static str| Error::invalid("--older-than", why).with("value", output::quoted(age));
    let span: Span = age.parse().map_err(|_| wrong("must be a time such as `90d`, `12 hours` or `6 months`"))?;
    if !span.is_positive() {
        return Err(wrong("must be more than nothing"));
    }
    let before = Zoned::now().checked_sub(span).map_err(|_| wrong("lies too far back"))?;
    Ok(before.timestamp().into())
}

async fn one(
    global: &Global,
    storage: &Storage,
    out: &mut Out,
    session: &SessionId,
    rm: &Rm,
) -> std::result::Result<(), Failure> {
    let Some(found) = storage.session(session).await? else {
        return Err(resolve::missing(storage, session).await.into());
    };
    let message = match &rm.message {
        Some(text) => {
            let id = resolve::message(storage, session, text).await?;
            // Of two contents of one id none can be read; deleting it is the way out.
            if rm.dry_run && storage.get(session, id).await?.is_none() {
                return Err(resolve::no_such_message(session, id).into());
            }
            Some(id)
        }
        None => None,
    };
    let mut erased = None;
    if !rm.dry_run {
        match message {
            Some(id) if !storage.delete_message(session, id).await? => {
                return Err(resolve::no_such_message(session, id).into());
            }
            None if !storage.delete_session(session).await? => {
                return Err(resolve::missing(storage, session).await.into());
            }
            _ => {}
        }
        erased = Some(erase(storage, session).await?);
    }
    if global.json {
        return out.object(json!({
            "session": session,
            "message": message,
            "updated": output::time(found.updated),
            "deleted": !rm.dry_run,
            "erased_bytes": erased,
        }));
    }
    output::say(match (erased, message) {
        (Some(bytes), Some(id)) => format!("deleted the message {id}; {bytes} bytes erased"),
        (Some(bytes), None) => format!("deleted; {bytes} bytes erased"),
        (None, Some(id)) => format!("would delete the message {id}"),
        (None, None) => format!("would delete {session:?}"),
    });
    Ok(())
}

/// Deleted means erased: the bytes leave the files now, not some day.
async fn erase(storage: &Storage, session: &SessionId) -> Result<u64> {
    Ok(storage.compact(&Compact::new().session(session.clone())).await?.bytes)
}

/// Deletes what nobody wrote to since `before`. One failure does not keep the others.
async fn old(
    global: &Global,
    storage: &Storage,
    out: &mut Out,
    before: SystemTime,
    dry_run: bool,
) -> std::result::Result<Exit, Failure> {
    let mut tally = Tally::default();
    let mut old = Vec::new();
    let mut sessions = storage.all_sessions(SessionQuery::new());
    while let Some(session) = sessions.next().await.transpose()? {
        if session.updated < before {
            old.push(session);
        }
    }
    if old.is_empty() {
        output::say("no session is that old");
    }
    for session in &old {
        match delete_old(storage, session, dry_run).await {
            Ok(Outcome::Written) => output::say(format_args!("{:?} was written just now and stays", session.id)),
            Ok(Outcome::Gone(erased)) => {
                tally.done(1);
                print(global, out, session, erased)?;
            }
            Err(error) => tally.fail(output::complain_of(&error.with("session", format!("{:?}", session.id)))),
        }
    }
    Ok(tally.exit())
}

/// What became of an old session.
enum Outcome {
    /// It is gone, or would be; so many bytes were erased.
    Gone(Option<u64>),
    /// Somebody wrote to it after it was looked at.
    Written,
}

async fn delete_old(storage: &Storage, session: &Session, dry_run: bool) -> Result<Outcome> {
    if dry_run {
        return Ok(Outcome::Gone(None));
    }
    match storage.delete_session_unchanged(session).await? {
        true => Ok(Outcome::Gone(Some(erase(storage, &session.id).await?))),
        false => Ok(Outcome::Written),
    }
}

fn print(global: &Global, out: &mut Out, session: &Session, erased: Option<u64>) -> std::result::Result<(), Failure> {
    if global.json {
        return out.object(json!({
            "session": session.id,
            "message": null,
            "updated": output::time(session.updated),
            "deleted": erased.is_some(),
            "erased_bytes": erased,
        }));
    }
    let word = if erased.is_some() { "deleted" } else { "would delete" };
    out.line(output::one_line(&format!("{word}  {}  {}", output::local_time(session.updated), session.id)))
}
