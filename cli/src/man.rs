//! `craftx man`.

use std::path::Path;

use clap::{Command, CommandFactory};
use craftx::{Error, ErrorKind};
use serde_json::json;

use crate::args::{Args, Man};
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};

pub(crate) fn run(global: &Global, man: Man) -> Result<Exit, Failure> {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let mut out = Out::new();
    match man.dir {
        Some(dir) => {
            let failed = |error| Failure::file(dir.display().to_string(), error);
            std::fs::create_dir_all(&dir).map_err(failed)?;
            let mut pages = Vec::new();
            write(command, &dir, &mut pages)?;
            for page in &pages {
                match global.json {
                    true => out.object(json!({"page": page, "file": dir.join(page)}))?,
                    false => out.line(dir.join(page).display())?,
                }
            }
        }
        None => {
            let command = find(&command, &man.command)?;
            let (name, text) = (name(command), page(command.clone())?);
            match global.json {
                true => out.object(json!({"page": name, "text": String::from_utf8_lossy(&text)}))?,
                false => out.bytes(&text)?,
            }
        }
    }
    out.finish()?;
    Ok(Exit::Ok)
}

fn find<'c>(command: &'c Command, words: &[String]) -> Result<&'c Command, Failure> {
    words.iter().try_fold(command, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "there is no such command").with("command", output::quoted(word)).into()
        })
    })
}

fn name(command: &Command) -> String {
    format!("{}.1", command.get_display_name().unwrap_or(command.get_name()))
}

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(Failure::stdout)?;
    Ok(text)
}

/// Writes the page of a command and those of the commands below it.
fn write(command: Command, dir: &Path, pages: &mut Vec<String>) -> Result<(), Failure> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write(below.clone(), dir, pages)?;
    }
    let name = name(&command);
    let path = dir.join(&name);
    let text = page(command)?;
    std::fs::write(&path, text).map_err(|error| Failure::file(path.display().to_string(), error))?;
    pages.push(name);
    Ok(())
}
