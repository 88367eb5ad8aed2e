//! Searching, against the bare query of the same index.

use std::hint::black_box;
use std::sync::Arc;

use craftx::SearchQuery;
use tokio_postgres::NoTls;

use super::{run, runtime, server, skipped, store};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::search::{BATCH, Corpus, PAGE, SESSIONS, WORDS, fill};
use crate::settings::Settings;
use crate::{Outcome, messages, search};

pub(crate) fn search(settings: &Settings) -> Outcome<Row> {
    let count = settings.scaled(100_000);
    let what = format!("PostgreSQL, p50 of searching {WORDS} words in {count} messages, page of {PAGE}");
    let Some(corpus) = Corpus::read(settings)? else { return Ok(search::skipped(settings, what)) };
    let Some(server) = server() else { return Ok(skipped(what)) };
    let runtime = runtime()?;
    let storage = runtime.block_on(store(server, "search", ""))?;
    fill(&storage, &corpus, 0..count, |n| messages::session(n / BATCH % SESSIONS))?;
    server.sql(0, "VACUUM ANALYZE search.messages, search.sessions")?;
    let bare = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await?;
        runtime.spawn(connection);
        let conditions: Vec<_> = (1..=WORDS).map(|n| format!("terms @> ARRAY[${n}]::text[]")).collect();
        let sql = format!("SELECT sid, stamp, terms FROM search.messages WHERE {}", conditions.join(" OR "));
        let statement = client.prepare(&sql).await?;
        Ok::<_, tokio_postgres::Error>(Arc::new((client, statement)))
    })?;
    let pairs = Pairs::measure(
        corpus.queries.len(),
        |round| {
            let (storage, text) = (storage.clone(), corpus.queries[round].join(" "));
            timed(|| {
                run(&runtime, async move {
                    black_box(storage.search(&SearchQuery::new(text).limit(PAGE)).await?);
                    Ok(())
                })
            })
        },
        |round| {
            let bare = Arc::clone(&bare);
            let terms: Vec<String> = corpus.queries[round].iter().map(|word| format!("1·{word}")).collect();
            timed(|| {
                run(&runtime, async move {
                    let (client, statement) = &*bare;
                    black_box(client.query(statement, &[&terms[0], &terms[1], &terms[2]]).await?);
                    Ok(())
                })
            })
        },
    )?;
    runtime.block_on(storage.close())?;
    Ok(Row::Measured {
        what,
        craftx: time(pairs.a(1)),
        baseline: format!(
            "the same words asked of the same index, with the terms of what is found: {}",
            time(pairs.b(1))
        ),
        value: Value::Times(pairs.median_a_over_b()),
        goal: Goal::None,
    })
}
