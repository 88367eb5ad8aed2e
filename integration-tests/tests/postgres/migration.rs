//! Opening: many at the same time, where there is nothing, and with or without an index for searching.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use craftx_core::{Backend, Context, ErrorKind, Prepare, Record, SearchQuery};
use craftx_integration_tests::servers::postgres_is_there;
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::support::{cluster, config, cx, fresh_schema, message, open, stamp, write};

#[test]
fn twenty_stores_that_open_at_once_are_one() {
    if !postgres_is_there("stores that open at once") {
        return;
    }
    for round in 0..3 {
        let (schema, barrier) = (fresh_schema(), Barrier::new(20));
        let url = cluster().url();
        let open = |number: u64| {
            let store = Postgres::new(config(&url, &schema).connections(1).row_security(round == 2)).unwrap();
            barrier.wait();
            block_on(store.prepare(&cx(), Prepare::Migrate)).unwrap();
            block_on(write(&store, &cx(), "a", &[message(number, "hello")])).unwrap();
            let id = block_on(store.status(&cx())).unwrap().store;
            block_on(store.close(&cx())).unwrap();
            id
        };
        let ids: BTreeSet<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..20)
                .map(|number| {
                    scope.spawn({
                        let open = &open;
                        move || open(number)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1, "round {round}");
        let count = format!("SELECT count(*) FROM {schema}.messages");
        assert_eq!(cluster().sql(0, &count).unwrap(), "20");
    }
}

#[test]
fn where_there_is_no_store_none_is_made_unasked() {
    if !postgres_is_there("a database without a store") {
        return;
    }
    let schema = fresh_schema();
    for mode in [Prepare::Open, Prepare::Check] {
        let store = Postgres::new(config(&cluster().url(), &schema)).unwrap();
        let error = block_on(store.prepare(&cx(), mode)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{mode:?}: {error:?}");
    }
    let there = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'");
    assert_eq!(cluster().sql(0, &there).unwrap(), "0");
}

#[test]
fn an_index_that_is_made_later_finds_everything() {
    if !postgres_is_there("an index that is made later") {
        return;
    }
    let schema = fresh_schema();
    let with_search = |search: bool| open(config(&cluster().url(), &schema).search(search));
    let found_by = |store: &Postgres, cx: &Context, word: &str| {
        let page = block_on(store.search(cx, &SearchQuery::new(word).limit(100))).unwrap();
        page.items.len()
    };
    let found = |store: &Postgres, word: &str| found_by(store, &cx(), word);
    let (first, last) = (with_search(false), "walrus");
    for number in 0..50 {
        let text = format!("{last} number{number}");
        block_on(write(&first, &cx(), &format!("s{}", number % 7), &[message(number, &text)])).unwrap();
    }
    let refused = block_on(first.search(&cx(), &SearchQuery::new(last))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    for round in 0..2 {
        let store = with_search(true);
        assert_eq!(found(&store, last), 50 + round, "round {round}");
        assert_eq!(found(&store, "number7"), 1);
        // A handle of before does as the store is now.
        let text = format!("{last} later{round}");
        let written = block_on(write(&first, &cx(), "later", &[message(100 + round as u64, &text)])).unwrap();
        // Another handle than that which wrote it.
        assert_eq!(found_by(&store, &cx().with_token(written.token), last), 51 + round);
        block_on(store.close(&cx())).unwrap();
        let without = with_search(false);
        block_on(without.search(&cx(), &SearchQuery::new(last))).unwrap_err();
    }
}

#[test]
fn an_index_that_is_switched_while_others_write_misses_nothing() {
    if !postgres_is_there("switching the index while others write") {
        return;
    }
    let config = config(&cluster().url(), &fresh_schema());
    let store = open(config.clone());
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                let (store, ends) = (&store, &ends);
                scope.spawn(move || {
                    // One session for two, so that they also wait for one another. Every third message is deleted.
                    let (name, mut number) = (format!("s{}", writer / 2), 0);
                    while !ends.load(Ordering::Relaxed) {
                        number += 1;
                        let ms = number * 10 + writer;
                        block_on(write(store, &cx(), &name, &[message(ms, &format!("word{number} said"))])).unwrap();
                        if number % 3 == 0 {
                            let deleted = Record::Deleted { id: stamp(ms), stamp: stamp(ms + 5) };
                            block_on(write(store, &cx(), &name, &[deleted])).unwrap();
                        }
                    }
                    number
                })
            })
            .collect();
        for search in [false, true, false, true] {
            let switching = Postgres::new(config.clone().search(search)).unwrap();
            block_on(switching.prepare(&cx(), Prepare::Migrate)).unwrap();
            block_on(switching.close(&cx())).unwrap();
        }
        ends.store(true, Ordering::Relaxed);
        let written: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert!(written > 100, "{written}");
    });
    let verified = block_on(store.verify(&cx())).unwrap();
    assert!(verified.is_clean(), "{verified:?}");
    assert!(!block_on(store.search(&cx(), &SearchQuery::new("said"))).unwrap().items.is_empty());
}
