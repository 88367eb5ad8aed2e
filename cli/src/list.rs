//! `craftx list`.

use craftx::{MAX_PAGE, Session, SessionOrder, SessionQuery, StreamExt};
use serde_json::{Value, json};

use crate::args::List;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};

pub(crate) async fn run(global: &Global, list: List) -> Result<Exit, Failure> {
    let storage = global.open_existing().await?;
    let mut query = SessionQuery::new();
    query.prefix = list.prefix;
    query.limit = list.limit.map(|limit| u32::try_from(limit).unwrap_or(MAX_PAGE));
    if list.recent {
        query.order = SessionOrder::RecentFirst;
    }
    let mut sessions = storage.all_sessions(query).take(list.limit.unwrap_or(usize::MAX));
    let mut out = Out::new();
    while let Some(session) = sessions.next().await.transpose()? {
        print(&mut out, global, &session)?;
    }
    storage.close().await?;
    out.finish()?;
    Ok(Exit::Ok)
}

fn print(out: &mut Out, global: &Global, session: &Session) -> Result<(), Failure> {
    if global.json {
        return out.object(json!({
            "session": session.id,
            "messages": session.messages,
            "updated": output::time(session.updated),
            "version": session.version,
            "owner": session.owner,
            "metadata": session.metadata,
        }));
    }
    let messages = session.messages.map_or_else(|| "?".to_owned(), |messages| messages.to_string());
    let title = session.metadata.get("title").and_then(Value::as_str).unwrap_or_default();
    let updated = output::local_time(session.updated);
    let line = format!("{updated}  {messages:>7}  {}  {title}", session.id);
    out.line(output::one_line(line.trim_end()))
}
