//! Searching: what the index holds, what it forgets, and what it costs to switch.

use std::collections::BTreeMap;
use std::path::Path;

use craftx_core::search::indexed;
use craftx_core::{
    Backend, Compact, Context, ErrorKind, Hit, Message, MessageQuery, Prepare, Record, Role, SearchQuery, SessionId,
    Stamp, Support, Tenant, WriteOptions,
};
use craftx_sqlite::{Durability, Sqlite, SqliteConfig};
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use super::{at, close, cx, erasure::occurrences, id, message, open, open_with, run, write};

fn found(store: &Sqlite, text: &str) -> Vec<Hit> {
    run(store.search(&cx(), &SearchQuery::new(text))).unwrap().items
}

fn found_texts(store: &Sqlite, text: &str) -> Vec<String> {
    found(store, text).iter().map(|hit| hit.message.text().unwrap().to_owned()).collect()
}

/// The rows of the index, put together again from what FTS5 holds: the tokens of each message, in order.
fn rows(conn: &Connection) -> BTreeMap<i64, Vec<String>> {
    let mut select = conn.prepare("SELECT doc, offset, term FROM message_terms ORDER BY doc, offset").unwrap();
    let mut rows = BTreeMap::<i64, Vec<String>>::new();
    let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    for row in found {
        let (doc, offset, term): (i64, u32, String) = row.unwrap();
        let tokens = rows.entry(doc).or_default();
        assert_eq!(tokens.len(), offset as usize, "no token is missing");
        tokens.push(term);
    }
    rows
}

/// What the index should hold, from the messages that the store gives.
fn expected(
    store: &Sqlite,
    conn: &Connection,
    tenants: &[Tenant],
    sessions: &[SessionId],
) -> BTreeMap<i64, Vec<String>> {
    let mut rows = BTreeMap::new();
    for tenant in tenants {
        let cx = Context::system(tenant.clone());
        for session in sessions {
            for stamp in 1..20 {
                let query = MessageQuery::oldest_first().ids([at(stamp)]);
                // A message of two variants is searched as the one that came first, which only the file tells.
                let Ok(page) = run(store.load(&cx, session, &query)) else { continue };
                let Some(message) = page.items.first() else { continue };
                let place: (i64, i64) = conn
                    .query_row(
                        "SELECT messages.seq, tid FROM messages JOIN sessions USING (sid) JOIN tenants USING (tid)
                         WHERE name = ?1 AND id = ?2 AND stamp = ?3 AND variant = 0",
                        rusqlite::params![tenant.as_str(), session.as_str(), at(stamp).as_bytes()],
                        |row| Ok((row.get(0)?, row.get(1)?)),
                    )
                    .unwrap();
                let tokens: Vec<String> = indexed(message)
                    .into_iter()
                    .map(|term| format!("{}·{}", place.1, term.unwrap_or_default()))
                    .collect();
                if !tokens.is_empty() {
                    rows.insert(place.0, tokens);
                }
            }
        }
    }
    rows
}

/// FTS5 finds no damage, the statistics are those of the rows, and there is nothing but what `expected` says.
fn check_index(conn: &Connection, expected: &BTreeMap<i64, Vec<String>>) -> Result<(), TestCaseError> {
    conn.execute("INSERT INTO message_index (message_index) VALUES ('integrity-check')", []).unwrap();
    prop_assert_eq!(&rows(conn), expected);
    let sizes: Vec<i64> = conn
        .prepare("SELECT id FROM message_index_docsize ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    prop_assert!(sizes.iter().eq(expected.keys()), "every row belongs to a live message");
    let counted: (i64, i64) = conn
        .query_row("SELECT coalesce(sum(indexed), 0), coalesce(sum(terms), 0) FROM tenants", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let terms = expected.values().flatten().count();
    prop_assert_eq!(counted, (expected.len() as i64, terms as i64));
    Ok(())
}

fn record() -> impl Strategy<Value = Record> {
    let stamp = || (1..12u64).prop_map(at);
    let text = select(vec!["", "?", "one", "one two", "two three, one", "日本", "日、本語", "three 日 one"]);
    prop_oneof![
        8 => (stamp(), text, any::<bool>()).prop_map(|(stamp, text, named)| {
            let message = Message::new(stamp, Role::User, text);
            Record::Message(if named { message.with_metadata("name", "Ann Lee") } else { message })
        }),
        2 => (stamp(), 12..20u64).prop_map(|(id, ms)| Record::Deleted { id, stamp: at(ms) }),
        1 => (stamp(), 12..20u64).prop_map(|(through, ms)| Record::Cleared { through, stamp: at(ms) }),
    ]
}

#[test]
fn after_any_history_the_index_holds_the_live_messages_and_nothing_else() {
    let tenants = [Tenant::new("a").unwrap(), Tenant::new("b").unwrap()];
    let sessions = [id("s"), id("t")];
    let batch = (0..2usize, 0..2usize, prop::collection::vec(record(), 1..6));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&prop::collection::vec(batch, 1..25), |batches| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("chat.db");
            let store = open_with(SqliteConfig::new(&path).durability(Durability::ProcessCrash));
            for (tenant, session, records) in &batches {
                let cx = Context::system(tenants[*tenant].clone());
                // Contradictions are refused, and change nothing.
                let _ = run(store.write(&cx, &sessions[*session], records, &WriteOptions::fresh()));
            }
            let conn = Connection::open(&path).unwrap();
            let expected = expected(&store, &conn, &tenants, &sessions);
            check_index(&conn, &expected)?;
            // Built anew from the messages, it is the same.
            drop(conn);
            close(store);
            close(open_with(SqliteConfig::new(&path).search(false)));
            let conn = Connection::open(&path).unwrap();
            check_index(&conn, &BTreeMap::new())?;
            close(open_with(SqliteConfig::new(&path).search(true)));
            check_index(&conn, &expected)
        })
        .unwrap();
}

