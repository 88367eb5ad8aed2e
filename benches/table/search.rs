//! Searching against the bare query of FTS5, and appending with the index against appending without.
//!
//! The texts and questions are those of a file in the format of LoCoMo, repeated until there are enough: what searching
//! costs depends on how often words occur, and made-up words would say little.

use std::hint::black_box;
use std::ops::Range;

use craftx::search::Query;
use craftx::{Message, NewMessage, Record, Role, SearchQuery, SessionId, Storage, WriteOptions};
use futures_executor::block_on;
use rusqlite::Connection;
use serde_json::{Map, Value as Json};

use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

/// How many queries are measured.
const QUERIES: usize = 61;
/// How many words a query has.
pub(crate) const WORDS: usize = 3;
/// How many messages a page has.
pub(crate) const PAGE: u32 = 10;
/// Over how many sessions the messages are spread.
pub(crate) const SESSIONS: usize = 500;

/// How many messages are written at once where a store is filled.
pub(crate) const BATCH: usize = 1_000;

/// What people wrote, and what was asked about it.
pub(crate) struct Corpus {
    texts: Vec<String>,
    pub(crate) queries: Vec<Vec<String>>,
}

impl Corpus {
    /// `None` if there is no such file.
    pub(crate) fn read(settings: &Settings) -> Outcome<Option<Self>> {
        let Ok(text) = std::fs::read_to_string(&settings.locomo) else { return Ok(None) };
        let samples: Vec<Json> = serde_json::from_str(&text)?;
        let texts =
            samples.iter().filter_map(|sample| sample.get("conversation")?.as_object()).flat_map(turns).collect();
        let questions: Vec<_> = samples.iter().filter_map(|sample| sample.get("qa")?.as_array()).flatten().collect();
        let queries: Vec<_> = questions.iter().filter_map(|question| words(question)).collect();
        let step = (queries.len() / QUERIES).max(1);
        Ok(Some(Self { texts, queries: queries.into_iter().step_by(step).take(QUERIES).collect() }))
    }

    /// The text of message `n`; neighbours come from different places.
    fn text(&self, n: usize) -> &str {
        &self.texts[n.wrapping_mul(7_919) % self.texts.len()]
    }
}

fn turns(conversation: &Map<String, Json>) -> impl Iterator<Item = String> {
    let turns = conversation.values().filter_map(Json::as_array).flatten();
    turns.filter_map(|turn| turn.get("text")?.as_str().map(str::to_owned))
}

/// The first words of a question that are searched for, if there are enough.
fn words(question: &Json) -> Option<Vec<String>> {
    let query = Query::parse(question.get("question")?.as_str()?);
    let words: Vec<String> = query.phrases().iter().map(|phrase| phrase.concat()).take(WORDS).collect();
    (words.len() == WORDS).then_some(words)
}

pub(crate) fn skipped(settings: &Settings, what: String) -> Row {
    Row::Skipped { what, reason: format!("there are no conversations in `{}`", settings.locomo.display()) }
}

pub(crate) fn append(settings: &Settings) -> Outcome<Row> {
    append_with(settings, "power-loss")
}

pub(crate) fn append_unsynced(settings: &Settings) -> Outcome<Row> {
    append_with(settings, "process-crash")
}

fn append_with(settings: &Settings, durability: &str) -> Outcome<Row> {
    let what = format!("SQLite, append of one message, durability `{durability}`, search on against off");
    let Some(corpus) = Corpus::read(settings)? else { return Ok(skipped(settings, what)) };
    let folder = settings.folder()?;
    let open = |search| {
        let path = folder.path().join(format!("{search}.db"));
        block_on(Storage::open(&format!("sqlite:{}?search={search}&durability={durability}", path.display())))
    };
    let (with, without) = (open(true)?, open(false)?);
    let each = 4;
    let append = |storage: &Storage, round: usize| {
        timed(|| {
            for n in round * each..(round + 1) * each {
                let session = messages::session(n % 10);
                block_on(storage.append(session.as_str(), NewMessage::user(corpus.text(n))))?;
            }
            Ok(())
        })
    };
    let pairs = Pairs::measure(settings.scaled(500), |round| append(&with, round), |round| append(&without, round))?;
    block_on(with.close())?;
    block_on(without.close())?;
    Ok(Row::Measured {
        what,
        craftx: format!("{} with the index", time(pairs.totals().0 / (settings.scaled(500) * each) as u32)),
        baseline: format!("craftx, without: {}", time(pairs.totals().1 / (settings.scaled(500) * each) as u32)),
        // All of them, and not the median: now and then FTS5 merges what it has.
        value: Value::Times(pairs.total_a_over_b()),
        goal: Goal::AtMost(Value::Times(2.5)),
    })
}

