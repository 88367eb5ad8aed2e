//! Measures how well searching finds the messages that answer a question, on a file in the format of LoCoMo
//! (`locomo10.json`; Maharana et al., "Evaluating Very Long-Term Conversational Memory of LLM Agents", 2024).
//!
//! ```sh
//! cargo run --release -p craftx-integration-tests --example search_quality -- [--postgres] locomo10.json [run.jsonl]
//! ```
//!
//! The store is one of SQLite; with `--postgres` one of PostgreSQL, on a server that is started for it.
//!
//! Each conversation becomes a session of one store, so that there is one index over all; each question is searched for
//! in its session. What is printed is recall@k: how many of the messages that are named as evidence are among the first
//! k, averaged over the questions. Evidence that names no message is repaired where its meaning is plain, and dropped
//! where it is not; questions without evidence are left out. With a second file, the first 50 messages of each
//! question are written to it, for scorers of other people.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool for developers: it may stop where its input is wrong"
)]

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use craftx_core::{
    Backend, Context, DynBackend, Location, Message, Prepare, Record, Role, SearchQuery, SessionId, Stamp, Tenant,
    WriteOptions,
};
use craftx_integration_tests::servers::{self, PostgresOptions, postgres_is_there};
use craftx_postgres::{Postgres, PostgresConfig};
use craftx_sqlite::{Durability, Sqlite, SqliteConfig};
use futures_executor::block_on;
use serde_json::Value;

const DEPTHS: [usize; 4] = [5, 10, 25, 50];

/// What was found for some questions.
#[derive(Default)]
struct Score {
    questions: usize,
    recall: [f64; DEPTHS.len()],
    reciprocal_rank: f64,
}

fn main() {
    let (options, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut arguments = arguments.into_iter();
    let Some(path) = arguments.next() else {
        // The data set is not part of the repository, and a run of all examples has none to name.
        println!("skipped: no file of conversations was named; usage: search_quality [--postgres] FILE [RUN]");
        return;
    };
    let mut out = arguments.next().map(|path| std::fs::File::create(path).expect("the second file can be written"));
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let samples: Vec<Value> = serde_json::from_str(&text).expect("the file is JSON");
    let folder = tempfile::tempdir().expect("there is a place for the store");
    let (_server, store) = match options.as_slice() {
        [] => {
            let config = SqliteConfig::new(folder.path().join("locomo.db")).durability(Durability::ProcessCrash);
            (None, Arc::new(Sqlite::new(config).expect("the configuration is right")) as DynBackend)
        }
        [option] if option == "--postgres" => {
            if !postgres_is_there("searching in PostgreSQL") {
                return;
            }
            let server = servers::Postgres::start(&PostgresOptions::default());
            let config = Location::parse(&server.url()).and_then(|location| location.config());
            let config: PostgresConfig = config.expect("the server has a URL");
            (Some(server), Arc::new(Postgres::new(config).expect("the configuration is right")) as DynBackend)
        }
        _ => panic!("the one option is `--postgres`"),
    };
    let cx = Context::system(Tenant::default());
    block_on(store.prepare(&cx, Prepare::Migrate)).expect("the store opens");
    // By session, what the messages are called in the file.
    let names: Vec<BTreeMap<Stamp, String>> = samples.iter().map(|sample| write(&*store, &cx, sample)).collect();
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for (sample, names) in samples.iter().zip(&names) {
        for (index, question) in sample.get("qa").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let evidence = evidence(question, names);
            if evidence.is_empty() {
                continue;
            }
            let session = session(sample);
            let words = question.get("question").and_then(Value::as_str).unwrap_or_default();
            let query = SearchQuery::new(words).session(session.clone()).limit(50);
            let page = block_on(store.search(&cx, &query)).expect("any text is a legal query");
            let found: Vec<&str> =
                page.items.iter().filter_map(|hit| names.get(&hit.message.id)).map(String::as_str).collect();
            if let Some(out) = &mut out {
                let line = serde_json::json!({"question_id": format!("{session}#{index}"), "retrieved": found});
                writeln!(out, "{line}").expect("the second file can be written");
            }
            let category = format!("category {}", question.get("category").unwrap_or(&Value::Null));
            for name in [category, "all".to_owned()] {
                scores.entry(name).or_default().add(&found, &evidence);
            }
        }
    }
    println!("{:<12} {:>6}  {}    mrr", "", "n", DEPTHS.map(|depth| format!("{:>5}", format!("R@{depth}"))).join("  "));
    for (name, score) in scores {
        score.print(&name);
    }
}