/// Histories of both media, and what they find: the index gives what looking at every message gives.
#[test]
fn what_is_found_and_its_scores_are_those_of_the_memory_backend() {
    const WORDS: [&str; 12] = ["red", "blue", "heron", "cars", "ran", "the", "日本", "京", "東京都", "of", "Ann", "?"];
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(SqliteConfig::new(folder.path().join("chat.db")).durability(Durability::ProcessCrash));
    let words = || prop::collection::vec(select(&WORDS[..]), 0..7).prop_map(|words| words.join(" "));
    let write = (0..2usize, 1..15u64, words(), any::<bool>(), 0..10u32);
    let query = (words(), prop::option::of(0..2usize), any::<bool>(), prop::option::of(1..15u64));
    let history = (prop::collection::vec(write, 1..30), prop::collection::vec(query, 1..8));
    let cases = std::sync::atomic::AtomicU32::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&history, |(writes, queries)| {
            let case = cases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let cx = Context::system(Tenant::new(format!("case {case}")).unwrap());
            let theirs = craftx_core::Memory::new();
            let sessions = [id("s"), id("t")];
            for (session, stamp, text, user, what) in writes {
                let record = match what {
                    0 => Record::Deleted { id: at(stamp), stamp: at(100) },
                    1 if stamp < 4 => Record::Cleared { through: at(stamp), stamp: at(100) },
                    _ => {
                        let role = if user { Role::User } else { Role::Assistant };
                        Record::Message(Message::new(at(stamp), role, text))
                    }
                };
                for backend in [&store as &dyn Backend, &theirs] {
                    let _ = run(backend.write(
                        &cx,
                        &sessions[session],
                        std::slice::from_ref(&record),
                        &WriteOptions::fresh(),
                    ));
                }
            }
            for (text, session, user, after) in queries {
                let mut query = SearchQuery::new(text);
                query.session = session.map(|session| sessions[session].clone());
                query.after = after.map(at);
                if user {
                    query.roles = vec![Role::User];
                }
                let hits = |backend: &dyn Backend| {
                    let page = run(backend.search(&cx, &query)).unwrap();
                    let mut hits: Vec<_> = page
                        .items
                        .into_iter()
                        .map(|hit| (hit.session, hit.message.id, (hit.score * 1e9).round(), hit.snippet, hit.marks))
                        .collect();
                    hits.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
                    hits
                };
                prop_assert_eq!(hits(&store), hits(&theirs), "{:?}", query);
            }
            Ok(())
        })
        .unwrap();
    close(store);
}

