//! Writers go on while the primary's or the secondary's plug is pulled, the process ends at any point, and in the end
//! both legs have all that was acknowledged.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use craftx_conformance::Plug;
use craftx_core::{
    Backend, DynBackend, MAX_PAGE, Message, MessageQuery, Prepare, Record, Result, Role, SessionId, Stamp, Surrounded,
    WriteOptions,
};
use craftx_failover::{Failover, FailoverConfig, Processes};
use craftx_integration_tests::faults::{Dice, system};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};
use futures_executor::block_on;

const CYCLES: u64 = 12;
const WRITERS: u64 = 3;
const MESSAGES: u64 = 12;

fn open(folder: &Path) -> (Failover, [Arc<Plug>; 2]) {
    let plugs = [Arc::new(Plug::default()), Arc::new(Plug::default())];
    let sqlite = Arc::new(Sqlite::new(SqliteConfig::new(folder.join("primary.db"))).unwrap()) as DynBackend;
    let json = Arc::new(Json::new(&JsonConfig::new(folder.join("secondary"))).unwrap()) as DynBackend;
    let config = FailoverConfig::default()
        .processes(Processes::Single)
        .heal_interval_ms(20)
        .linger_ms(20)
        .settle_ms(200)
        .breaker(FailoverConfig::default().breaker.open_ms(30));
    let failover = Failover::builder("primary", Arc::new(Surrounded::new(Arc::clone(&plugs[0]), sqlite)))
        .secondary("secondary", Arc::new(Surrounded::new(Arc::clone(&plugs[1]), json)))
        .config(config)
        .build()
        .unwrap();
    (failover, plugs)
}

fn session(n: u64) -> SessionId {
    SessionId::new(format!("session {n}")).unwrap()
}

fn write(failover: &Failover, writer: u64, n: u64) -> Result<Stamp> {
    let id = Stamp::mint(1_700_000_000_000 + n, None, u128::from(writer))?;
    let records = [Record::Message(Message::new(id, Role::User, format!("{writer} {n}")))];
    block_on(failover.write(&system("default"), &session(n % 4), &records, &WriteOptions::fresh())).map(|_| id)
}

#[test]
fn both_legs_have_everything_after_outages_and_sudden_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice::new(5);
    let mut told = BTreeSet::new();
    for cycle in 0..CYCLES {
        let (failover, plugs) = open(folder.path());
        block_on(failover.prepare(&system("default"), Prepare::Migrate)).unwrap();
        let pulled = &plugs[dice.below(2) as usize];
        let acknowledged: Vec<Stamp> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let failover = &failover;
                    let numbers = cycle * MESSAGES..(cycle + 1) * MESSAGES;
                    scope.spawn(move || numbers.filter_map(|n| write(failover, writer, n).ok()).collect::<Vec<_>>())
                })
                .collect();
            std::thread::sleep(Duration::from_millis(dice.below(20)));
            pulled.pull(true);
            std::thread::sleep(Duration::from_millis(dice.below(40)));
            pulled.pull(dice.once_in(2));
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        assert!(!acknowledged.is_empty(), "cycle {cycle}: nobody could write");
        told.extend(acknowledged);
        // Sometimes nobody says goodbye.
        if dice.once_in(3) {
            block_on(failover.close(&system("default"))).unwrap();
        }
    }
    let (failover, _) = open(folder.path());
    block_on(failover.prepare(&system("default"), Prepare::Migrate)).unwrap();
    let mut rounds = 0;
    while !block_on(failover.heal(&system("default"))).done {
        rounds += 1;
        assert!(rounds < 500, "it is never healed: {:?}", failover.legs());
        std::thread::sleep(Duration::from_millis(20));
    }
    let compared = block_on(failover.compare(&system("default")));
    assert!(compared.differing.is_empty() && compared.unread.is_empty() && compared.sessions == 4, "{compared:?}");
    let mut found = Vec::new();
    for n in 0..4 {
        let query = MessageQuery::oldest_first().limit(MAX_PAGE);
        let page = block_on(failover.load(&system("default"), &session(n), &query)).unwrap();
        found.extend(page.items.into_iter().map(|message| message.id));
    }
    let all = found.len();
    let found: BTreeSet<Stamp> = found.into_iter().collect();
    assert_eq!(found.len(), all, "something is there twice");
    assert!(told.is_subset(&found), "{} messages are lost", told.difference(&found).count());
}
