//! What the server does for each call: it reads from indexes, also by the plans that it keeps for statements it knows, and
//! an append writes to no index of `sessions`.

use craftx_core::{Backend, MessageQuery, Record, SearchQuery, SessionOrder, SessionQuery, WriteOptions};
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::support::{config, cx, message, session, stamp, write};

/// A server that writes every plan with its statement to its log, without texts of messages in it.
fn server() -> Option<Servers> {
    if !postgres_is_there("plans of statements") {
        return None;
    }
    let extra = [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
        // What one call sees must not depend on who happens to vacuum meanwhile.
        ("autovacuum", "off"),
    ];
    let extra = extra.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let servers = Servers::start(&PostgresOptions { extra, ..PostgresOptions::default() });
    match servers.sql(0, "LOAD 'auto_explain'") {
        Ok(_) => Some(servers),
        Err(error) => {
            assert!(std::env::var("CRAFTX_TEST_REQUIRE").as_deref() != Ok("all"), "{error}");
            eprintln!("skipped: the server has no `auto_explain`, which comes with its contributed modules");
            None
        }
    }
}

/// The plans that the server has made since the log had this length: statement and plan, one after the other.
fn plans(servers: &Servers, from: usize) -> Vec<String> {
    let log = std::fs::read(servers.folder().join("n0.log")).unwrap();
    let log = String::from_utf8_lossy(&log[from..]).into_owned();
    log.split(" LOG:  ").filter(|entry| entry.contains("plan:")).map(str::to_owned).collect()
}

fn log_length(servers: &Servers) -> usize {
    std::fs::metadata(servers.folder().join("n0.log")).unwrap().len() as usize
}

/// Sessions with ten messages each, and one with many.
fn fill(store: &Postgres, sessions: u64, long: u64) {
    let records = |from: u64, count: u64| -> Vec<Record> {
        (from..from + count).map(|n| message(n, &format!("word{} common term{}", n % 997, n % 13))).collect()
    };
    for number in 0..sessions {
        block_on(write(store, &cx(), &format!("s{number:05}"), &records(1, 10))).unwrap();
    }
    for from in (0..long).step_by(1_000) {
        block_on(write(store, &cx(), "long", &records(from + 1, 1_000))).unwrap();
    }
}

/// Makes a call, which is the one with this number.
type Call<'a> = Box<dyn Fn(usize) + 'a>;

const LARGE: [&str; 2] = ["on sessions", "on messages"];

/// The plans of what is called, again and again, until the server keeps one for all values.
fn plans_of(servers: &Servers, what: &str, call: impl Fn(usize)) -> Vec<String> {
    let from = log_length(servers);
    (0..12).for_each(&call);
    let found = plans(servers, from);
    assert!(!found.is_empty(), "no plan of {what} was logged");
    found
}

/// The numbers of rows that a plan removed again after it had read them.
fn removed(plan: &str) -> u64 {
    let of = |line: &str| line.split_once("Rows Removed by Filter: ")?.1.trim().parse::<u64>().ok();
    plan.lines().filter_map(of).max().unwrap_or(0)
}

