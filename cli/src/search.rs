//! `craftx search`.

use craftx::{Hit, MAX_PAGE, Role, SearchQuery, SessionId, StreamExt};
use serde_json::json;

use crate::args::{Global, Search};
use crate::exit::{Exit, Failure};
use crate::output::{self, Out};

pub(crate) async fn run(global: &Global, search: Search) -> Result<Exit, Failure> {
    let storage = global.open_existing().await?;
    let mut query = SearchQuery::new(search.query).limit(u32::try_from(search.limit).unwrap_or(MAX_PAGE));
    if let Some(session) = search.session {
        query = query.session(SessionId::new(session)?);
    }
    if let Some(role) = search.role {
        query = query.role(Role::new(role)?);
    }
    let mut hits = storage.search_all(query).take(search.limit);
    let mut out = Out::new();
    while let Some(hit) = hits.next().await.transpose()? {
        print(&mut out, global, &hit)?;
    }
    storage.close().await?;
    out.finish()?;
    Ok(Exit::Ok)
}

fn print(out: &mut Out, global: &Global, hit: &Hit) -> Result<(), Failure> {
    if global.json {
        let marks: Vec<_> = hit.marks.iter().map(|mark| [mark.start, mark.end]).collect();
        return out.line(json!({
            "session": hit.session,
            "score": hit.score,
            "snippet": hit.snippet,
            "marks": marks,
            "message": hit.message,
        }));
    }
    // Of several words, none may stand in the message itself.
    let beside = if hit.marks.is_empty() { "  (beside a match)" } else { "" };
    out.line(output::printable(&format!("{}  {}  {}{beside}", hit.session, hit.message.role, hit.message.id)))?;
    out.line(output::printable(&marked(hit)).replace('\n', " "))?;
    out.line("")
}

/// The snippet with its matches in brackets, which need no colours and survive a pipe.
fn marked(hit: &Hit) -> String {
    let snippet = hit.snippet.as_deref().unwrap_or_default();
    let mut shown = String::with_capacity(snippet.len() + 2 * hit.marks.len());
    let mut at = 0;
    for mark in &hit.marks {
        shown.push_str(snippet.get(at..mark.start).unwrap_or_default());
        shown.push('[');
        shown.push_str(snippet.get(mark.clone()).unwrap_or_default());
        shown.push(']');
        at = mark.end;
    }
    shown.push_str(snippet.get(at..).unwrap_or_default());
    shown
}
