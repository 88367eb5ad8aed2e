//! Searching for whatever somebody types, in whatever somebody said.

use std::sync::LazyLock;

use craftx_core::search::{MAX_PHRASES, Query, matches, snippet, terms};
use craftx_core::{
    Context, DynBackend, Error, ErrorKind, Memory, Message, Prepare, Record, Result, Role, SearchQuery, SessionId,
    Stamp, WriteOptions,
};
use craftx_sqlite::{Durability, Sqlite, SqliteConfig};
use futures_executor::block_on;

use crate::faults::system;

/// What is said in the stores that are searched: words, scripts without spaces, what a query language would take for an
/// operator, and what cannot be seen.
const SAID: [&str; 16] = [
    "The cats saw a cat's tail in the café",
    "to be or not to be",
    "NEAR AND OR NOT near",
    "a* \"b\" -c ^d col:e (f) {g} + h",
    "東京タワーへ行きました",
    "日本と日、本と日本語",
    "서울에서 만나요",
    "สวัสดีครับ",
    "😀😀 👩\u{200d}👩\u{200d}👧 ❤\u{fe0f}",
    "\0\u{301}a\u{301}\u{301}b\u{feff}",
    "İstanbul ß ﬁ Ⅷ ½",
    "Robert'); DROP TABLE messages;--",
    "running runs ran runner",
    "don't won't can't",
    "",
    "0 00 1e9 0x1F 3.14",
];

/// A SQLite store, and memory with the same messages, which compares a query with every one of them.
struct Stores {
    cx: Context,
    sqlite: DynBackend,
    memory: DynBackend,
    _folder: tempfile::TempDir,
}

static STORES: LazyLock<Result<Stores>> = LazyLock::new(|| block_on(Stores::new()));

impl Stores {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))?;
        let config = SqliteConfig::new(folder.path().join("chat.db")).durability(Durability::ProcessCrash).readers(1);
        let stores = Self {
            cx: system("default"),
            sqlite: std::sync::Arc::new(Sqlite::new(config)?),
            memory: std::sync::Arc::new(Memory::new()),
            _folder: folder,
        };
        for store in [&stores.sqlite, &stores.memory] {
            store.prepare(&stores.cx, Prepare::Migrate).await?;
            for (session, messages) in SAID.chunks(4).enumerate() {
                let mut records = Vec::new();
                for (at, text) in messages.iter().enumerate() {
                    let id = Stamp::imported(1_700_000_000_000, at as u32, session as u64)?;
                    records.push(Record::Message(Message::new(id, Role::User, *text)));
                }
                let session = SessionId::new(format!("s{session}"))?;
                store.write(&stores.cx, &session, &records, &WriteOptions::replay()).await?;
            }
        }
        Ok(stores)
    }
}

/// The first line is searched for, the others are what somebody said.
pub fn search(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (wanted, said) = text.split_once('\n').unwrap_or((&text, &text));
    in_text(wanted, said);
    in_stores(wanted);
}

fn in_text(wanted: &str, said: &str) {
    let mut end = 0;
    for term in terms(said) {
        assert!(!term.text.is_empty() && term.range.start >= end, "terms overlap");
        assert!(said.get(term.range.clone()).is_some_and(|word| !word.is_empty()), "a term is no part of the text");
        end = term.range.end;
    }
    let query = Query::parse(wanted);
    let phrases = query.phrases();
    assert!(phrases.len() <= MAX_PHRASES && phrases.iter().all(|phrase| !phrase.is_empty()), "a phrase of nothing");
    assert!(phrases.is_empty() || !matches(wanted, &query).is_empty(), "a text is not found by itself");
    let shown = snippet(said, &query);
    assert!(shown.marks.is_empty() == matches(said, &query).is_empty(), "a snippet does not show what was found");
    let mut end = 0;
    for mark in shown.marks {
        assert!(mark.start >= end && mark.end > mark.start, "marks overlap");
        assert!(shown.text.get(mark.clone()).is_some(), "a mark is no part of the snippet");
        end = mark.end;
    }
}

fn in_stores(wanted: &str) {
    let stores = STORES.as_ref();
    assert!(stores.is_ok(), "the stores to search in cannot be made");
    let Ok(Stores { cx, sqlite, memory, .. }) = stores else { return };
    let query = SearchQuery::new(wanted);
    let found = |store: &DynBackend| {
        let page = block_on(store.search(cx, &query));
        assert!(page.is_ok(), "a text cannot be searched for");
        let mut items = page.unwrap_or_default().items;
        assert!(items.is_sorted_by(|a, b| a.score >= b.score), "the best does not come first");
        // Each medium has an order of its own for those that are equally good.
        items.sort_by(|a, b| (&a.session, a.message.id).cmp(&(&b.session, b.message.id)));
        items
    };
    let (indexed, scanned) = (found(sqlite), found(memory));
    assert_eq!(indexed.len(), scanned.len(), "the index and a look at every message find different things");
    for (a, b) in indexed.iter().zip(&scanned) {
        assert!(a.session == b.session && a.message == b.message, "the index finds something else");
        assert!((a.score - b.score).abs() < 1e-9 && a.snippet == b.snippet, "the index ranks in another way");
    }
}
