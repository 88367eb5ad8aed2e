//! The client of the database writes a log. What was said, and passwords, are not in it.

use std::sync::Mutex;

use craftx_core::{Backend, SearchQuery};
use craftx_integration_tests::servers::postgres_is_there;
use futures_executor::block_on;
use log::{LevelFilter, Log, Metadata, Record};

use crate::support::{cluster, config, cx, fresh_schema, message, open, texts, write};

/// Keeps what the client says at any level, of all tests that run meanwhile.
struct Keeper(Mutex<String>);

static KEEPER: Keeper = Keeper(Mutex::new(String::new()));

impl Log for Keeper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("tokio_postgres") {
            self.0.lock().unwrap().push_str(&format!("{} {}\n", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

#[test]
fn the_log_of_the_client_holds_nothing_that_was_said() {
    if !postgres_is_there("the log of the client of PostgreSQL") {
        return;
    }
    log::set_logger(&KEEPER).unwrap();
    log::set_max_level(LevelFilter::Trace);
    for pooler in [false, true] {
        let store = open(config(&cluster().url(), &fresh_schema()).pooler(pooler));
        block_on(write(&store, &cx(), "a", &[message(1, "zcanary said")])).unwrap();
        assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap(), ["zcanary said"]);
        assert_eq!(block_on(store.search(&cx(), &SearchQuery::new("zcanary"))).unwrap().items.len(), 1);
        block_on(store.close(&cx())).unwrap();
    }
    log::set_max_level(LevelFilter::Off);
    let kept = std::mem::take(&mut *KEEPER.0.lock().unwrap());
    // It does tell what was executed, but not with what.
    assert!(kept.contains("executing statement") && kept.contains('…'), "{kept}");
    assert!(!kept.contains("canary"), "{kept}");
}
