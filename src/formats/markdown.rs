//! A transcript in Markdown, for people to read.

use craftx_core::{Message, Result};
use serde_json::Value;

use super::turn::{Part, Turn, texts};
use super::{Container, Entries, Format, Outgoing, Sample, Source, Unplaced, Written};

/// Transcripts, which are only written.
#[derive(Debug)]
pub(super) struct Markdown;

impl Format for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn recognizes(&self, _: &Sample) -> bool {
        false
    }

    fn read(&self, _: Source) -> Result<Entries> {
        Err(craftx_core::Error::unsupported("reading: it is only written", "the format `markdown`"))
    }

    fn container(&self) -> Option<Container> {
        Some(Container::Files("md"))
    }

    fn write(&self, session: &Outgoing<'_>) -> Result<Written> {
        let mut unplaced = Unplaced::default();
        let title = session.metadata.get("title").and_then(Value::as_str).unwrap_or(session.id.as_str());
        let mut text = format!("# {}\n", one_line(title));
        for message in session.messages {
            let turn = Turn::of(message);
            turn.own.iter().for_each(|own| unplaced.add(own));
            for part in &turn.parts {
                if matches!(part, Part::Image { url, .. } if url.starts_with("data:")) {
                    unplaced.add("image");
                }
            }
            let when = message.created_at.as_ref().map(ToString::to_string);
            text.push_str(&format!("\n{}", of_turn(&turn, when.as_deref())));
        }
        Ok(Written::new(text.trim_end().to_owned(), unplaced))
    }
}

/// A message in Markdown: who says it, when, and every part of it; what is no text is folded.
pub fn message_markdown(message: &Message, when: Option<&str>) -> String {
    of_turn(&Turn::of(message), when)
}

fn of_turn(turn: &Turn, when: Option<&str>) -> String {
    let mut text = format!("## {}", one_line(turn.role.as_str()));
    if let Some(name) = &turn.name {
        text.push_str(&format!(" ({})", one_line(name)));
    }
    if let Some(when) = when {
        text.push_str(&format!(", {}", one_line(when)));
    }
    text.push('\n');
    turn.parts.iter().for_each(|part| write(&mut text, part));
    text
}

fn write(text: &mut String, part: &Part) {
    match part {
        Part::Text(said) => text.push_str(&format!("\n{said}\n")),
        // A picture that lies in the address itself would fill pages.
        Part::Image { url, .. } if url.starts_with("data:") => text.push_str("\n*(picture)*\n"),
        Part::Image { url, .. } => text.push_str(&format!("\n![]({url})\n")),
        Part::Reasoning(thought) => folded(text, "thinks", "", thought),
        Part::Call { name, arguments, .. } => folded(text, &format!("calls {name}"), "json", arguments),
        Part::Answer { call, content, failed, .. } => {
            let what = if *failed { "error" } else { "answer" };
            let to = call.as_deref().map(|call| format!(" to {call}")).unwrap_or_default();
            folded(text, &format!("{what}{to}"), "", &texts(content));
        }
        Part::Other { kind, value } => folded(text, kind, "json", &value.to_string()),
    }
}

fn folded(text: &mut String, summary: &str, language: &str, body: &str) {
    let summary = one_line(summary).replace('&', "&amp;").replace('<', "&lt;");
    let fence = fence(body);
    text.push_str(&format!(
        "\n<details><summary>{summary}</summary>\n\n{fence}{language}\n{body}\n{fence}\n\n</details>\n"
    ));
}

/// A fence that the text does not contain.
fn fence(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
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
