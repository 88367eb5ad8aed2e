//! Keeps metadata with sessions and messages, lists sessions by it, and changes it only if nobody else did.
//!
//! ```text
//! English, newest first: second, first
//! first: lang, state
//! a change over a change: conflict
//! cost of the answer: 0.002
//! ```

use std::collections::BTreeMap;

use craftx::{Expect, NewMessage, SessionOrder, SessionQuery, Storage};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("memory:").await?;
    for (session, lang) in [("first", "en"), ("second", "en"), ("third", "ja")] {
        storage.set_metadata(session, "lang", lang).await?;
    }
    let english = SessionQuery::new().metadata("lang", "en").order(SessionOrder::RecentFirst);
    let page = storage.sessions(&english).await?;
    let names: Vec<&str> = page.items.iter().map(|session| session.id.as_str()).collect();
    println!("English, newest first: {}", names.join(", "));

    // Keys are set and removed together, if the session is still at the version that was read.
    let seen = storage.set_metadata("first", "draft", true).await?;
    let patch = BTreeMap::from([("draft".to_owned(), None), ("state".to_owned(), Some(json!("done")))]);
    storage.patch_metadata("first", patch.clone(), Expect::Version(seen)).await?;
    let keys: Vec<String> = storage.metadata("first").await?.into_iter().map(|(key, _)| key).collect();
    println!("first: {}", keys.join(", "));
    let late = storage.patch_metadata("first", patch, Expect::Version(seen)).await;
    println!("a change over a change: {}", late.map_or_else(|error| error.kind().as_str(), |_| "done"));

    // Metadata of a message is written with it and never changes.
    storage.append("first", NewMessage::assistant("42").metadata("cost", 0.002)).await?;
    let last = storage.last("first", 1).await?;
    let cost = last.first().and_then(|message| message.metadata.get("cost"));
    println!("cost of the answer: {}", cost.unwrap_or_default());
    Ok(())
}
