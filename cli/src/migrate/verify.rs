//! `craftx migrate verify`.

use craftx::migrate::{Comparison, Difference, StorageMigrator};
use craftx::{Prepare, Stamp};
use serde_json::json;

use super::{complain, object, place, say_skipped, source, watched};
use crate::args::Ends;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::Out;
use crate::progress::Progress;

pub(crate) async fn run(global: &Global, ends: &Ends) -> Result<Exit, Failure> {
    let from = source(global, ends).await?;
    let to = global.open_other(&ends.to, Prepare::Open).await?;
    let migrator = StorageMigrator::new(&from, &to);
    let total = migrator.count_sessions().await?;
    let watch = watched(Progress::new(global, "migrate verify", "sessions", Some(total)));
    let compared = migrator.watch(watch).verify().await?;
    to.close().await?;
    from.close().await?;

    say_skipped(&compared.skipped_tenants);
    let mut tally = Tally::default();
    tally.done(compared.sessions);
    complain(&compared.unverifiable, &mut tally);
    let mut out = Out::new();
    if global.json {
        out.object(object(ends, json!(compared)))?;
    } else {
        print(&mut out, &compared)?;
    }
    out.finish()?;
    // A difference is sure; what could not be compared may or may not be one.
    Ok(if compared.differences > 0 { Exit::Differences } else { tally.exit() })
}

fn print(out: &mut Out, compared: &Comparison) -> Result<(), Failure> {
    for difference in &compared.differing {
        let Difference { tenant, session, missing, missing_ids, extra, extra_ids, .. } = difference;
        let place = place(tenant, session.as_str());
        for (count, ids, how) in [(missing, missing_ids, "not in the target"), (extra, extra_ids, "only in the target")]
        {
            if *count > 0 {
                out.line(format_args!("{place}: {count} records {how}: {}", list(ids, *count)))?;
            }
        }
    }
    let Comparison { sessions, equal, missing, extra, differences, failures, .. } = compared;
    out.line(format_args!("sessions      {sessions} compared, {differences} differ, {failures} cannot be compared"))?;
    out.line(format_args!("records       {equal} in both, {missing} not in the target, {extra} only in the target"))
}

fn list(ids: &[Stamp], count: u64) -> String {
    let shown: Vec<String> = ids.iter().map(Stamp::to_string).collect();
    let more = if count > ids.len() as u64 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}
