//! `craftx migrate plan`.

use craftx::migrate::{Plan, StorageMigrator, Target};
use indicatif::HumanBytes;
use serde_json::json;

use super::{check_named, complain, existing, journal, object, say_skipped, source, watched};
use crate::args::MigratePlan;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::Out;
use crate::progress::Progress;

pub(crate) async fn run(global: &Global, plan: &MigratePlan) -> Result<Exit, Failure> {
    let from = source(global, &plan.ends).await?;
    check_named(plan.journal.as_deref(), &plan.ends, &from).await?;
    let to = existing(global, &plan.ends).await?;
    let total = StorageMigrator::new(&from, &from).count_sessions().await?;
    let watch = watched(Progress::new(global, "migrate plan", "sessions", Some(total)));
    let planned = match &to {
        None => StorageMigrator::plan_new(&from, watch).await?,
        Some(to) => {
            let migrator = StorageMigrator::new(&from, to);
            let journal = journal(plan.journal.clone(), &migrator, &from, to).await?;
            migrator.journal(journal).watch(watch).plan().await?
        }
    };
    if let Some(to) = to {
        to.close().await?;
    }
    from.close().await?;

    say_skipped(&planned.skipped_tenants);
    let mut tally = Tally::default();
    tally.done(planned.sessions.saturating_sub(planned.failures));
    complain(&planned.failed, &mut tally);
    let mut out = Out::new();
    if global.json {
        out.object(object(&plan.ends, json!(planned)))?;
    } else {
        print(&mut out, &planned)?;
    }
    out.finish()?;
    Ok(tally.exit())
}

fn print(out: &mut Out, plan: &Plan) -> Result<(), Failure> {
    let Plan { tenants, sessions, messages, records, bytes, to_copy, failures, .. } = plan;
    let target = match plan.target {
        Target::New => "is not there; a run makes it",
        Target::Empty => "holds nothing",
        Target::Resumes => "holds what an earlier run copied; a run goes on",
        _ => "is not empty; a run needs `--merge` to unite both",
    };
    out.line(format_args!("sessions      {sessions} in {tenants} tenants, {failures} cannot be read"))?;
    out.line(format_args!("records       {records}, of which {messages} are messages, {}", HumanBytes(*bytes)))?;
    out.line(format_args!("target        {target}"))?;
    out.line(format_args!("would copy    {to_copy} records"))
}
