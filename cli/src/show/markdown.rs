//! A conversation as Markdown. Nothing is left out but metadata.

use craftx::Message;

use super::parts::{Part, parts};
use super::when;
use crate::exit::Failure;
use crate::output::{Out, one_line, printable};

pub(super) fn print(out: &mut Out, message: &Message) -> Result<(), Failure> {
    let role = one_line(message.role.as_str());
    match when(message) {
        Some(when) => out.line(format_args!("## {role}, {}\n", one_line(&when)))?,
        None => out.line(format_args!("## {role}\n"))?,
    }
    for part in parts(message) {
        match part {
            Part::Text(text) => out.line(format_args!("{}\n", printable(&text)))?,
            Part::Call { name, arguments } => folded(out, &format!("calls {name}"), "json", &arguments)?,
            Part::Answer { to: Some(to), text } => folded(out, &format!("answer to {to}"), "", &text)?,
            Part::Answer { to: None, text } => folded(out, "answer", "", &text)?,
            Part::Other { kind, value } => folded(out, &kind, "json", &value)?,
        }
    }
    Ok(())
}

fn folded(out: &mut Out, summary: &str, language: &str, text: &str) -> Result<(), Failure> {
    let summary = one_line(summary).replace('&', "&amp;").replace('<', "&lt;");
    let fence = fence(text);
    let text = printable(text);
    out.line(format_args!(
        "<details><summary>{summary}</summary>\n\n{fence}{language}\n{text}\n{fence}\n\n</details>\n"
    ))
}

/// A fence that the text does not contain.
fn fence(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::fence;

    #[test]
    fn a_fence_is_longer_than_any_in_the_text() {
        for (text, fence_of) in [("", "```"), ("a ``` b", "````"), ("`````", "``````")] {
            assert_eq!(fence(text), fence_of);
        }
    }
}
