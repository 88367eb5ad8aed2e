//! `craftx heal`.

use craftx::access::Guard;
use craftx::failover::{Failover, Healed};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::legs;
use crate::output::{self, Out};
use crate::progress::Progress;

pub(crate) async fn run(global: &Global) -> Result<Exit, Failure> {
    let storage = global.open().await?;
    let cx = global.for_administration(&storage).context();
    if storage.stack().find::<Guard>().is_some() {
        // Healing goes below the layer that would ask.
        cx.require_system().map_err(|error| error.during("heal"))?;
    }
    let progress = Progress::new(global, "heal", "stores", None);
    let healed = match storage.stack().base::<Failover>() {
        Some(hybrid) => hybrid.heal(&cx).await,
        // A store that is one has nothing to make equal.
        None => {
            let mut nothing = Healed::default();
            nothing.done = true;
            nothing
        }
    };
    drop(progress);
    let legs = legs::of(&storage);
    storage.close().await?;
    let mut out = Out::new();
    if global.json {
        let legs: Vec<_> = legs.iter().map(legs::object).collect();
        let Healed { sessions, records, failed, marks, done, .. } = healed;
        out.object(json!({
            "sessions": sessions, "records": records, "failed": failed, "marks": marks, "done": done, "legs": legs,
        }))?;
    } else {
        for leg in &legs {
            out.line(output::one_line(&legs::line(leg)))?;
        }
        let Healed { sessions, records, failed, .. } = healed;
        out.line(format_args!("{sessions} copies of sessions with {records} records made, {failed} failed"))?;
        out.line(match healed.done {
            true => "all stores hold the same",
            false => "not done yet: a store is away, or a write that timed out may still arrive; heal again later",
        })?;
    }
    out.finish()?;
    Ok(if healed.done { Exit::Ok } else { Exit::Retryable })
}
