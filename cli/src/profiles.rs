//! `craftx profiles`.

use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};

pub(crate) fn run(global: &Global) -> Result<Exit, Failure> {
    let mut out = Out::new();
    for profile in global.configuration()?.profiles()? {
        let origin = profile.origin.to_string();
        if global.json {
            out.object(json!({"name": profile.name, "description": profile.description, "origin": origin}))?;
        } else {
            out.line(output::one_line(&format!("{:<20} {}", profile.name, profile.description)))?;
        }
    }
    out.finish()?;
    Ok(Exit::Ok)
}
