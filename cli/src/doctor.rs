//! `craftx doctor`.

use anstyle::{AnsiColor, Style};
use craftx::{Error, ErrorKind, Problem, Verified};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

pub(crate) async fn run(global: &Global) -> Result<Exit, Failure> {
    let progress = Progress::new(global, "doctor", "stores", None);
    let (name, verified) = match examine(global).await {
        Ok(examined) => examined,
        // A store that is too damaged to be opened is what this command is for.
        Err(error) if error.kind() == ErrorKind::Corrupted => {
            let mut verified = Verified::default();
            verified.problem(unopenable(&error));
            verified.unverifiable("anything else, because the store cannot be opened");
            (None, verified)
        }
        Err(error) => return Err(error.into()),
    };
    drop(progress);
    let mut out = Out::new();
    if global.json {
        out.object(json!({
            "name": name,
            "healthy": verified.is_clean(),
            "checked": verified.checked,
            "unverifiable": verified.unverifiable,
            "notes": verified.notes,
            "problems": verified.problems,
        }))?;
    } else {
        print(&mut out, name.as_deref(), &verified)?;
    }
    out.finish()?;
    Ok(if verified.is_clean() { Exit::Ok } else { Exit::Differences })
}

async fn examine(global: &Global) -> Result<(Option<String>, Verified), Error> {
    // A hybrid opens without the stores of it that are damaged; what is asked for them is whether they could be.
    let damaged = global.check().await.err().filter(|error| error.kind() == ErrorKind::Corrupted);
    let storage = global.open_existing().await?;
    let all = global.for_administration(&storage);
    // What damage hinders must not hinder the search for it.
    let name = all.status().await.ok().map(|status| status.name.to_string());
    let mut verified = all.verify().await?;
    if let Some(error) = damaged {
        verified.problem(unopenable(&error));
    }
    storage.close().await?;
    Ok((name, verified))
}

fn unopenable(error: &Error) -> Problem {
    let place = ["file", "path"].iter().find_map(|fact| error.get(fact)).unwrap_or("the store");
    let remedy = match error.get("leg") {
        Some(_) => "take it away, and `craftx heal` makes it anew from the others",
        None => "restore the store from a backup",
    };
    Problem::new(place, error.message().to_owned()).with_remedy(remedy)
}

fn print(out: &mut Out, name: Option<&str>, verified: &Verified) -> Result<(), Failure> {
    if let Some(name) = name {
        out.line(output::one_line(name))?;
    }
    let (good, bad) = (AnsiColor::Green.on_default(), AnsiColor::Red.on_default().bold());
    let mut lines = |style: Style, word: &str, texts: &[String]| {
        texts.iter().try_for_each(|text| {
            let word = out.styled(style, &format!("{word:<12}"));
            out.line(format_args!("{word}{}", output::one_line(text)))
        })
    };
    lines(good, "checked", &verified.checked)?;
    lines(Style::new(), "not checked", &verified.unverifiable)?;
    lines(Style::new(), "note", &verified.notes)?;
    for Problem { place, what, remedy, .. } in &verified.problems {
        lines(bad, "problem", &[format!("{place}: {what}")])?;
        if let Some(remedy) = remedy {
            lines(Style::new(), "", &[format!("→ {remedy}")])?;
        }
    }
    match verified.problems.len() {
        0 => out.line("nothing is wrong with what could be checked"),
        1 => out.line("1 problem"),
        several => out.line(format_args!("{several} problems")),
    }
}
