//! `craftx config`.

use serde_json::{Value, json};

use crate::args::{ConfigShow, Configuration};
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};

pub(crate) fn run(global: &Global, configuration: Configuration) -> Result<Exit, Failure> {
    let mut out = Out::new();
    match configuration {
        Configuration::Show(show) => print(global, &show, &mut out)?,
        Configuration::Check => check(global, &mut out)?,
    }
    out.finish()?;
    Ok(Exit::Ok)
}

fn print(global: &Global, show: &ConfigShow, out: &mut Out) -> Result<(), Failure> {
    for setting in global.configuration()?.origins()? {
        let origin = setting.origin.to_string();
        if global.json {
            // What is shown is JSON already; anything else is shown as it is.
            let value = serde_json::from_str(&setting.value).unwrap_or(Value::String(setting.value));
            out.object(json!({"key": setting.key, "value": value, "origin": origin}))?;
            continue;
        }
        let origin = if show.origin { format!("  # {origin}") } else { String::new() };
        out.line(output::one_line(&format!("{} = {}{origin}", setting.key, setting.value)))?;
    }
    Ok(())
}

fn check(global: &Global, out: &mut Out) -> Result<(), Failure> {
    let config = global.configuration()?;
    let stack = config.stack()?.describe();
    let file = config.path()?;
    if global.json {
        return out.object(json!({"file": file, "stack": stack.lines().collect::<Vec<_>>()}));
    }
    match file {
        Some(file) => out.line(format_args!("{} is right; it makes", file.display()))?,
        None => out.line("there is no file; the environment and the profile make")?,
    }
    stack.lines().try_for_each(|line| out.line(format_args!("  {}", output::one_line(line))))
}