pub(crate) fn search(settings: &Settings) -> Outcome<Row> {
    let count = settings.scaled(1_000_000);
    let what = format!("SQLite, p50 of searching {WORDS} words in {count} messages, page of {PAGE}");
    let Some(corpus) = Corpus::read(settings)? else { return Ok(skipped(settings, what)) };
    let folder = settings.folder()?;
    let path = folder.path().join("craftx.db");
    let storage = block_on(Storage::open(&format!("sqlite:{}?durability=process-crash", path.display())))?;
    fill(&storage, &corpus, 0..count, |n| messages::session(n / BATCH % SESSIONS))?;
    let bare = Connection::open(&path)?;
    let pairs = Pairs::measure(
        corpus.queries.len(),
        |round| {
            let query = SearchQuery::new(corpus.queries[round].join(" ")).limit(PAGE);
            timed(|| {
                black_box(block_on(storage.search(&query))?);
                Ok(())
            })
        },
        |round| timed(|| bare_query(&bare, &corpus.queries[round]).map(|found| drop(black_box(found)))),
    )?;
    block_on(storage.close())?;
    Ok(Row::Measured {
        what,
        craftx: time(pairs.a(1)),
        baseline: format!(
            "the same words asked of FTS5 alone, ranked by its `bm25`, numbers of rows only: {}",
            time(pairs.b(1))
        ),
        value: Value::Times(pairs.median_a_over_b()),
        goal: Goal::AtMost(Value::Times(1.5)),
    })
}

pub(crate) fn clear(settings: &Settings) -> Outcome<Row> {
    let count = settings.scaled(100_000);
    let what = format!("SQLite, clear of a session of {count} messages beside as many others, search on");
    let Some(corpus) = Corpus::read(settings)? else { return Ok(skipped(settings, what)) };
    let pairs = Pairs::measure_in_order(settings.rounds(3), |_| {
        let folder = settings.folder()?;
        let storage = block_on(Storage::open(&format!("sqlite:{}", folder.path().join("craftx.db").display())))?;
        fill(&storage, &corpus, 0..count, |n| messages::session(n / BATCH % SESSIONS))?;
        let written = timed(|| fill(&storage, &corpus, count..2 * count, |_| messages::session(SESSIONS)))?;
        let cleared = timed(|| Ok(block_on(storage.clear(messages::session(SESSIONS).as_str()))?))?;
        block_on(storage.close())?;
        Ok((cleared, written))
    })?;
    Ok(Row::Measured {
        what,
        craftx: time(pairs.a(1)),
        baseline: format!("craftx, writing them in batches of {BATCH}: {}", time(pairs.b(1))),
        value: Value::Times(pairs.a_over_b()),
        goal: Goal::AtMost(Value::Times(2.0)),
    })
}

/// Writes messages by their number, in batches of which each goes to one session.
pub(crate) fn fill(
    storage: &Storage,
    corpus: &Corpus,
    numbers: Range<usize>,
    session: impl Fn(usize) -> SessionId,
) -> Outcome<()> {
    let message = |n| Record::Message(Message::new(messages::stamp(n), Role::User, corpus.text(n)));
    for begin in numbers.clone().step_by(BATCH) {
        let records: Vec<Record> = (begin..numbers.end.min(begin + BATCH)).map(message).collect();
        let backend = storage.stack().backend();
        block_on(backend.write(&storage.context(), &session(begin), &records, &WriteOptions::replay()))?;
    }
    Ok(())
}

/// Terms begin with the number of their tenant, of which there is one here.
fn bare_query(bare: &Connection, words: &[String]) -> Outcome<Vec<i64>> {
    const MATCH: &str = "SELECT rowid FROM message_index WHERE message_index MATCH ?1 ORDER BY rank LIMIT ?2";
    let terms: Vec<_> = words.iter().map(|word| format!("\"1·{word}\"")).collect();
    let mut select = bare.prepare_cached(MATCH)?;
    let found = select.query_map(rusqlite::params![terms.join(" OR "), PAGE], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}
