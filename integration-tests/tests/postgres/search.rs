//! Searching finds the same in PostgreSQL as in SQLite and in memory, in the same order.

use std::sync::Arc;

use craftx_core::{
    Backend, DynBackend, Grant, Memory, Message, Prepare, Record, Role, Scope, SearchQuery, Stamp, WriteOptions,
};
use craftx_integration_tests::servers::postgres_is_there;
use craftx_sqlite::{Sqlite, SqliteConfig};
use futures_executor::block_on;

use crate::support::{cluster, config, cx, fresh_schema, session, stamp};

const SESSIONS: u64 = 8;
const EACH: u64 = 60;

const SUBJECTS: [&str; 10] = [
    "Anna-Lena Größe",
    "Dr. O'Brien",
    "the team in 東京",
    "小林さん",
    "Zoë 🦊",
    "Ιωάννης",
    "a customer (#4711)",
    "Наталья",
    "my sister",
    "김민준",
];
const VERBS: [&str; 9] = [
    "booked a flight to",
    "was writing about",
    "forgot the key of",
    "予約しました",
    "painted 🎨 a picture of",
    "cancelled",
    "спросила про",
    "is running towards",
    "met friends near",
];
const OBJECTS: [&str; 11] = [
    "the old harbour",
    "São Paulo",
    "ホテルの部屋",
    "a golden retriever 🐕",
    "invoice INV-2026-11",
    "東京タワー",
    "the mountain lake",
    "München, Straße 7",
    "ユーザー名 and password",
    "чёрный кофе",
    "nothing in particular",
];

