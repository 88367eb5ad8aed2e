//! Migration from one SQLite file to another.

use craftx::migrate::StorageMigrator;
use craftx::{Caller, Storage};
use futures_executor::block_on;

use crate::import::{BATCH, import};
use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

const MESSAGES: usize = 200_000;

/// Every round imports into a new file, and migrates that to another one.
pub(crate) fn sqlite(settings: &Settings) -> Outcome<Row> {
    let rounds = settings.rounds(3);
    let sessions = (settings.scaled(MESSAGES) / BATCH).max(1);
    let pairs = Pairs::measure_in_order(rounds, |_| {
        let folder = settings.folder()?;
        let open = |name| -> Outcome<Storage> {
            let opened = block_on(Storage::open(&messages::url("sqlite", folder.path(), name)))?;
            Ok(opened.for_caller(Caller::System).with_timeout(None))
        };
        let (from, to) = (open("from.db")?, open("to.db")?);
        let imported = timed(|| import(&from, 0, sessions))?;
        let migrator = StorageMigrator::new(&from, &to).journal(folder.path().join("journal"));
        let migrated = timed(|| {
            let ran = block_on(migrator.run())?;
            let all = ran.applied == (sessions * BATCH) as u64 && ran.caught_up;
            if all { Ok(()) } else { Err(format!("not everything was copied: {ran:?}").into()) }
        })?;
        block_on(from.close())?;
        block_on(to.close())?;
        Ok((imported, migrated))
    })?;
    let (imported, migrated) = (pairs.a(1), pairs.b(1));
    Ok(Row::Measured {
        what: format!("migration of {} messages from one SQLite file to another", sessions * BATCH),
        craftx: time(migrated),
        baseline: format!("craftx, importing them, a batch a session: {}", time(imported)),
        value: Value::Times(pairs.a_over_b()),
        goal: Goal::AtLeast(Value::Times(0.5)),
    })
}
