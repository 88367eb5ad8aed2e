//! Others who hold what a call needs, and administrators who end what waits: what can be tried again is, within the call.

use std::thread::{self, Scope, ScopedJoinHandle};

use craftx_core::{Error, ErrorKind, Outcome, Record, Retry, Written};
use craftx_integration_tests::servers::postgres_is_there;
use craftx_postgres::Postgres;
use futures_executor::block_on;

use crate::errors::clean;
use crate::support::{
    as_another_user, cluster, config, cx, eventually, fresh_schema, message, open, stamp, texts, within, write,
};

const TEXT: &str = "canary-text-1174";

struct Trial {
    schema: String,
    store: Postgres,
}

impl Trial {
    /// A store in which session `a` has a message.
    fn new() -> Self {
        let schema = fresh_schema();
        let store = open(config(&cluster().url_of(0), &schema));
        block_on(write(&store, &cx(), "a", &[message(1, "first")])).unwrap();
        Self { schema, store }
    }

    fn append(&self, number: u64, ms: u64) -> Result<Written, Error> {
        block_on(write(&self.store, &within(ms), "a", &[message(number, TEXT)]))
    }

    fn count(&self) -> usize {
        block_on(texts(&self.store, &cx(), "a")).unwrap().len()
    }

    /// Somebody locks the row of the session, until [`release`](Self::release).
    fn hold<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> ScopedJoinHandle<'scope, ()> {
        let holds = self.of_holder("count(*)");
        let hold = scope.spawn(|| {
            let lock = format!("BEGIN; SELECT 1 FROM {}.sessions FOR UPDATE; SELECT pg_sleep(25)", self.schema);
            drop(cluster().sql(0, &lock));
        });
        eventually("the row is locked", || cluster().sql(0, &holds).unwrap() == "1");
        hold
    }

    fn of_holder(&self, what: &str) -> String {
        format!(
            "SELECT {what} FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%{}.%' AND pid <> pg_backend_pid()",
            self.schema
        )
    }

    fn release(&self) {
        cluster().sql(0, &self.of_holder("pg_terminate_backend(pid)")).unwrap();
    }

    /// Does something to whoever waits for a lock on this store: how many do.
    fn of_waiting(&self, what: &str) -> String {
        let waiting = format!(
            "SELECT count({what}) FROM pg_stat_activity WHERE application_name = 'craftx' AND wait_event_type = 'Lock'
             AND query LIKE '%{}.%'",
            self.schema
        );
        cluster().sql(0, &waiting).unwrap()
    }

    fn until_it_waits(&self) {
        eventually("the write waits", || self.of_waiting("*") == "1");
    }
}

#[test]
fn a_session_that_the_administrator_ends_is_begun_again() {
    if !postgres_is_there("sessions that are ended") {
        return;
    }
    let trial = Trial::new();
    thread::scope(|scope| {
        trial.hold(scope);
        let write = scope.spawn(|| trial.append(2, 20_000));
        for _ in 0..3 {
            trial.until_it_waits();
            assert_eq!(trial.of_waiting("pg_terminate_backend(pid, 5000)"), "1");
        }
        trial.release();
        write.join().unwrap().unwrap();
    });
    assert_eq!(trial.count(), 2);
}

#[test]
fn a_statement_that_the_administrator_cancels_is_told_as_such() {
    if !postgres_is_there("statements that are cancelled") {
        return;
    }
    let trial = Trial::new();
    thread::scope(|scope| {
        trial.hold(scope);
        let write = scope.spawn(|| trial.append(2, 20_000).unwrap_err());
        trial.until_it_waits();
        assert_eq!(trial.of_waiting("pg_cancel_backend(pid)"), "1");
        let error = write.join().unwrap();
        assert_eq!(
            (error.kind(), error.outcome(), error.retry()),
            (ErrorKind::Timeout, Outcome::NotApplied, Retry::Later),
            "{error:?}"
        );
        clean(&error);
        trial.release();
    });
    assert_eq!(trial.count(), 1, "nothing was applied");
    trial.append(2, 20_000).unwrap();
    assert_eq!(trial.count(), 2);
}

