//! The part of a text that shows why it was found.

use std::ops::Range;

use super::analyze::terms;
use super::query::Query;

/// About how many characters a snippet has.
const LENGTH: usize = 160;
/// About how many of them stand before the first match.
const BEFORE: usize = 40;
/// What stands for text that is left out.
const ELLIPSIS: &str = "…";

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The part, with `…` where something is left out.
    pub text: String,
    /// The matches in it, as ranges of bytes in order. Empty if nothing in the text matches.
    pub marks: Vec<Range<usize>>,
}

/// Where a text has the phrases of a query, as ranges of bytes in order. Ranges that touch or overlap are one.
pub fn matches(text: &str, query: &Query) -> Vec<Range<usize>> {
    let terms = terms(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, first) in terms.iter().enumerate() {
        let longest = query.phrases().iter().filter_map(|phrase| {
            let run = terms.get(at..at + phrase.len())?;
            let fits = run
                .iter()
                .zip(phrase)
                .zip(first.position..)
                .all(|((term, wanted), position)| term.text == *wanted && term.position == position);
            fits.then(|| run.last().map(|last| last.range.end)).flatten()
        });
        let Some(end) = longest.max() else { continue };
        match found.last_mut() {
            Some(last) if last.end >= first.range.start => last.end = last.end.max(end),
            _ => found.push(first.range.start..end),
        }
    }
    found
}

/// The part of a text around the first match, or its beginning if there is none.
pub fn snippet(text: &str, query: &Query) -> Snippet {
    let matches = matches(text, query);
    let first = matches.first().map_or(0, |first| first.start);
    let begin = text.get(..first).map_or(0, begin);
    let end = text.get(begin..).map_or(text.len(), |rest| begin + end(rest));
    let mut shown = String::new();
    if begin > 0 {
        shown.push_str(ELLIPSIS);
    }
    let shift = shown.len();
    shown.push_str(text.get(begin..end).unwrap_or_default());
    let marks = matches
        .iter()
        .filter(|found| found.start < end)
        .map(|found| found.start - begin + shift..found.end.min(end) - begin + shift)
        .collect();
    if end < text.len() {
        shown.push_str(ELLIPSIS);
    }
    Snippet { text: shown, marks }
}

/// Where to begin so that some words stand before the match.
fn begin(before: &str) -> usize {
    let Some((far, _)) = before.char_indices().rev().nth(BEFORE) else { return 0 };
    let near = before.get(far..).and_then(|part| part.find(char::is_whitespace).map(|at| far + at + 1));
    near.filter(|at| before.is_char_boundary(*at)).unwrap_or(far)
}

/// Where to end, at a blank if there is one near.
fn end(rest: &str) -> usize {
    let Some((far, _)) = rest.char_indices().nth(LENGTH) else { return rest.len() };
    let blank = rest.get(..far).and_then(|part| part.rfind(char::is_whitespace));
    blank.filter(|at| *at > far / 2).unwrap_or(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, query: &str) -> String {
        let Snippet { text, marks } = snippet(text, &Query::parse(query));
        let mut out = String::new();
        let mut at = 0;
        for mark in marks {
            let (before, marked) = (text.get(at..mark.start).unwrap(), text.get(mark.clone()).unwrap());
            out += &format!("{before}[{marked}]");
            at = mark.end;
        }
        out + text.get(at..).unwrap()
    }

    #[test]
    fn matches_are_marked_where_they_stand() {
        assert_eq!(marked("The CATS saw a cat's tail", "cat"), "The [CATS] saw a [cat]'s tail");
        assert_eq!(marked("Ünïcode CAFÉ", "cafe"), "Ünïcode [CAFÉ]");
        assert_eq!(marked("日本と日、本と日本語", "日本"), "[日本]と日、本と[日本]語");
        assert_eq!(marked("東京タワーへ", "東京タワーへ"), "[東京タワーへ]");
        assert_eq!(marked("nothing here", "cat"), "nothing here");
        assert_eq!(marked("", "cat"), "");
    }

    #[test]
    fn long_texts_are_cut_around_the_first_match() {
        let text = format!("{}needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let found = marked(&text, "needle");
        assert!(found.starts_with("…hay ") && found.ends_with('…'), "{found}");
        assert!(found.contains("[needle]") && found.chars().count() < LENGTH + 10, "{found}");
        let cjk = format!("{}日本{}", "文".repeat(500), "字".repeat(500));
        assert!(marked(&cjk, "日本").contains("[日本]"));
        let word = "x".repeat(10_000);
        assert!(snippet(&word, &Query::parse(&word)).text.chars().count() < LENGTH + 10);
    }

    #[test]
    fn marks_lie_on_the_text_whatever_it_is() {
        let texts = ["日本語 text 😀😀 İİ ß\u{301}\u{301} ﬁ", "\0\u{301}a\u{301}\u{301}b", "a\u{a0}b\u{2003}c 日"];
        for text in texts {
            for repeat in [1, 50] {
                let text = text.repeat(repeat);
                for query in text.chars().take(30).map(String::from).chain([text.clone()]) {
                    let found = snippet(&text, &Query::parse(&query));
                    let mut end = 0;
                    for mark in found.marks {
                        assert!(mark.start >= end && mark.end > mark.start, "{mark:?} in {:?}", found.text);
                        assert!(found.text.get(mark.clone()).is_some(), "{mark:?} in {:?}", found.text);
                        end = mark.end;
                    }
                }
            }
        }
    }
}
