//! Finds messages by what is said in them, the best first, whatever language they are written in.
//!
//! ```text
//! shopping: Where did I leave my red [bicycle]?
//! 旅行: [京都]へ行きたい
//! of one role, in one session: 1
//! ```

use craftx::{Hit, NewMessage, Role, SearchQuery, SessionId, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let storage = Storage::open(&format!("sqlite:{}", folder.path().join("craftx.db").display())).await?;
    storage.append("shopping", NewMessage::user("Where did I leave my red bicycle?")).await?;
    storage.append("shopping", NewMessage::assistant("In front of the bakery.")).await?;
    storage.append("旅行", NewMessage::user("京都へ行きたい")).await?;

    // Any text is a legal query. Case, accents and English endings do not matter.
    for text in ["BICYCLES", "京都"] {
        let page = storage.search(&SearchQuery::new(text).limit(10)).await?;
        for hit in &page.items {
            println!("{}: {}", hit.session, marked(hit));
        }
    }
    let query = SearchQuery::new("bakery").session(SessionId::new("shopping")?).role(Role::Assistant);
    println!("of one role, in one session: {}", storage.search(&query).await?.items.len());
    storage.close().await?;
    Ok(())
}

/// The snippet with its matches in brackets.
fn marked(hit: &Hit) -> String {
    let mut text = hit.snippet.clone().unwrap_or_default();
    // From the last to the first, so that the ranges stay right.
    for mark in hit.marks.iter().rev() {
        text.insert(mark.end, ']');
        text.insert(mark.start, '[');
    }
    text
}
