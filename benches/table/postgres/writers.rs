//! Many writers at the same time, against pgbench with as many clients that run the same statement.

use std::process::Command;
use std::time::Duration;

use craftx::{NewMessage, Storage};
use craftx_integration_tests::craftx_postgres;
use craftx_integration_tests::servers::{Postgres, postgres_program};
use tokio::runtime::Runtime;

use super::{runtime, server, skipped, store};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

const WRITERS: usize = 64;

pub(crate) fn writers(settings: &Settings) -> Outcome<Row> {
    with(settings, "false")
}

pub(crate) fn writers_searchable(settings: &Settings) -> Outcome<Row> {
    with(settings, "true")
}

/// The text of every message on both sides, as long as messages are on average.
fn text() -> String {
    messages::text(7).chars().take(400).collect()
}

fn with(settings: &Settings, search: &str) -> Outcome<Row> {
    let what = format!("PostgreSQL, {WRITERS} concurrent writers, `search={search}`");
    let Some(server) = server() else { return Ok(skipped(what)) };
    let pgbench = postgres_program("pgbench");
    if !pgbench.is_file() {
        return Ok(Row::Skipped { what, reason: "pgbench is not installed".into() });
    }
    let runtime = runtime()?;
    // How many connections are best can be tried out.
    let options = std::env::var("CRAFTX_BENCH_POSTGRES").unwrap_or_default();
    let storage = runtime.block_on(store(server, "writers", &format!("search={search}&{options}")))?;
    let theirs = runtime.block_on(store(server, "pgbench", &format!("search={search}")))?;
    // So that there is the tenant.
    runtime.block_on(theirs.append("a", NewMessage::user("a")))?;
    runtime.block_on(theirs.close())?;
    let folder = settings.folder()?;
    let script = folder.path().join("append.sql");
    std::fs::write(&script, pgbench_script(search == "true"))?;
    let each = settings.scaled(100);
    let write = |each| timed(|| write(&runtime, &storage, each));
    // So that there are the connections and the sessions.
    write(2)?;
    let seconds = if settings.is_smoke() { 1 } else { 3 };
    let pairs = Pairs::measure(
        settings.rounds(7),
        |_| write(each),
        |round| {
            let mut command = Command::new(&pgbench);
            command.args(["-n", "-M", "prepared", "-c", &WRITERS.to_string(), "-j", "2"]);
            command.args(["-T", &seconds.to_string(), "-D", &format!("n={}", (round + 1) * 1_000_000_000)]);
            let a_second = transactions(command.arg("-f").arg(&script), server)?;
            Ok(Duration::from_secs_f64((WRITERS * each) as f64 / a_second))
        },
    )?;
    runtime.block_on(storage.close())?;
    let a_second = |time: Duration| 1.0 / time.as_secs_f64();
    Ok(Row::Measured {
        what,
        craftx: format!(
            "{} a message, {:.0} a second",
            time(pairs.a(each * WRITERS)),
            a_second(pairs.a(each * WRITERS))
        ),
        baseline: format!(
            "pgbench with {WRITERS} clients and the same statement: {}, {:.0} a second",
            time(pairs.b(each * WRITERS)),
            a_second(pairs.b(each * WRITERS))
        ),
        value: Value::Times(1.0 / pairs.a_over_b()),
        goal: Goal::AtLeast(Value::Times(0.9)),
    })
}

fn write(runtime: &Runtime, storage: &Storage, each: usize) -> Outcome<()> {
    let text = text();
    runtime.block_on(async {
        let writers = (0..WRITERS).map(|n| {
            let (storage, text) = (storage.clone(), text.clone());
            runtime.spawn(async move {
                let session = messages::session(n);
                for _ in 0..each {
                    storage.append(session.as_str(), NewMessage::user(text.as_str())).await?;
                }
                Ok::<(), craftx::Error>(())
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await??;
        }
        Ok(())
    })
}

/// The statement of craftx as a script, in which each client has a session of its own. There is no id of a message but a
/// number that grows.
fn pgbench_script(search: bool) -> String {
    let text = text();
    let words: Vec<&str> = text.split_whitespace().collect();
    let terms = match search {
        true => format!("'{}'", words.iter().map(|word| format!("1·{word}")).collect::<Vec<_>>().join(" ")),
        false => "NULL".to_owned(),
    };
    let (indexed, count) = if search { (1, words.len()) } else { (0, 0) };
    let stamp = "lpad(:n::text, 32, '0')::uuid";
    let now = "1700000000000000";
    let values = [
        "1".to_owned(),
        "'default'".into(),
        "('s' || :client_id::text)".into(),
        stamp.into(),
        stamp.into(),
        "1::bigint".into(),
        format!("{now}::bigint"),
        format!("{indexed}::bigint"),
        format!("{count}::bigint"),
        format!("{search}"),
        "'user'".into(),
        format!("'{text}'::bytea"),
        "NULL::bytea".into(),
        format!("{terms}::text"),
    ];
    let mut sql = craftx_postgres::append_statement("pgbench");
    for (n, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}::", n + 1), &format!("({value})::")).replace(&format!("${}", n + 1), value);
    }
    format!("\\set n :n + 1\n{};\n", sql.trim())
}

/// How many transactions a second pgbench says that there were.
fn transactions(command: &mut Command, server: &Postgres) -> Outcome<f64> {
    let output = command
        .args(["-h", "127.0.0.1", "-p", &server.port(0).to_string(), "-U", "craftx", "craftx"])
        .env("PGPASSWORD", "pw")
        // What it sends has other types, for which the server would make a plan for each call.
        .env("PGOPTIONS", "-c plan_cache_mode=force_generic_plan")
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find_map(|line| line.strip_prefix("tps = ")).filter(|_| output.status.success());
    let number = line.and_then(|line| line.split(' ').next());
    let number = number.ok_or_else(|| format!("pgbench: {printed}\n{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(number.parse()?)
}
