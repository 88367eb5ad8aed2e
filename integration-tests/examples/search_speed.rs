//! Measures how long searching takes beside the bare query of FTS5, and what an append costs with the index and without.
//!
//! ```sh
//! cargo run --release -p craftx-integration-tests --example search_speed -- locomo10.json [messages]
//! ```
//!
//! The texts and questions are those of a file in the format of LoCoMo, repeated until there are so many messages
//! (100,000 unless said). The bare query is `MATCH 'a OR b OR c' ORDER BY rank LIMIT 10` over the same index. Only
//! ratios of one run can be compared.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool for developers: it may stop where its input is wrong"
)]

use std::time::{Duration, Instant};

use craftx_core::search::Query;
use craftx_core::{
    Backend, Context, Message, Prepare, Record, Role, SearchQuery, SessionId, Stamp, Tenant, WriteOptions,
};
use craftx_sqlite::{Durability, Sqlite, SqliteConfig};
use futures_executor::block_on;
use serde_json::Value;

/// How many appends are timed.
const APPENDS: u64 = 2_000;
/// How many queries are timed.
const QUERIES: usize = 60;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        // The data set is not part of the repository, and a run of all examples has none to name.
        println!("skipped: no file of conversations was named; usage: search_speed FILE [MESSAGES]");
        return;
    };
    let messages: u64 = arguments.next().map_or(100_000, |text| text.parse().expect("a number of messages"));
    let samples: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(path).expect("the file can be read")).expect("JSON");
    let texts: Vec<&str> =
        samples.iter().filter_map(|sample| sample.get("conversation")?.as_object()).flat_map(turns).collect();
    let folder = tempfile::tempdir().expect("there is a place for the store");
    for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
        let [on, off] = [true, false].map(|search| {
            let config = SqliteConfig::new(folder.path().join(format!("{search}-{durability:?}.db")));
            appends(&open(config.durability(durability).search(search)), &texts)
        });
        println!(
            "append, {durability:?}: {:.2} x ({on:?} with the index, {off:?} without)",
            on.as_secs_f64() / off.as_secs_f64()
        );
    }
    let file = folder.path().join("large.db");
    let store = open(SqliteConfig::new(&file).durability(Durability::ProcessCrash));
    fill(&store, &texts, messages);
    let bare = rusqlite::Connection::open(&file).expect("the file can be read");
    let questions: Vec<Query> =
        samples.iter().filter_map(|sample| sample.get("qa")?.as_array()).flatten().filter_map(words).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for query in questions.iter().step_by((questions.len() / QUERIES).max(1)) {
        let words: Vec<String> = query.phrases().iter().map(|phrase| phrase.concat()).take(3).collect();
        let search = SearchQuery::new(words.join(" ")).limit(10);
        let start = Instant::now();
        block_on(store.search(&cx(), &search)).expect("any text is a legal query");
        ours.push(start.elapsed());
        let terms: Vec<_> = words.iter().map(|word| format!("\"1·{word}\"")).collect();
        let start = Instant::now();
        let mut select = bare
            .prepare("SELECT rowid FROM message_index WHERE message_index MATCH ?1 ORDER BY rank LIMIT 10")
            .expect("the index is there");
        let found: Vec<i64> =
            select.query_map([terms.join(" OR ")], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        theirs.push(start.elapsed());
        assert!(!found.is_empty());
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "search among {messages}, p50: {:.2} x ({ours:?} beside {theirs:?} bare)",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}

fn cx() -> Context {
    Context::system(Tenant::default())
}

fn open(config: SqliteConfig) -> Sqlite {
    let store = Sqlite::new(config).expect("the configuration is right");
    block_on(store.prepare(&cx(), Prepare::Migrate)).expect("the store opens");
    store
}

fn turns(conversation: &serde_json::Map<String, Value>) -> impl Iterator<Item = &str> {
    conversation.values().filter_map(Value::as_array).flatten().filter_map(|turn| turn.get("text")?.as_str())
}

/// The words of a question, if there are three.
fn words(question: &Value) -> Option<Query> {
    Some(Query::parse(question.get("question")?.as_str()?)).filter(|query| query.phrases().len() >= 3)
}

/// The `n`-th message; neighbours come from different places.
fn message(texts: &[&str], n: u64) -> Record {
    let text = texts.get((n.wrapping_mul(7_919) % texts.len() as u64) as usize).copied().unwrap_or_default();
    Record::Message(Message::new(Stamp::mint(n + 1, None, 0).expect("small"), Role::User, text))
}

fn appends(store: &Sqlite, texts: &[&str]) -> Duration {
    let start = Instant::now();
    for n in 0..APPENDS {
        let session = SessionId::new(format!("s{}", n % 10)).expect("a name");
        block_on(store.write(&cx(), &session, &[message(texts, n)], &WriteOptions::fresh())).expect("it is written");
    }
    start.elapsed() / APPENDS as u32
}

fn fill(store: &Sqlite, texts: &[&str], messages: u64) {
    for batch in 0..messages.div_ceil(1_000) {
        let session = SessionId::new(format!("s{}", batch % 500)).expect("a name");
        let records: Vec<_> = (batch * 1_000..messages.min((batch + 1) * 1_000)).map(|n| message(texts, n)).collect();
        block_on(store.write(&cx(), &session, &records, &WriteOptions::fresh())).expect("it is written");
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