#[test]
fn searching_is_switched_per_store_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let searchable = |store: &Sqlite| run(store.status(&cx())).unwrap().capabilities.search;
    let store = open_with(SqliteConfig::new(&path).search(false));
    write(&store, "s", &[message(1, "a heron")]).unwrap();
    assert_eq!(searchable(&store), Support::No);
    let error = run(store.search(&cx(), &SearchQuery::new("heron"))).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, "search"));
    close(store);

    let store = open(&path);
    assert_eq!(searchable(&store), Support::No, "who says nothing changes nothing");
    close(store);
    let store = Sqlite::new(SqliteConfig::new(&path).search(true)).unwrap();
    assert_eq!(store.capabilities().search, Support::Probe);
    let capabilities = run(store.prepare(&cx(), Prepare::Open)).unwrap();
    assert_eq!(capabilities.search, Support::No, "only a migration may index");
    close(store);

    let store = open_with(SqliteConfig::new(&path).search(true));
    assert_eq!(searchable(&store), Support::Yes);
    assert_eq!(found_texts(&store, "herons"), ["a heron"], "what was there before is indexed");
    close(store);
    let store = open(&path);
    assert_eq!(searchable(&store), Support::Yes);
    // A handle that does not search itself keeps the index of the others up to date.
    let other = Sqlite::new(SqliteConfig::new(&path).search(false)).unwrap();
    run(other.prepare(&cx(), Prepare::Open)).unwrap();
    write(&other, "s", &[message(2, "another heron")]).unwrap();
    assert_eq!(searchable(&other), Support::No);
    assert_eq!(found(&store, "heron").len(), 2);
    // Switched off by another process, the store says so instead of finding nothing.
    close(other);
    close(open_with(SqliteConfig::new(&path).search(false)));
    let error = run(store.search(&cx(), &SearchQuery::new("heron"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    write(&store, "s", &[Record::Deleted { id: at(1), stamp: at(9) }]).unwrap();
    close(store);
    let store = open_with(SqliteConfig::new(&path).search(true));
    assert_eq!(found_texts(&store, "heron"), ["another heron"]);
    close(store);
}

#[test]
#[cfg(unix)]
fn the_words_of_dead_messages_are_gone_from_the_index_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = open(&path);
    // Each secret is a word of its own, so that the index has a term for each, among others on many pages.
    let secret = |n: u64| format!("zq{:06}kx{:05}", n * 7_919 % 999_983, n);
    let filler = |n: u64| (0..12).map(|i| format!("w{} ", (n * 31 + i * 17) % 9_973)).collect::<String>();
    for part in 0..20 {
        let records: Vec<_> = (0..50)
            .flat_map(|n| {
                let n = part * 50 + n;
                [message(2 * n + 1, &format!("{} {}", filler(n), secret(n))), message(2 * n + 2, &filler(n + 5_000))]
            })
            .collect();
        write(&store, "a", &records).unwrap();
    }
    assert!(occurrences(folder.path(), &secret(0)) >= 2, "the message and the index have it");
    // One by one, as a batch, a record that comes after its deletion, and by a clear.
    write(&store, "a", &[Record::Deleted { id: at(1), stamp: at(9_000) }]).unwrap();
    let batch: Vec<_> = (1..500).map(|n| Record::Deleted { id: at(2 * n + 1), stamp: at(9_001) }).collect();
    write(&store, "a", &batch).unwrap();
    let late = message(1, &format!("late {}", secret(0)));
    assert_eq!(write(&store, "a", &[late]).unwrap().dead, Some(1));
    let left = |range: std::ops::Range<u64>| -> Vec<u64> {
        run(store.compact(&cx(), &Compact::new())).unwrap();
        let text = all_bytes(folder.path());
        range.filter(|n| text.contains(&secret(*n))).collect()
    };
    assert_eq!(left(0..500), [0; 0]);
    assert!(found(&store, &secret(3)).is_empty() && found(&store, &secret(700)).len() == 1);
    write(&store, "a", &[Record::Cleared { through: at(5_000), stamp: at(9_002) }]).unwrap();
    assert_eq!(left(0..1_000), [0; 0]);
    let conn = Connection::open(&path).unwrap();
    check_index(&conn, &BTreeMap::new()).unwrap();
    drop(conn);
    close(store);
}

#[test]
#[cfg(unix)]
fn a_clear_of_many_messages_leaves_nothing_of_them_and_everything_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = open(&path);
    let secret = |session: &str, n: u64| format!("zq{session}{:06}kx{:05}", n * 7_919 % 999_983, n);
    let text = |session: &str, n: u64| format!("words that all have {}", secret(session, n));
    for part in 0..30 {
        for session in ["a", "b"] {
            let records: Vec<_> = (part * 10..part * 10 + 10).map(|n| message(n + 1, &text(session, n))).collect();
            write(&store, session, &records).unwrap();
        }
    }
    let left = |session: &str| {
        run(store.compact(&cx(), &Compact::new())).unwrap();
        let bytes = all_bytes(folder.path());
        (0..300).filter(|n| bytes.contains(&secret(session, *n))).count()
    };
    assert_eq!((left("a"), left("b")), (300, 300));
    write(&store, "a", &[Record::Cleared { through: at(5_000), stamp: at(5_001) }]).unwrap();
    assert_eq!((left("a"), left("b")), (0, 300));
    assert!(found(&store, &secret("a", 7)).is_empty());
    assert_eq!(found(&store, &secret("b", 7)).len(), 1);
    // One message is cut out again as before.
    write(&store, "b", &[Record::Deleted { id: at(8), stamp: at(5_001) }]).unwrap();
    assert_eq!(left("b"), 299);
    let conn = Connection::open(&path).unwrap();
    conn.execute("INSERT INTO message_index (message_index) VALUES ('integrity-check')", []).unwrap();
    assert_eq!(rows(&conn).len(), 299);
    drop(conn);
    close(store);
}

