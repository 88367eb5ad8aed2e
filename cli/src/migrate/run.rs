//! `craftx migrate run`.

use craftx::Prepare;
use craftx::migrate::{Migrated, StorageMigrator};
use serde_json::json;

use super::{check_named, complain, existing, journal, object, say_skipped, source, watched};
use crate::args::MigrateRun;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

pub(crate) async fn run(global: &Global, run: MigrateRun) -> Result<Exit, Failure> {
    let from = source(global, &run.ends).await?;
    check_named(run.journal.as_deref(), &run.ends, &from).await?;
    // A target that is the source itself must not be upgraded before that is found out.
    match existing(global, &run.ends).await {
        Ok(Some(to)) => drop(StorageMigrator::new(&from, &to).journal_name().await?),
        Ok(None) => {}
        Err(error) if error.kind() == craftx::ErrorKind::SchemaTooOld => {}
        Err(error) => return Err(error.into()),
    }
    let to = global.open_other(&run.ends.to, Prepare::Migrate).await?;
    let migrator = StorageMigrator::new(&from, &to).merge(run.merge);
    let journal = journal(run.journal, &migrator, &from, &to).await?;
    let total = migrator.count_sessions().await?;
    let progress = Progress::new(global, "migrate run", "sessions", Some(total));
    let ran = migrator.journal(&journal).watch(watched(progress)).run().await;
    let migrated = ran.map_err(|error| match error.get("field") {
        Some("merge") => error.with("say", "`--merge` if both shall be united"),
        _ => error,
    })?;
    to.close().await?;
    from.close().await?;

    say_skipped(&migrated.skipped_tenants);
    let mut tally = Tally::default();
    tally.done(migrated.sessions.saturating_sub(migrated.failures));
    complain(&migrated.failed, &mut tally);
    let mut out = Out::new();
    if global.json {
        let mut object = object(&run.ends, json!(migrated));
        if let Some(object) = object.as_object_mut() {
            object.insert("journal".to_owned(), journal.display().to_string().into());
        }
        out.object(object)?;
    } else {
        print(&mut out, &migrated)?;
        if migrated.resumed {
            output::say("this went on where the last run was");
        }
        output::say(format_args!(
            "how far it is stands in `{}`: keep it as long as you may run this again",
            journal.display()
        ));
    }
    out.finish()?;
    if !migrated.caught_up && tally.failed() == 0 {
        output::say("others write to the source as fast as it is read: run it again");
        return Ok(Exit::Retryable);
    }
    Ok(tally.exit())
}

fn print(out: &mut Out, migrated: &Migrated) -> Result<(), Failure> {
    let Migrated { sessions, tenants, records, applied, failures, .. } = migrated;
    out.line(format_args!("sessions      {sessions} in {tenants} tenants, {failures} failed"))?;
    out.line(format_args!("records       {applied} copied, {} known", records.saturating_sub(*applied)))
}
