//! Real servers for tests: PostgreSQL with replicas, PgBouncer, and a proxy that does to connections what networks do.
//!
//! The servers are children of the test's process, on free ports of the loopback interface and in a folder of their own;
//! both are gone when the value is dropped. So nothing has to be running before, and tests can kill and freeze what
//! they like. It needs Linux and the programs of the servers; what a machine has not is a skip ([`postgres_is_there`]).
//!
//! What should work and does not is a panic that shows the end of the server's log: for a test that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests use it, and a server that does not start is a failed test"
)]

mod certificates;
mod command;
mod node;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod programs;
mod proxy;
mod roles;
mod watchdog;

pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, PostgresOptions};
pub use programs::{pgbouncer_is_there, postgres_is_there, postgres_program};
pub use proxy::{Fault, Proxy};

/// What everything that may not come is waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The one user, who may do everything.
const USER: &str = "craftx";
const PASSWORD: &str = "pw";
const DATABASE: &str = "craftx";

/// Whether something became true in time.
fn in_time(mut done: impl FnMut() -> bool) -> bool {
    let began = std::time::Instant::now();
    while !done() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    true
}
