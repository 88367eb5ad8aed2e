//! Searching in real conversations, through every store of this build that can search.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use common::{Store, stores};
use craftx::{Conversation, ErrorKind, NewMessage, SearchQuery, SessionId, Storage, TryStreamExt, conversation_json};

async fn searching() -> Vec<Store> {
    let mut found = Vec::new();
    for store in stores().await {
        if store.storage.status().await.unwrap().capabilities.search.is_yes() {
            found.push(store);
        }
    }
    found
}

/// The lines of a file of real conversations; `None`, and a word about it, if it is not there.
fn real(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/conversations").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        eprintln!("skipped: there is no `{name}` beside the repository");
    }
    text
}

/// Imports some conversations and returns the texts of their messages.
async fn import(storage: &Storage, lines: &str, conversations: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for line in lines.lines().take(conversations) {
        let conversation = Conversation::parse(line).unwrap();
        storage.import_conversation(&conversation).await.unwrap();
        let stored: Vec<_> = storage.history(&conversation.session).try_collect().await.unwrap();
        texts.extend(stored.iter().filter_map(|message| message.text().map(str::to_owned)));
        let session = storage.session(&conversation.session).await.unwrap().unwrap();
        assert!(conversation_json(&session.id, &session.metadata, &stored).is_object());
    }
    texts
}

async fn found(storage: &Storage, text: &str) -> BTreeSet<String> {
    let hits: Vec<_> = storage.search_all(SearchQuery::new(text)).try_collect().await.unwrap();
    hits.into_iter().map(|hit| hit.message.text().unwrap().to_owned()).collect()
}

/// Parts of one to four characters, some from every text, without anything that is no letter of these scripts.
fn parts(texts: &[String]) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        let chars: Vec<char> = text.chars().collect();
        let length = 1 + index % 4;
        let letters = |part: &&[char]| part.iter().all(|c| c.is_alphabetic() && *c >= '\u{3041}' && *c < '\u{fa00}');
        parts.extend(chars.windows(length).filter(letters).skip(index % 7).take(1).map(|part| part.iter().collect()));
    }
    parts
}

#[tokio::test]
async fn short_chinese_and_japanese_queries_find_every_message_that_has_them_and_no_other() {
    for name in ["crosswoz_zh.jsonl", "xpersona_ja.jsonl"] {
        let Some(lines) = real(name) else { return };
        for store in searching().await {
            let texts = import(&store.storage, &lines, 12).await;
            let queries = parts(&texts);
            assert!(queries.len() > 40, "{name}: {}", queries.len());
            for query in queries {
                let wanted: BTreeSet<_> = texts.iter().filter(|text| text.contains(&query)).cloned().collect();
                assert_eq!(found(&store.storage, &query).await, wanted, "`{query}` in {} of {name}", store.name);
            }
        }
    }
}

#[tokio::test]
async fn naughty_strings_are_legal_queries_and_found_by_their_own_text() {
    let Some(lines) = real("naughty_strings.jsonl") else { return };
    for store in searching().await {
        let texts = import(&store.storage, &lines, usize::MAX).await;
        assert!(texts.len() > 400, "{}", texts.len());
        for text in texts {
            let page = store.storage.search(&SearchQuery::new(text.as_str()).limit(100)).await.unwrap();
            if !craftx::search::Query::parse(&text).phrases().is_empty() {
                let has = page.items.iter().any(|hit| hit.message.text() == Some(&text));
                assert!(has, "{text:?} is not found in {}", store.name);
            }
        }
    }
}

#[tokio::test]
async fn storage_searches_by_pages_and_for_one_tenant() {
    for store in searching().await {
        for n in 0..25 {
            store.storage.append(format!("s{}", n % 2), NewMessage::user(format!("heron {n}"))).await.unwrap();
        }
        let query = || SearchQuery::new("herons").limit(4);
        let all: Vec<_> = store.storage.search_all(query()).try_collect().await.unwrap();
        let ids: BTreeSet<_> = all.iter().map(|hit| hit.message.id).collect();
        assert_eq!((all.len(), ids.len()), (25, 25), "{}", store.name);
        let one = query().session(SessionId::new("s1").unwrap());
        assert_eq!(store.storage.search_all(one).try_collect::<Vec<_>>().await.unwrap().len(), 12);
        let other = store.storage.for_tenant("other".parse().unwrap());
        assert!(other.search(&query()).await.unwrap().items.is_empty());
    }
}

#[tokio::test]
async fn a_store_that_cannot_search_says_so() {
    for store in stores().await {
        if !store.storage.status().await.unwrap().capabilities.search.is_yes() {
            let error = store.storage.search(&SearchQuery::new("a")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", store.name);
        }
    }
}
