//! Reads messages and sessions by pages, from either end.
//!
//! ```text
//! forwards: 0 1 2 | 3 4 5 | 6
//! backwards: 6 5 4 | 3 2 1 | 0
//! sessions: long, other | third
//! ```

use craftx::{Message, MessageQuery, NewMessage, SessionQuery, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("memory:").await?;
    storage.append_all("long", (0..7).map(|n| NewMessage::user(n.to_string()))).await?;
    storage.append("other", NewMessage::user("hello")).await?;
    storage.append("third", NewMessage::user("hello")).await?;

    // A page of messages goes on after (or before) the last message of the page before it. What is written meanwhile
    // shifts nothing.
    let mut pages = Vec::new();
    let mut query = MessageQuery::oldest_first().limit(3);
    loop {
        let page = storage.messages("long", &query).await?;
        pages.push(texts(&page.items));
        match page.items.last() {
            Some(last) if page.more => query = query.after(last.id),
            _ => break,
        }
    }
    println!("forwards: {}", pages.join(" | "));

    let mut pages = Vec::new();
    let mut query = MessageQuery::newest_first().limit(3);
    loop {
        let page = storage.messages("long", &query).await?;
        pages.push(texts(&page.items));
        match page.items.last() {
            Some(last) if page.more => query = query.before(last.id),
            _ => break,
        }
    }
    println!("backwards: {}", pages.join(" | "));

    // A page of sessions ends with a cursor; it can be handed to another process.
    let query = SessionQuery::new().limit(2);
    let first = storage.sessions(&query).await?;
    let rest = storage.sessions(&query.cursor(first.next)).await?;
    let names = |page: &[craftx::Session]| page.iter().map(|s| s.id.to_string()).collect::<Vec<_>>().join(", ");
    println!("sessions: {} | {}", names(&first.items), names(&rest.items));
    Ok(())
}

fn texts(messages: &[Message]) -> String {
    messages.iter().filter_map(Message::text).collect::<Vec<_>>().join(" ")
}
