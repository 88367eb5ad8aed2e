//! `craftx completions`.

use clap::CommandFactory;
use serde_json::json;

use crate::args::{Args, Completions};
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::Out;

pub(crate) fn run(global: &Global, completions: Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Args::command(), "craftx", &mut script);
    let mut out = Out::new();
    if global.json {
        let script = String::from_utf8_lossy(&script);
        out.object(json!({"shell": completions.shell.to_string(), "script": script}))?;
    } else {
        out.bytes(&script)?;
    }
    out.finish()?;
    Ok(Exit::Ok)
}
