//! A conversation for people.

use anstyle::{AnsiColor, Style};
use craftx::formats::{Part, Turn};
use craftx::{Message, Role};

use super::{metadata, when};
use crate::exit::Failure;
use crate::output::{Out, one_line, printable};

/// How much of a text is shown: lines, and characters.
const TEXT: (usize, usize) = (40, 4_000);
/// How much of an answer of a tool is shown.
const ANSWER: (usize, usize) = (3, 240);
/// How many characters of the arguments of a call are shown.
const ARGUMENTS: usize = 100;

pub(super) fn print(out: &mut Out, message: &Message, full: bool) -> Result<(), Failure> {
    let role = out.styled(style(&message.role), &one_line(message.role.as_str()));
    let id = out.styled(Style::new().dimmed(), &message.id.to_string());
    match when(message) {
        Some(when) => out.line(format_args!("{role}  {}  {id}", one_line(&when)))?,
        None => out.line(format_args!("{role}  {id}"))?,
    }
    for part in Turn::of(message).parts {
        print_part(out, &part, full)?;
    }
    if let Some(metadata) = metadata(message).filter(|_| full) {
        let line = out.styled(Style::new().dimmed(), &format!("metadata {}", printable(&metadata)));
        out.line(line)?;
    }
    out.line("")
}

fn print_part(out: &mut Out, part: &Part, full: bool) -> Result<(), Failure> {
    match part {
        Part::Text(text) => print_clipped(out, text, TEXT, full),
        Part::Reasoning(text) => {
            let head = out.styled(Style::new().dimmed(), "· thinks");
            out.line(head)?;
            print_clipped(out, text, ANSWER, full)
        }
        Part::Image { url, .. } => print_folded(out, "[image]", url, full),
        Part::Call { name, arguments, .. } => print_folded(out, &format!("→ {name}"), arguments, full),
        Part::Answer { call, content, failed, .. } => {
            let to = call.as_deref().map(|to| format!(" to {}", one_line(to))).unwrap_or_default();
            let what = if *failed { "error" } else { "answer" };
            let head = out.styled(Style::new().dimmed(), &format!("← {what}{to}"));
            out.line(head)?;
            content.iter().try_for_each(|part| match part {
                Part::Text(text) => print_clipped(out, text, ANSWER, full),
                other => print_part(out, other, full),
            })
        }
        Part::Other { kind, value } => print_folded(out, &format!("[{kind}]"), &value.to_string(), full),
        // What a later release knows.
        _ => Ok(()),
    }
}

fn print_clipped(out: &mut Out, text: &str, most: (usize, usize), full: bool) -> Result<(), Failure> {
    let Some(shown) = clip(text, most).filter(|_| !full) else { return out.line(printable(text)) };
    out.line(printable(shown))?;
    let left = text.get(shown.len()..).unwrap_or_default();
    let notice =
        format!("… {} more characters, {} more lines; --full shows all", left.chars().count(), left.lines().count());
    let notice = out.styled(Style::new().dimmed(), &notice);
    out.line(notice)
}

fn print_folded(out: &mut Out, head: &str, value: &str, full: bool) -> Result<(), Failure> {
    if full {
        return out.line(format_args!("{} {}", one_line(head), printable(value)));
    }
    let value = one_line(value);
    match clip(&value, (1, ARGUMENTS)) {
        Some(shown) => {
            let left = value.chars().count() - shown.chars().count();
            let notice = out.styled(Style::new().dimmed(), &format!("… {left} more characters; --full shows all"));
            out.line(format_args!("{} {shown}{notice}", one_line(head)))
        }
        None => out.line(format_args!("{} {value}", one_line(head))),
    }
}

/// The beginning of a text that is longer than that; `None` if it is not.
fn clip(text: &str, (lines, chars): (usize, usize)) -> Option<&str> {
    let by_lines = text.match_indices('\n').nth(lines - 1).map(|(at, _)| at);
    let by_chars = text.char_indices().nth(chars).map(|(at, _)| at);
    let end = match (by_lines, by_chars) {
        (Some(lines), Some(chars)) => lines.min(chars),
        (end, None) | (None, end) => end?,
    };
    // A line break at the very end leaves nothing out.
    let left_out = text.get(end..).is_some_and(|left| !left.trim_end_matches('\n').is_empty());
    text.get(..end).filter(|_| left_out)
}

fn style(role: &Role) -> Style {
    let color = match role {
        Role::User => AnsiColor::Green,
        Role::Assistant => AnsiColor::Cyan,
        Role::Tool => AnsiColor::Magenta,
        _ => AnsiColor::Yellow,
    };
    color.on_default().bold()
}

#[cfg(test)]
mod tests {
    use super::clip;

    #[test]
    fn a_text_is_clipped_by_lines_and_by_characters() {
        assert_eq!(clip("a\nb\nc", (2, 100)), Some("a\nb"));
        assert_eq!(clip("東京東京", (2, 3)), Some("東京東"));
        assert_eq!(clip("a\nbcdef", (3, 4)), Some("a\nbc"));
        for whole in ["", "a", "a\nb", "a\nb\n", "東京"] {
            assert_eq!(clip(whole, (2, 4)), None, "{whole:?}");
        }
    }
}