#[test]
fn calls_are_answered_from_indexes() {
    let Some(servers) = server() else { return };
    // One connection, so that it soon knows every statement.
    let store = Postgres::new(config(&servers.url(), "craftx").connections(1)).unwrap();
    block_on(store.prepare(&cx(), craftx_core::Prepare::Migrate)).unwrap();
    let (sessions, long) = (3_000, 20_000);
    fill(&store, sessions, long);
    servers.sql(0, "VACUUM ANALYZE").unwrap();
    let cx = cx();
    let ids = |n: usize| (0..5).map(move |k| stamp(1 + (n as u64 * 17 + k * 3_001) % long));
    let name = |n: usize| session(&format!("s{:05}", n * 131));
    let cursor = |order: SessionOrder| {
        let query = SessionQuery::new().order(order).limit(20);
        block_on(store.sessions(&cx, &query)).unwrap().next
    };
    let long_session = session("long");
    let calls: [(&str, Call<'_>); 11] = [
        (
            "the last messages",
            Box::new(|_| {
                block_on(store.load(&cx, &long_session, &MessageQuery::newest_first().limit(50))).map(drop).unwrap();
            }),
        ),
        (
            "messages after one",
            Box::new(|n| {
                let query = MessageQuery::oldest_first().after(stamp(1_000 * n as u64 + 1)).limit(50);
                block_on(store.load(&cx, &long_session, &query)).map(drop).unwrap();
            }),
        ),
        (
            "messages by id",
            Box::new(|n| {
                block_on(store.load(&cx, &long_session, &MessageQuery::oldest_first().ids(ids(n)))).map(drop).unwrap();
            }),
        ),
        (
            "records by arrival",
            Box::new(|_| {
                let first = block_on(store.records(&cx, &long_session, None, Some(100))).unwrap();
                block_on(store.records(&cx, &long_session, Some(&first.next), Some(100))).map(drop).unwrap();
            }),
        ),
        (
            "a session",
            Box::new(|n| {
                block_on(store.session(&cx, &name(n))).map(drop).unwrap();
            }),
        ),
        (
            "sessions by id",
            Box::new(|_| {
                let query = SessionQuery::new().limit(20).cursor(cursor(SessionOrder::ById));
                block_on(store.sessions(&cx, &query)).map(drop).unwrap();
            }),
        ),
        (
            "sessions by prefix",
            Box::new(|n| {
                let query = SessionQuery::new().prefix(format!("s000{n:02}")).limit(20);
                block_on(store.sessions(&cx, &query)).map(drop).unwrap();
            }),
        ),
        (
            "an append",
            Box::new(|n| {
                block_on(write(&store, &cx, "long", &[message(100_000 + n as u64, "new")])).map(drop).unwrap();
            }),
        ),
        (
            "a replay of what is known",
            Box::new(|n| {
                let records: Vec<Record> = (1..5)
                    .map(|k| {
                        message(
                            n as u64 * 5 + k,
                            &format!("word{} common term{}", (n as u64 * 5 + k) % 997, (n as u64 * 5 + k) % 13),
                        )
                    })
                    .collect();
                block_on(store.write(&cx, &long_session, &records, &WriteOptions::replay())).map(drop).unwrap();
            }),
        ),
        (
            "a deletion",
            Box::new(|n| {
                let deleted = Record::Deleted { id: stamp(200 + n as u64), stamp: stamp(300_000 + n as u64) };
                block_on(write(&store, &cx, "long", &[deleted])).map(drop).unwrap();
            }),
        ),
        (
            "rare words",
            Box::new(|n| {
                let query = SearchQuery::new(format!("word{}", n * 31)).limit(10);
                block_on(store.search(&cx, &query)).map(drop).unwrap();
            }),
        ),
    ];
    for (what, call) in &calls {
        let found = plans_of(&servers, what, call);
        for plan in &found {
            // The statistics of searching add up a row a session.
            let adds_up = plan.contains("sum(s.indexed)");
            let whole = LARGE.iter().any(|table| plan.contains(&format!("Seq Scan {table}")));
            assert!(!whole || adds_up, "{what} reads a whole table:\n{plan}");
            assert!(removed(plan) < 1_000 || adds_up, "{what} reads far more than it needs:\n{plan}");
            if *what == "rare words" && plan.contains("array_positions") {
                assert!(plan.contains("messages_by_term"), "{what}:\n{plan}");
            }
        }
    }
    block_on(store.close(&cx)).unwrap();
}

#[test]
fn lists_by_recency_are_read_from_the_end_of_an_index() {
    let Some(servers) = server() else { return };
    let store = Postgres::new(config(&servers.url(), "craftx").connections(1).search(false)).unwrap();
    block_on(store.prepare(&cx(), craftx_core::Prepare::Migrate)).unwrap();
    fill(&store, 10, 1_000);
    // Many sessions like the first one, of several eras.
    let insert = "INSERT INTO craftx.sessions
            (tid, id, version, reach, head, seq, recency, updated, messages, live, contested, indexed, terms)
         SELECT tid, 'many' || n, version, reach, head, seq, 1000 + n * 11, updated, messages, true, false, 0, 0
           FROM craftx.sessions, generate_series(1, 20000) n WHERE id = 's00000'";
    servers.sql(0, insert).unwrap();
    servers.sql(0, "VACUUM ANALYZE").unwrap();
    let query = SessionQuery::new().order(SessionOrder::RecentFirst).limit(50);
    for pages in [1, 3] {
        let found = plans_of(&servers, "sessions by recency", |_| {
            let mut query = query.clone();
            for _ in 0..pages {
                let page = block_on(store.sessions(&cx(), &query)).unwrap();
                assert_eq!(page.items.len(), 50);
                query = query.cursor(page.next);
            }
        });
        for plan in &found {
            assert!(plan.contains("sessions_by_recency"), "{plan}");
            assert!(plan.contains("Incremental Sort") && !plan.contains("Seq Scan on sessions"), "{plan}");
            assert!(removed(plan) < 2_000, "{plan}");
        }
    }
    block_on(store.close(&cx())).unwrap();
}

#[test]
fn an_append_writes_to_no_index_of_sessions() {
    let Some(servers) = server() else { return };
    let store = Postgres::new(config(&servers.url(), "craftx").connections(2)).unwrap();
    block_on(store.prepare(&cx(), craftx_core::Prepare::Migrate)).unwrap();
    let appends = 2_000;
    for n in 0..appends {
        block_on(write(&store, &cx(), &format!("s{}", n % 20), &[message(n + 1, "text")])).unwrap();
    }
    block_on(store.close(&cx())).unwrap();
    let updates = || -> (u64, u64) {
        let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'";
        let counts = servers.sql(0, sql).unwrap();
        let (all, hot) = counts.split_once('|').unwrap();
        (all.parse().unwrap(), hot.parse().unwrap())
    };
    // The server's processes tell what they did when they end.
    let began = std::time::Instant::now();
    while updates().0 < appends - 40 && began.elapsed() < std::time::Duration::from_secs(30) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (all, hot) = updates();
    assert!(all >= appends - 40, "{all} updates of {appends}");
    // Now and then a page is full, or a session comes into another era.
    assert!(hot * 100 >= all * 95, "{hot} of {all} updates wrote to no index");
}