#[test]
fn a_lock_is_waited_for_until_the_deadline() {
    if !postgres_is_there("a row that somebody locks") {
        return;
    }
    let trial = Trial::new();
    thread::scope(|scope| {
        trial.hold(scope);
        let error = trial.append(2, 500).unwrap_err();
        // The server goes on waiting, and may write it later.
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown), "{error:?}");
        clean(&error);
        trial.release();
    });
    trial.append(2, 20_000).unwrap();
    trial.append(3, 20_000).unwrap();
    assert_eq!(trial.count(), 3);
}

/// Somebody inserts a row that the write is going to insert, and then wants the row that the write has locked.
fn deadlock(trial: &Trial, insert: &str, records: &[Record]) {
    let count = || cluster().sql(0, "SELECT deadlocks FROM pg_stat_database WHERE datname = 'craftx'").unwrap();
    let before = count();
    thread::scope(|scope| {
        let other = format!(
            "BEGIN; {insert}; SELECT pg_sleep(0.6); UPDATE {0}.sessions SET updated = updated WHERE id = 'a';
             SELECT pg_sleep(0.1); ROLLBACK",
            trial.schema
        );
        let other = scope.spawn(move || cluster().sql(0, &other));
        eventually("the row is there", || cluster().sql(0, &trial.of_holder("count(*)")).unwrap() == "1");
        block_on(write(&trial.store, &within(20_000), "a", records)).unwrap();
        other.join().unwrap().unwrap();
    });
    eventually("there was a deadlock", || count() != before);
}

#[test]
fn the_victim_of_a_deadlock_tries_again() {
    if !postgres_is_there("deadlocks") {
        return;
    }
    let trial = Trial::new();
    let ids = format!("SELECT tid, sid, '{}'::uuid", stamp(2).as_uuid());
    let message_there = format!(
        "INSERT INTO {0}.messages (tid, sid, stamp, variant, seq, role) {ids}, 0, 1000, 'user' FROM {0}.sessions",
        trial.schema
    );
    deadlock(&trial, &message_there, &[message(2, TEXT)]);
    assert_eq!(trial.count(), 2);
    let deletion_there = format!(
        "INSERT INTO {0}.deletions (tid, sid, id, stamp, seq) {ids}, '{1}', 1000 FROM {0}.sessions",
        trial.schema,
        stamp(3).as_uuid()
    );
    deadlock(&trial, &deletion_there, &[Record::Deleted { id: stamp(2), stamp: stamp(3) }]);
    assert_eq!(trial.count(), 1);
}

#[test]
fn transactions_that_cannot_be_serialized_are_tried_again() {
    if !postgres_is_there("serialization failures") {
        return;
    }
    let url = as_another_user(&cluster().url_of(0)).replace("app:app@", "strict:strict@");
    let make = "CREATE ROLE strict LOGIN PASSWORD 'strict'; GRANT CREATE ON DATABASE craftx TO strict;
        ALTER ROLE strict SET default_transaction_isolation = 'serializable'";
    cluster().sql(0, make).unwrap();
    let store = open(config(&url, &fresh_schema()).connections(8));
    let undone = || -> u64 {
        let sql = "SELECT xact_rollback FROM pg_stat_database WHERE datname = 'craftx'";
        cluster().sql(0, sql).unwrap().parse().unwrap()
    };
    let before = undone();
    thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..20 {
                    let record = [message(number * 8 + thread, TEXT)];
                    block_on(write(store, &within(60_000), "a", &record)).unwrap();
                }
            });
        }
    });
    assert_eq!(block_on(texts(&store, &cx(), "a")).unwrap().len(), 160);
    // Counters of a session are told when it ends, at the latest.
    block_on(craftx_core::Backend::close(&store, &cx())).unwrap();
    eventually("transactions were undone", || undone() > before + 10);
}
