//! Several stores as one: what the second one costs, and how fast it is brought up to date.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use craftx::failover::{Failover, FailoverConfig, Mirror, Processes};
use craftx::sqlite_backend::{Sqlite, SqliteConfig};
use craftx::{Backend, Context, DynBackend, Prepare, Stack, Storage, Surrounded, Tenant, WriteOptions};
use craftx_conformance::Plug;
use futures_executor::block_on;

use crate::appends::{FEW, append};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

fn sqlite(folder: &Path, name: &str) -> Outcome<DynBackend> {
    let config = SqliteConfig::new(folder.join(name)).search(false);
    Ok(Arc::new(Sqlite::new(config)?))
}

fn single() -> FailoverConfig {
    FailoverConfig::default().processes(Processes::Single)
}

pub(crate) fn mirrored_later(settings: &Settings) -> Outcome<Row> {
    against_one_leg(settings, "mirrored after it was acknowledged", FailoverConfig::default(), 1.25)
}

pub(crate) fn mirrored_at_once(settings: &Settings) -> Outcome<Row> {
    let config = single().mirror(Mirror::Sync);
    against_one_leg(settings, "durable in both before it is acknowledged, `processes = \"single\"`", config, 2.3)
}

pub(crate) fn mirrored_in_turn(settings: &Settings) -> Outcome<Row> {
    let config = FailoverConfig::default().mirror(Mirror::Sync);
    against_one_leg(settings, "durable in both before it is acknowledged, `processes = \"shared\"`", config, 2.3)
}

/// Appends to two stores that are one, and to one alone.
fn against_one_leg(settings: &Settings, how: &str, config: FailoverConfig, most: f64) -> Outcome<Row> {
    let folder = settings.folder()?;
    let leg = |name| sqlite(folder.path(), name);
    let two = Failover::builder("primary", leg("primary.db")?).secondary("secondary", leg("secondary.db")?);
    let failover = two.config(config).build()?;
    let open = |name: &str, base: DynBackend| {
        let storage = Storage::new(Stack::builder(name, base).build()?);
        block_on(storage.prepare(Prepare::Migrate))?;
        Ok::<_, craftx::Error>(storage)
    };
    let (two, one) = (open("hybrid", Arc::new(failover.clone()))?, open("sqlite", leg("alone.db")?)?);
    let each = FEW;
    let pairs = Pairs::measure(
        settings.scaled(500),
        |round| {
            let took = timed(|| block_on(append(&two, "a", round * each, each)))?;
            // What is mirrored after the last append must not meet the one leg.
            while failover.legs().iter().any(|leg| leg.lacks > 0) {
                std::thread::sleep(Duration::from_micros(100));
            }
            Ok(took)
        },
        |round| timed(|| block_on(append(&one, "a", round * each, each))),
    )?;
    block_on(two.close())?;
    block_on(one.close())?;
    Ok(Row::Measured {
        what: format!("two SQLite legs, one writer, one message a call, {how}"),
        craftx: format!("{} a message", time(pairs.a(each))),
        baseline: format!("craftx, one leg alone: {}", time(pairs.b(each))),
        value: Value::Times(pairs.median_a_over_b()),
        goal: Goal::AtMost(Value::Times(most)),
    })
}

pub(crate) fn heal_long(settings: &Settings) -> Outcome<Row> {
    heal(settings, 500)
}

pub(crate) fn heal_short(settings: &Settings) -> Outcome<Row> {
    heal(settings, 20)
}

/// Heals a secondary that was away while sessions of so many messages were written, in a later life of the process: all
/// that is known are the marks.
fn heal(settings: &Settings, in_session: usize) -> Outcome<Row> {
    let folder = settings.folder()?;
    let (plug, cx) = (Arc::new(Plug::default()), Context::system(Tenant::default()));
    let (primary, secondary) = (sqlite(folder.path(), "primary.db")?, sqlite(folder.path(), "secondary.db")?);
    let open = || {
        let secondary = Arc::new(Surrounded::new(Arc::clone(&plug), Arc::clone(&secondary)));
        let builder = Failover::builder("primary", Arc::clone(&primary)).secondary("secondary", secondary);
        let failover = builder.config(single().heal_interval_ms(0).settle_ms(1)).build()?;
        block_on(failover.prepare(&cx, Prepare::Migrate))?;
        Ok::<_, craftx::Error>(failover)
    };
    let alone = sqlite(folder.path(), "alone.db")?;
    block_on(alone.prepare(&cx, Prepare::Migrate))?;
    let rounds = settings.rounds(5);
    let sessions = (settings.scaled(100_000) / in_session).max(2);
    let write = |store: &dyn Backend, round: usize| {
        for session in round * sessions..(round + 1) * sessions {
            let records: Vec<_> = (session * in_session..(session + 1) * in_session).map(messages::record).collect();
            block_on(store.write(&cx, &messages::session(session), &records, &WriteOptions::replay()))?;
        }
        Ok(())
    };
    let pairs = Pairs::measure(
        rounds,
        |round| {
            let failover = open()?;
            plug.pull(true);
            write(&failover, round)?;
            drop(failover);
            plug.pull(false);
            let failover = open()?;
            // Marks that stay until a write may no longer arrive would have the next round copy this one again.
            std::thread::sleep(Duration::from_millis(2));
            let mut healed = 0;
            let took = timed(|| {
                healed = block_on(failover.heal(&cx)).records;
                Ok(())
            })?;
            if healed < (sessions * in_session) as u64 {
                return Err(format!("{healed} records were healed").into());
            }
            Ok(took)
        },
        |round| timed(|| write(&*alone, round)),
    )?;
    let all = sessions * in_session;
    let (healing, importing) = (pairs.a(1), pairs.b(1));
    Ok(Row::Measured {
        what: format!("healing a SQLite leg that lacks {all} messages in {sessions} sessions, from another one"),
        craftx: format!("{}, {:.2} x as fast as the import", time(healing), 1.0 / pairs.median_a_over_b()),
        baseline: format!("craftx, importing them into one leg, a batch a session: {}", time(importing)),
        value: Value::PerSecond(all as f64 / healing.as_secs_f64()),
        goal: Goal::AtLeast(Value::PerSecond(20_000.0)),
    })
}