/// The records of a session: the same in every run, each text a few times.
fn records(number: u64) -> Vec<Record> {
    let at = |n: u64| stamp(number * 1_000 + n + 1);
    let mut records = Vec::new();
    for n in 0..EACH {
        let mixed = (number * EACH + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let pick = |words: &[&'static str], shift: u64| words[(mixed >> shift) as usize % words.len()];
        let mut text = format!("{} {} {}", pick(&SUBJECTS, 0), pick(&VERBS, 9), pick(&OBJECTS, 18));
        if n % 7 == 3 {
            text.push_str(". Then again, ");
            text.push_str(&text.clone().to_lowercase());
        }
        let role = if n % 2 == 0 { Role::User } else { Role::Assistant };
        let mut message = Message::new(at(n), role, if n % 23 == 5 { String::new() } else { text });
        if n % 5 == 0 {
            message = message.with_metadata("name", pick(&["Melanie", "Caroline", "田中"], 27));
        }
        records.push(Record::Message(message));
    }
    records.extend((0..EACH).step_by(17).map(|n| Record::Deleted { id: at(n), stamp: at(900 + n) }));
    let grant = |to: &str| Grant { to: to.to_owned(), actions: vec!["read".to_owned()] };
    let grants = match number % 4 {
        0 => vec![grant("support")],
        1 => vec![grant("bob")],
        _ => Vec::new(),
    };
    let owner = (number % 3 != 2).then(|| if number.is_multiple_of(3) { "ann".to_owned() } else { "bob".to_owned() });
    records.push(Record::Acl { stamp: at(950), owner, grants });
    if number == 6 {
        records.push(Record::Cleared { through: at(20), stamp: at(960) });
    }
    records
}

fn fill(store: &dyn Backend) {
    block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap();
    for number in 0..SESSIONS {
        let name = session(&format!("s{number}"));
        // Not all at once, and not in order.
        let mut batches: Vec<Vec<Record>> = records(number).chunks(13).map(<[Record]>::to_vec).collect();
        batches.swap(0, 2);
        for batch in batches {
            block_on(store.write(&cx(), &name, &batch, &WriteOptions::replay())).unwrap();
        }
    }
}

/// Every page of an answer: where, which message, its score, and what is shown of it.
fn answer(store: &dyn Backend, query: &SearchQuery, page: u32) -> Vec<(String, Stamp, f64, Option<String>)> {
    let mut query = query.clone().limit(page);
    let mut found = Vec::new();
    loop {
        let answer = block_on(store.search(&cx(), &query)).unwrap();
        assert!(answer.items.len() <= page as usize);
        found.extend(
            answer.items.into_iter().map(|hit| (hit.session.to_string(), hit.message.id, hit.score, hit.snippet)),
        );
        match answer.next {
            Some(cursor) => query = query.cursor(Some(cursor)),
            None => return found,
        }
    }
}

fn queries() -> Vec<SearchQuery> {
    let words = [
        "flight",
        "Größe",
        "grosse OR straße",
        "o'brien booked",
        "writing picture",
        "running friends harbour",
        "東京",
        "東京タワー",
        "ホテル",
        "予約",
        "小林",
        "김민준",
        "Ιωάννης",
        "чёрный кофе",
        "🦊",
        "🎨 🐕",
        "INV-2026-11",
        "4711",
        "\"old harbour\"",
        "\"São Paulo\" flight",
        "Melanie",
        "What did Caroline forget?",
        "田中",
        "nothingness of being",
        "",
        "?!… 。",
    ];
    let mut queries: Vec<SearchQuery> = words.iter().map(|words| SearchQuery::new(*words)).collect();
    let visible = |principals: &[&str], roles: &[&str]| Scope::Visible {
        principals: principals.iter().map(|name| (*name).to_owned()).collect(),
        roles: roles.iter().map(|name| (*name).to_owned()).collect(),
    };
    for words in ["flight harbour", "東京", "чёрный", "Melanie"] {
        let query = || SearchQuery::new(words);
        queries.extend([
            query().session(session("s3")),
            query().session(session("s6")),
            query().session(session("none")),
            query().role(Role::User),
            query().role(Role::Assistant).role(Role::System),
            query().after(stamp(3_010)),
            query().before(stamp(3_010)),
            query().session(session("s2")).after(stamp(2_010)).before(stamp(2_040)).role(Role::User),
            query().scope(visible(&["ann"], &[])),
            query().scope(visible(&["bob"], &["support"])),
            query().scope(visible(&["nobody"], &[])),
            query().scope(visible(&["ann"], &[])).session(session("s1")),
        ]);
    }
    queries
}

#[test]
fn every_medium_finds_the_same() {
    if !postgres_is_there("searching compared with other media") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sqlite: DynBackend = Arc::new(Sqlite::new(SqliteConfig::new(folder.path().join("a.db"))).unwrap());
    let memory: DynBackend = Arc::new(Memory::new());
    let postgres = crate::support::backend(config(&cluster().url(), &fresh_schema())).unwrap();
    for store in [&sqlite, &memory, &postgres] {
        fill(&**store);
    }
    let mut hits = 0;
    for query in queries() {
        let ours = answer(&*postgres, &query, 1_000);
        hits += ours.len();
        for (name, other) in [("SQLite", &sqlite), ("memory", &memory)] {
            let theirs = answer(&**other, &query, 1_000);
            compare(&ours, &theirs, &format!("{name}: {query:?}"));
        }
        for page in [1, 7] {
            let paged = answer(&*postgres, &query, page);
            // Of equals, each page must continue where the last one ended.
            assert_eq!(paged, ours, "pages of {page}: {query:?}");
        }
    }
    assert!(hits > 1_000, "the queries find next to nothing: {hits}");
}

/// The same messages with the same scores and snippets; the order counts where scores differ.
fn compare(ours: &[(String, Stamp, f64, Option<String>)], theirs: &[(String, Stamp, f64, Option<String>)], what: &str) {
    let sorted = |hits: &[(String, Stamp, f64, Option<String>)]| {
        let mut hits = hits.to_vec();
        hits.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        hits
    };
    let (ours_sorted, theirs_sorted) = (sorted(ours), sorted(theirs));
    let keys = |hits: &[(String, Stamp, f64, Option<String>)]| {
        hits.iter().map(|hit| (hit.0.clone(), hit.1)).collect::<Vec<_>>()
    };
    assert_eq!(keys(&ours_sorted), keys(&theirs_sorted), "{what}");
    for (one, other) in ours_sorted.iter().zip(&theirs_sorted) {
        assert!((one.2 - other.2).abs() < 1e-9, "{what}: {one:?} {other:?}");
        assert_eq!(one.3, other.3, "{what}");
    }
    for (one, other) in ours.iter().zip(theirs) {
        assert!((one.2 - other.2).abs() < 1e-9, "another order: {what}: {one:?} {other:?}");
    }
    assert!(ours.windows(2).all(|pair| pair[0].2 >= pair[1].2), "{what}");
}
