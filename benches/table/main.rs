//! `cargo bench`: what craftx costs against the same work done by hand, and whether that reaches the goals.
//!
//! Only ratios mean something on other machines, so every row compares two things that were measured in the same run, by
//! turns. The table goes to standard output as Markdown, progress to standard error.
//!
//! - `cargo bench -- json` measures the rows whose name contains `json`.
//! - `CRAFTX_BENCH_SCALE=small` takes a tenth of the messages; `full`, the default, those of the goals.
//! - `CRAFTX_BENCH_DIR` is where the stores are written, by default the build folder. A folder in memory makes every sync
//!   free, and the rows of appends meaningless.
//! - `CRAFTX_BENCH_DATA` is the folder with conversations whose space on disk is measured, one JSON object a line, by default
//!   `../shared/data/conversations` beside the repository.
//! - `CRAFTX_BENCH_LOCOMO` is a file in the format of LoCoMo whose texts are searched, by default
//!   `../shared/data/locomo/locomo_first5.json`.
//!
//! Without `--bench`, as `cargo test` runs it, every row is measured at a tiny scale and only has to succeed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "benches")]

mod appends;
mod failover;
mod import;
mod layers;
mod messages;
mod migrate;
mod parse;
#[cfg(unix)]
mod postgres;
mod raw;
mod reads;
mod rewrite;
mod rounds;
mod row;
mod seal;
mod search;
mod settings;
mod space;

use std::process::ExitCode;

use row::Row;
use settings::Settings;

/// What a measurement gives, or why it could not be made.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures one row.
type Bench = fn(&Settings) -> Outcome<Row>;

/// Every row by its name, in the order of the table.
const BENCHES: &[(&str, Bench)] = &[
    ("sqlite-one-writer", appends::one_writer),
    ("sqlite-one-writer-thread", appends::one_writer_thread),
    ("sqlite-64-writers", appends::many_writers),
    ("sqlite-append-long", appends::sqlite_long),
    ("json-append-long", appends::json_long),
    ("sqlite-last-50", reads::last_50),
    ("sqlite-last-50-thread", reads::last_50_thread),
    ("sqlite-last-50-flat", reads::last_50_flat),
    ("json-append", appends::json),
    ("json-append-safe", appends::json_safe),
    ("json-append-unsynced", appends::json_unsynced),
    ("sqlite-first-page", reads::first_page),
    ("sqlite-import", import::time_of),
    ("sqlite-import-memory", import::memory),
    ("read-chatgpt", parse::chatgpt),
    ("sqlite-migrate", migrate::sqlite),
    ("sqlite-search", search::search),
    ("sqlite-search-append", search::append),
    ("sqlite-search-append-unsynced", search::append_unsynced),
    ("sqlite-search-clear", search::clear),
    ("layers", layers::five),
    ("failover-async", failover::mirrored_later),
    ("failover-sync", failover::mirrored_at_once),
    ("failover-sync-shared", failover::mirrored_in_turn),
    ("failover-heal", failover::heal_long),
    ("failover-heal-short", failover::heal_short),
    ("encrypt-2k", seal::small_ratio),
    ("encrypt-2k-time", seal::small_time),
    ("encrypt-1m", seal::large),
    #[cfg(unix)]
    ("postgres-append", postgres::append),
    ("postgres-append-apart", postgres::append_apart),
    #[cfg(unix)]
    ("postgres-append-searchable", postgres::append_searchable),
    #[cfg(unix)]
    ("postgres-64-writers", postgres::writers),
    #[cfg(unix)]
    ("postgres-64-writers-searchable", postgres::writers_searchable),
    #[cfg(unix)]
    ("postgres-last-50", postgres::last_50),
    ("postgres-last-50-apart", postgres::last_50_apart),
    #[cfg(unix)]
    ("postgres-import", postgres::import),
    #[cfg(unix)]
    ("postgres-import-searchable", postgres::import_searchable),
    #[cfg(unix)]
    ("postgres-search", postgres::search),
    ("sqlite-space", space::sqlite),
    ("json-space", space::json),
];

fn main() -> ExitCode {
    if let Some(child) = import::Child::of_environment() {
        child.run();
        return ExitCode::SUCCESS;
    }
    let settings = Settings::of_environment();
    let mut rows = Vec::new();
    let mut failed = 0;
    for (name, bench) in BENCHES.iter().filter(|(name, _)| settings.wants(name)) {
        eprintln!("{name} …");
        match bench(&settings) {
            Ok(row) => rows.push((*name, row)),
            Err(error) => {
                eprintln!("{name} failed: {error}");
                failed += 1;
            }
        }
    }
    if settings.is_smoke() {
        for reason in rows.iter().filter_map(|(_, row)| row.skipped()) {
            println!("skipped: {reason}");
        }
        println!("test result: {}. {} passed; {failed} failed", if failed == 0 { "ok" } else { "FAILED" }, rows.len());
    } else {
        println!("{}", settings.describe());
        println!("{}", row::table(&rows));
    }
    // A goal that is missed is news, not a failure: another machine may be busy, or have another disk.
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
