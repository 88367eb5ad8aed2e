//! Searching by tokens in SQLite: what is found, and what is in the files.

use std::collections::BTreeSet;

use craftx_core::{Backend, Compact, ErrorKind, SearchQuery, Support, WriteOptions};

use super::*;

fn searchable(data: DynBackend, keys: DynBackend) -> Encrypted {
    prepared(Encrypt::new(keyring(), keys, EncryptConfig::default().blind_index(true)).unwrap().over(data).unwrap())
}

fn stamp(ms: u64) -> Stamp {
    Stamp::mint(ms, None, 0).unwrap()
}

fn write(store: &dyn Backend, session: &str, records: &[Record]) {
    block_on(store.write(&cx(), &id(session), records, &WriteOptions::fresh())).unwrap();
}

fn found(store: &dyn Backend, query: &str) -> BTreeSet<(String, Stamp)> {
    let mut query = SearchQuery::new(query).limit(3);
    let mut found = BTreeSet::new();
    loop {
        let page = block_on(store.search(&cx(), &query)).unwrap();
        for hit in page.items {
            assert!(found.insert((hit.session.to_string(), hit.message.id)), "a message is found twice");
        }
        match page.next {
            None => return found,
            next => query = query.cursor(next),
        }
    }
}

const TEXTS: [&str; 8] = [
    "HERONS were Running along the river",
    "un CAFE\u{301} à l'île",
    "東京は日本の首都です。",
    "京都 北海道、本日は休みです",
    "한국어로 말해 주세요",
    "Ёлка и Москва, a river",
    "a heron in the cafe",
    "😀👍🏽 ok",
];

fn queries() -> impl Iterator<Item = String> {
    let runs = TEXTS.iter().flat_map(|text| {
        let chars: Vec<char> = text.chars().collect();
        (1..=5).flat_map(|length| chars.windows(length).map(String::from_iter).collect::<Vec<_>>()).collect::<Vec<_>>()
    });
    let words = TEXTS.iter().flat_map(|text| text.split(' ')).map(String::from);
    runs.chain(words).chain(["cafe river", "heron 東京", "run", "елка", "pelican", ""].map(String::from))
}

/// All tokens that stand in the store below.
fn tokens(data: &DynBackend, session: &str) -> Vec<String> {
    let records = block_on(data.records(&cx(), &id(session), None, None)).unwrap().items;
    let words = records.iter().filter_map(|record| match record {
        Record::Message(message) => message.sealed.as_ref().map(|sealed| sealed.words.clone()),
        _ => None,
    });
    words.flatten().collect()
}

#[test]
fn sqlite_finds_by_tokens_what_it_finds_in_plaintext_and_holds_no_word() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let plain = sqlite(folder.path(), "plain.db");
    block_on(plain.prepare(&cx(), Prepare::Migrate)).unwrap();
    let data = sqlite(&folder.path().join("data"), "data.db");
    let store = searchable(data.clone(), sqlite(folder.path(), "keys.db"));
    for (ms, text) in (1..).zip(TEXTS) {
        for one in [&*plain, &store as &dyn Backend] {
            write(one, ["a", "b"][ms as usize % 2], &[said(ms, text)]);
        }
    }
    let mut hits = 0;
    for query in queries() {
        let wanted = found(&*plain, &query);
        assert_eq!(found(&store, &query), wanted, "`{query}`");
        hits += wanted.len();
    }
    assert!(hits > 500, "{hits}");
    // The index is compared with the messages, and every envelope is opened.
    let verified = block_on(store.verify(&cx())).unwrap();
    assert!(verified.problems.is_empty(), "{verified:?}");
    block_on(store.compact(&cx(), &Compact::new())).unwrap();
    let files = bytes(&folder.path().join("data"));
    // None that the letters of a random token could spell.
    for word in ["heron", "HERON", "river", "CAFE\u{301}", "東京", "Москва", "москва"] {
        assert!(!holds(&files, word.as_bytes()), "`{word}`");
    }
    let all = tokens(&data, "a");
    assert!(all.len() > 20 && holds(&files, all[0].as_bytes()), "{all:?}");
}

#[test]
fn tokens_go_with_their_message_and_come_back_with_the_index() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let path = folder.path().join("data").join("data.db");
    let open = |search| -> DynBackend { Arc::new(Sqlite::new(SqliteConfig::new(&path).search(search)).unwrap()) };
    let keys = sqlite(folder.path(), "keys.db");
    let data = open(true);
    let store = searchable(data.clone(), keys.clone());
    write(&store, "a", &[said(1, "a heron"), said(2, "a crane and a river")]);
    write(&store, "b", &[said(1, "another heron")]);
    let dead: Vec<_> = tokens(&data, "a").into_iter().filter(|token| !tokens(&data, "b").contains(token)).collect();
    assert!(dead.len() > 3);
    // A renewed ciphertext has the same tokens, in the index once.
    assert_eq!(block_on(store.reencrypt(&cx(), &id("a"))).unwrap().records, 2);
    assert_eq!((found(&store, "heron").len(), found(&store, "crane").len()), (2, 1));
    write(&store, "a", &[Record::Cleared { through: stamp(2), stamp: stamp(9) }]);
    assert_eq!((found(&store, "heron").len(), found(&store, "crane").len()), (1, 0));
    block_on(store.compact(&cx(), &Compact::new())).unwrap();
    let files = bytes(&folder.path().join("data"));
    for token in &dead {
        assert!(!holds(&files, token.as_bytes()), "{token}");
    }
    assert!(block_on(store.verify(&cx())).unwrap().problems.is_empty());
    // Switched off by somebody, then on again: the index is built from the messages.
    block_on(data.close(&cx())).unwrap();
    let off = open(false);
    block_on(off.prepare(&cx(), Prepare::Migrate)).unwrap();
    block_on(off.close(&cx())).unwrap();
    let quiet = sqlite(&folder.path().join("data"), "data.db");
    let store = searchable(quiet.clone(), keys.clone());
    assert_eq!(store.capabilities().search, Support::No);
    write(&store, "c", &[said(3, "a third heron")]);
    let error = block_on(store.search(&cx(), &SearchQuery::new("heron"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    block_on(quiet.close(&cx())).unwrap();
    let store = searchable(open(true), keys);
    assert_eq!(found(&store, "heron").len(), 2);
    assert!(block_on(store.verify(&cx())).unwrap().problems.is_empty());
}
