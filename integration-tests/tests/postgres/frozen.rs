//! Processes of the server that stop in the middle of what they do, while their connections stay open.

use std::time::Duration;

use craftx_core::ErrorKind;
use craftx_integration_tests::servers::{Postgres as Servers, PostgresOptions, postgres_is_there};
use futures_executor::block_on;

use crate::network::{calls, is_well};
use crate::support::{config, cx, fresh_schema, message, open, write};

/// One that no other test sees frozen.
fn server() -> Option<Servers> {
    postgres_is_there("processes that stop").then(|| Servers::start(&PostgresOptions::default()))
}

#[test]
fn a_server_that_stops_costs_calls_their_deadline_and_goes_on() {
    let Some(servers) = server() else { return };
    let store = open(config(&servers.url(), &fresh_schema()));
    block_on(write(&store, &cx(), "a", &[message(0, "m0")])).unwrap();
    for round in 0..2 {
        servers.freeze(0, true);
        let failed = calls(&store, 1 + round * 100, 3);
        assert!(!failed.is_empty(), "nothing was frozen");
        for error in &failed {
            assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error:?}");
        }
        servers.freeze(0, false);
        is_well(&store);
    }
}

#[test]
fn a_backend_that_stops_costs_one_call() {
    let Some(servers) = server() else { return };
    let store = open(config(&servers.url(), &fresh_schema()));
    block_on(write(&store, &cx(), "a", &[message(0, "m0")])).unwrap();
    assert!(calls(&store, 1, 2).is_empty());
    let backends = servers.backends(0);
    assert!(backends.len() > 2, "{backends:?}");
    // One after the other, so that each time the others can serve.
    for (round, pid) in (1..).zip(&backends) {
        Servers::freeze_process(*pid, true);
        let failed = calls(&store, round * 1_000, 10);
        assert!(failed.len() <= 1, "{failed:?}");
        assert!(failed.iter().all(|error| error.kind() == ErrorKind::Timeout), "{failed:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    backends.iter().for_each(|pid| Servers::freeze_process(*pid, false));
    is_well(&store);
}
