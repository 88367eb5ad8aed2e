//! The stores of which a hybrid consists.

use craftx::Storage;
use craftx::failover::{Failover, LegStatus};
use craftx::retry_layer::BreakerState;
use serde_json::{Value, json};

use crate::output;

/// How they are; none if the store is no hybrid.
pub(crate) fn of(storage: &Storage) -> Vec<LegStatus> {
    storage.stack().base::<Failover>().map(Failover::legs).unwrap_or_default()
}

/// As `--json` prints them.
pub(crate) fn object(leg: &LegStatus) -> Value {
    json!({
        "name": leg.name,
        "breaker": leg.breaker,
        "answers": leg.answers,
        "lacks": leg.lacks,
        "holds": leg.holds,
        "oldest_mark": leg.oldest_mark.map(output::time),
        "failure": leg.failure,
    })
}

/// In words.
pub(crate) fn line(leg: &LegStatus) -> String {
    // Of a breaker, and of nothing else that people know, open means that nothing gets through.
    let asked = match leg.breaker {
        BreakerState::Closed => "is asked",
        _ => "is not asked until a try succeeds",
    };
    let mut line = format!("{}: {asked}", leg.name);
    if !leg.answers {
        line.push_str(", answers nothing until everything has been copied to it");
    }
    if leg.lacks > 0 {
        line.push_str(&format!(", may lack something of {} sessions", leg.lacks));
    }
    if leg.holds > 0 {
        line.push_str(&format!(", has something of {} sessions that others lack", leg.holds));
    }
    if let Some(failure) = &leg.failure {
        line.push_str(&format!(", did not answer: {failure}"));
    }
    line
}
