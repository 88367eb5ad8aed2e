//! `craftx search`.

use anstyle::Style;
use craftx::{Hit, MAX_PAGE, Role, SearchQuery, StreamExt};
use serde_json::json;

use crate::args::Search;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::resolve;

pub(crate) async fn run(global: &Global, search: Search) -> Result<Exit, Failure> {
    let storage = global.open_existing().await?;
    let mut query = SearchQuery::new(search.query).limit(u32::try_from(search.limit).unwrap_or(MAX_PAGE));
    if let Some(role) = search.role {
        query = query.role(Role::new(role)?);
    }
    match search.session {
        Some(session) => query = query.session(resolve::session(&storage, &session).await?),
        None if search.last => query = query.session(resolve::newest(&storage).await?),
        None => {}
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
        return out.object(json!({
            "session": hit.session,
            "score": hit.score,
            "snippet": hit.snippet,
            "marks": marks,
            "message": hit.message,
        }));
    }
    // Of several words, none may stand in the message itself.
    let beside = if hit.marks.is_empty() { "  (beside a match)" } else { "" };
    let session = out.styled(Style::new().bold(), &output::one_line(hit.session.as_str()));
    let role = output::one_line(hit.message.role.as_str());
    out.line(format_args!("{session}  {role}  {}{beside}", hit.message.id))?;
    out.line(output::one_line(&marked(hit)))?;
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