impl Score {
    fn add(&mut self, found: &[&str], evidence: &[String]) {
        self.questions += 1;
        for (sum, depth) in self.recall.iter_mut().zip(DEPTHS) {
            let hits = evidence.iter().filter(|name| found.iter().take(depth).any(|found| found == name)).count();
            *sum += hits as f64 / evidence.len() as f64;
        }
        let first = found.iter().position(|found| evidence.iter().any(|name| name == found));
        self.reciprocal_rank += first.map_or(0.0, |first| 1.0 / (first + 1) as f64);
    }

    fn print(&self, name: &str) {
        let of = self.questions.max(1) as f64;
        let recall = self.recall.map(|sum| format!("{:5.1}", 100.0 * sum / of)).join("  ");
        println!("{name:<12} {:>6}  {recall}  {:.3}", self.questions, self.reciprocal_rank / of);
    }
}

fn session(sample: &Value) -> SessionId {
    SessionId::new(sample.get("sample_id").and_then(Value::as_str).expect("a sample has an id")).expect("it is a name")
}

/// Writes a conversation as one session, with the speakers as the authors of the messages.
fn write(store: &dyn Backend, cx: &Context, sample: &Value) -> BTreeMap<Stamp, String> {
    let conversation = sample.get("conversation").and_then(Value::as_object).expect("a sample has a conversation");
    let mut parts: Vec<(u32, &Vec<Value>)> = conversation
        .iter()
        .filter_map(|(key, turns)| Some((key.strip_prefix("session_")?.parse().ok()?, turns.as_array()?)))
        .collect();
    parts.sort_by_key(|(number, _)| *number);
    let first = parts.iter().flat_map(|(_, turns)| turns.iter()).next().and_then(speaker);
    let mut names = BTreeMap::new();
    let mut records = Vec::new();
    for turn in parts.iter().flat_map(|(_, turns)| turns.iter()) {
        let id = Stamp::mint(names.len() as u64 + 1, None, 0).expect("the stamps are small");
        names.insert(id, turn.get("dia_id").and_then(Value::as_str).expect("a turn has an id").to_owned());
        let role = if speaker(turn) == first { Role::User } else { Role::Assistant };
        let text = turn.get("text").and_then(Value::as_str).unwrap_or_default();
        let message = Message::new(id, role, text).with_metadata("name", speaker(turn).unwrap_or_default());
        records.push(Record::Message(message));
    }
    block_on(store.write(cx, &session(sample), &records, &WriteOptions::fresh())).expect("the store takes it");
    names
}

fn speaker(turn: &Value) -> Option<&str> {
    turn.get("speaker").and_then(Value::as_str)
}

/// The messages that are named as evidence. Some lists of the released file are misspelt: `D30:05`, `D:11:26`, several
/// names in one text.
fn evidence(question: &Value, names: &BTreeMap<Stamp, String>) -> Vec<String> {
    let known: HashMap<&str, ()> = names.values().map(|name| (name.as_str(), ())).collect();
    let mut found: Vec<String> = Vec::new();
    for text in question.get("evidence").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let text = text.trim().trim_matches(['(', ')']);
        for part in text.split(|c: char| c == ';' || c == ',' || c.is_whitespace()) {
            let numbers = part.strip_prefix('D').map(|rest| rest.strip_prefix(':').unwrap_or(rest));
            let Some((session, turn)) = numbers.and_then(|numbers| numbers.split_once(':')) else { continue };
            let name = format!("D{session}:{}", turn.trim_start_matches('0'));
            if known.contains_key(name.as_str()) && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}
