//! Text as terms.

use std::ops::Range;

use super::fold::{is_mark, push};
use super::porter;

/// No term is longer than this many characters; the rest of a longer word is left out.
const LONGEST: usize = 64;

/// A term of a text, as it is indexed and searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is compared: never empty, without ASCII but for lower-case letters and digits.
    pub text: String,
    /// Where it stands in the text, in bytes.
    pub range: Range<usize>,
    /// Its number in the text. It leaves one out between two characters of a script without spaces that do not touch,
    /// so that what has consecutive numbers is one run of such characters.
    pub position: u32,
    /// Whether it is one character of a script that is written without spaces.
    pub single: bool,
    /// The word before it was stemmed, if stemming changed it.
    pub(super) word: Option<String>,
}

/// The terms of a text, in order.
///
/// Words are runs of letters and digits, folded (case, accents, width) and stemmed as English words, which leaves most
/// words of other languages as they are. Every Chinese, Japanese, Korean, Thai, Lao, Khmer or Burmese character is a
/// term of its own, and so is every emoji.
///
/// ```
/// use craftx_core::search::terms;
/// let terms: Vec<_> = terms("The Cats' CAFÉ, 東京").into_iter().map(|term| term.text).collect();
/// assert_eq!(terms, ["the", "cat", "cafe", "東", "京"]);
/// ```
pub fn terms(text: &str) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let mut chars = text.char_indices().peekable();
    // Whether the last term is a single character that the next one would touch.
    let mut touching = false;
    let mut position = 0;
    while let Some((start, c)) = chars.next() {
        let mut end = start + c.len_utf8();
        if is_single(c) {
            if !touching && terms.last().is_some_and(|last| last.single) {
                position += 1;
            }
            let mut folded = String::new();
            push(&mut folded, c);
            terms.push(Term { text: folded, range: start..end, position, single: true, word: None });
            position += 1;
            touching = true;
        } else if c.is_alphanumeric() {
            let mut word = String::new();
            let mut letters = 1;
            push(&mut word, c);
            while let Some((at, next)) = chars.next_if(|(_, next)| is_mark(*next) || is_letter(*next)) {
                end = at + next.len_utf8();
                letters += 1;
                if letters <= LONGEST {
                    push(&mut word, next);
                }
            }
            touching = false;
            // Letters such as U+A9CF fold to nothing but themselves; one that folds to nothing is no term.
            if !word.is_empty() {
                let mut stemmed = word.clone();
                porter::stem(&mut stemmed);
                let word = (stemmed != word).then_some(word);
                terms.push(Term { text: stemmed, range: start..end, position, single: false, word });
                position += 1;
            }
        } else if !is_mark(c) {
            touching = false;
        }
    }
    terms
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && !is_single(c)
}

/// Characters of scripts without spaces between words, and emoji.
fn is_single(c: char) -> bool {
    if c < '\u{e00}' {
        return false;
    }
    match c {
        // Thai, Lao, Burmese, Khmer, with their vowels and tones.
        '\u{e47}'..='\u{e4e}' | '\u{ec8}'..='\u{ece}' | '\u{1039}'..='\u{103a}' | '\u{17d2}' => true,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => c.is_alphanumeric(),
        // Korean letters and syllables, kana, bopomofo, and the signs that repeat or close a Han character.
        '\u{1100}'..='\u{11ff}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{30fa}' | '\u{30fc}'..='\u{31ff}' => {
            c.is_alphanumeric() || matches!(c, '\u{3099}' | '\u{309a}')
        }
        '\u{ac00}'..='\u{d7ff}' | '\u{ff66}'..='\u{ffdc}' => c.is_alphanumeric(),
        // Han.
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
            c.is_alphanumeric()
        }
        // Emoji and pictures.
        '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        terms(text).into_iter().map(|term| term.text).collect()
    }

    #[test]
    fn words_are_folded_and_stemmed() {
        assert_eq!(
            all("Don't RUN; running-runs, 2nd_try (v1.0)!"),
            ["don", "t", "run", "run", "run", "2nd", "try", "v1", "0"]
        );
        assert_eq!(all("caf\u{65}\u{301}s Привет, Мир"), ["cafe", "привет", "мир"]);
        assert!(all(" .,;!?-_\0\u{301}\u{200d}\n").is_empty());
    }

    #[test]
    fn characters_of_scripts_without_spaces_are_terms_and_touch_or_not() {
        let positions = |text: &str| terms(text).iter().map(|term| term.position).collect::<Vec<_>>();
        assert_eq!(all("東京tower、ラーメン"), ["東", "京", "tower", "ラ", "ー", "メ", "ン"]);
        assert_eq!(positions("東京tower、ラーメン"), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(positions("日、本"), [0, 2], "a phrase never spans a comma");
        assert_eq!(positions("日 本"), [0, 2]);
        assert_eq!(positions("日a本"), [0, 1, 2]);
        assert_eq!(positions("か\u{3099}き"), [0, 1, 2]);
        assert_eq!(all("한국어 ไทย 😀👍🏽"), ["한", "국", "어", "ไ", "ท", "ย", "😀", "👍", "🏽"]);
    }

    #[test]
    fn ranges_lie_on_characters_and_in_order() {
        let text = "Ünïcode\u{301} İ 日本, naïveté x\u{301}y 😀";
        let mut end = 0;
        for term in terms(text) {
            assert!(term.range.start >= end && text.get(term.range.clone()).is_some(), "{term:?}");
            end = term.range.end;
        }
    }

    #[test]
    fn very_long_words_are_cut() {
        let long = "x".repeat(10_000);
        assert_eq!(all(&long), ["x".repeat(LONGEST)]);
        assert_eq!(terms(&long)[0].range, 0..10_000);
    }

    #[test]
    fn every_character_gives_terms_that_survive_a_list_with_blanks() {
        for c in ('\0'..=char::MAX).filter(|c| !c.is_control()) {
            for term in terms(&format!("a{c}b")) {
                assert!(!term.text.is_empty());
                assert!(
                    term.text.chars().all(|c| !c.is_ascii() || c.is_ascii_lowercase() || c.is_ascii_digit()),
                    "{c:?}"
                );
            }
        }
    }
}