/// The printable bytes of all files of a folder, read by another process.
fn all_bytes(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let output = std::process::Command::new("cat").args(files).output().unwrap();
    output.stdout.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' }).collect()
}

#[test]
fn neighbours_count_where_a_query_has_several_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("chat.db"));
    let texts = ["noise", "where is the red car?", "in the garage", "thanks", "noise", "noise", "car"];
    let records: Vec<_> = texts.iter().zip(1..).map(|(text, ms)| message(ms, text)).collect();
    write(&store, "s", &records).unwrap();
    let answers = found_texts(&store, "where is the red car");
    assert_eq!(answers[0], "where is the red car?");
    assert!(answers.iter().position(|text| text == "in the garage").unwrap() <= 3, "{answers:?}");
    assert_eq!(found_texts(&store, "garage"), ["in the garage"], "a look-up finds what has the word");
    // A late record comes between them; then a deletion takes it away again.
    let before = found(&store, "where is the red car");
    write(&store, "s", &[Record::Message(Message::new(Stamp::mint(2, Some(at(2)), 0).unwrap(), Role::User, "late"))])
        .unwrap();
    assert!(found_texts(&store, "red car").contains(&"late".to_owned()));
    let late = found(&store, "red car").into_iter().find(|hit| hit.message.text() == Some("late")).unwrap().message.id;
    write(&store, "s", &[Record::Deleted { id: late, stamp: at(50) }]).unwrap();
    let after = found(&store, "where is the red car");
    let ids = |hits: &[Hit]| hits.iter().map(|hit| hit.message.id).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after));
    close(store);
}

#[test]
fn every_message_that_has_a_word_is_on_some_page_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(SqliteConfig::new(folder.path().join("chat.db")).durability(Durability::ProcessCrash));
    for part in 0..30u64 {
        let session = format!("s{}", part % 3);
        let records: Vec<_> = (0..100)
            .map(|n| {
                let role = if n % 3 == 0 { Role::User } else { Role::Assistant };
                let text =
                    if n % 2 == 0 { format!("heron {}", "and so on ".repeat(n as usize % 7)) } else { "crane".into() };
                Record::Message(Message::new(at(part * 100 + n + 1), role, text))
            })
            .collect();
        write(&store, &session, &records).unwrap();
    }
    let all = |query: SearchQuery| {
        let mut ids = Vec::new();
        let mut query = query.limit(77);
        loop {
            let page = run(store.search(&cx(), &query)).unwrap();
            ids.extend(page.items.into_iter().map(|hit| hit.message.id));
            match page.next {
                None => return ids,
                next => query = query.cursor(next),
            }
        }
    };
    let count = |query: SearchQuery| {
        let mut ids = all(query);
        let found = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), found, "none is found twice");
        found
    };
    let heron = || SearchQuery::new("heron");
    assert_eq!(count(heron()), 1_500);
    assert_eq!(count(heron().session(id("s1"))), 500);
    assert_eq!(count(heron().role(Role::User)), 510);
    assert_eq!(count(heron().role(Role::User).role(Role::Assistant)), 1_500);
    assert_eq!(count(heron().role(Role::System)), 0);
    assert_eq!(count(heron().after(at(100)).before(at(202))), 51);
    assert_eq!(count(heron().session(id("nowhere"))), 0);
    assert_eq!(count(SearchQuery::new("heron crane")), 3_000);
    let page = run(store.search(&cx(), &heron().limit(5))).unwrap();
    let other = run(store.search(&cx(), &heron().role(Role::User).cursor(page.next.clone())));
    assert_eq!(other.unwrap_err().kind(), ErrorKind::InvalidInput);
    close(store);
}

#[test]
fn nothing_of_another_tenant_changes_a_ranking() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("chat.db"));
    let ours = Context::system(Tenant::new("ours").unwrap());
    let theirs = Context::system(Tenant::new("theirs").unwrap());
    let records = [message(1, "red herring"), message(2, "a blue heron"), message(3, "blue"), message(4, "blue blue")];
    run(store.write(&ours, &id("s"), &records, &WriteOptions::fresh())).unwrap();
    let query = SearchQuery::new("blue red heron");
    let before = run(store.search(&ours, &query)).unwrap();
    for n in 0..50 {
        let records =
            [message(2 * n + 1, "red red red heron"), message(2 * n + 2, "long words of somebody else, green")];
        run(store.write(&theirs, &id("s"), &records, &WriteOptions::fresh())).unwrap();
    }
    assert_eq!(run(store.search(&ours, &query)).unwrap(), before, "the same messages with the same scores");
    assert!(run(store.search(&ours, &SearchQuery::new("green"))).unwrap().items.is_empty());
    close(store);
}
