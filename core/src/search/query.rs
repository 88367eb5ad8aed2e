//! What is searched for: any text, as phrases of terms.

use super::analyze::{Term, terms};
use super::text::{author, text};
use crate::Message;

/// A query has no more phrases than this; the rest of a longer one is left out.
pub const MAX_PHRASES: usize = 64;
/// A run of characters without spaces that is not longer than this is searched as a whole.
const LONGEST_RUN: usize = 4;

/// English words that say little about what is searched for (Porter's list, with what is left of contractions). They
/// are indexed all the same, and searched for if a query has nothing else.
const STOP_WORDS: &str = " i me my myself we our ours ourselves you your yours yourself yourselves he him his himself \
    she her hers herself it its itself they them their theirs themselves what which who whom this that these those am \
    is are was were be been being have has had having do does did doing would should could ought a an the and but if \
    or because as until while of at by for with about against between into through during before after above below to \
    from up down in out on off over under again further then once here there when where why how all any both each few \
    more most other some such no nor not only own same so than too very can will just \
    s t d ll m re ve don isn aren wasn weren hasn haven hadn doesn didn won wouldn shan shouldn couldn mustn ";

/// What a query asks for. A message is found if it has at least one of the phrases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    phrases: Vec<Vec<String>>,
}

impl Query {
    /// Understands any text. Words are phrases of one term; a run of up to four characters of a script without spaces
    /// is one phrase, and a longer one is all the pairs in it. English stop words are left out unless there is nothing
    /// else.
    pub fn parse(text: &str) -> Self {
        let found = terms(text);
        let telling: Vec<&Term> = found.iter().filter(|term| !is_stop_word(term)).collect();
        let telling = if telling.is_empty() { found.iter().collect() } else { telling };
        let mut query = Self::default();
        for run in telling.chunk_by(|a, b| touch(a, b)) {
            let run: Vec<String> = run.iter().map(|term| term.text.clone()).collect();
            if run.len() <= LONGEST_RUN {
                query.add(run);
            } else {
                run.windows(2).for_each(|pair| query.add(pair.to_vec()));
            }
        }
        query
    }

    fn add(&mut self, phrase: Vec<String>) {
        if self.phrases.len() < MAX_PHRASES && !self.phrases.contains(&phrase) {
            self.phrases.push(phrase);
        }
    }

    /// The phrases: terms that follow one another.
    pub fn phrases(&self) -> &[Vec<String>] {
        &self.phrases
    }

    /// Whether this is a single phrase: who asks for one word wants the messages that have it. Who asks for several
    /// also wants those whose neighbours have them.
    pub fn is_lookup(&self) -> bool {
        self.phrases.len() <= 1
    }
}

/// Every phrase by which a query can find a message, in order and as often as it is there: each word, and each run of one
/// to four characters of a script without spaces. For an index that cannot put phrases together.
pub fn phrases(message: &Message) -> Vec<Vec<String>> {
    let mut phrases = Vec::new();
    for part in author(message).into_iter().chain([text(message).as_ref()]) {
        for run in terms(part).chunk_by(touch) {
            for length in 1..=LONGEST_RUN {
                let windows = run.windows(length);
                phrases.extend(windows.map(|window| window.iter().map(|term| term.text.clone()).collect()));
            }
        }
    }
    phrases
}

/// Whether two terms stand in one run of characters of a script without spaces.
fn touch(a: &Term, b: &Term) -> bool {
    a.single && b.single && a.position + 1 == b.position
}

fn is_stop_word(term: &Term) -> bool {
    let word = term.word.as_deref().unwrap_or(&term.text);
    STOP_WORDS.split_ascii_whitespace().any(|stop| stop == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::indexed;
    use crate::{Role, Stamp};

    fn phrases(text: &str) -> Vec<String> {
        Query::parse(text).phrases().iter().map(|phrase| phrase.join("+")).collect()
    }

    #[test]
    fn stop_words_count_only_if_there_is_nothing_else() {
        assert_eq!(phrases("When did Caroline go to the LGBTQ groups?"), ["carolin", "go", "lgbtq", "group"]);
        assert_eq!(phrases("to be or not to be"), ["to", "be", "or", "not"]);
        assert_eq!(phrases("  \0 ' \" * ( AND"), ["and"]);
        assert!(phrases("?!").is_empty());
    }

    #[test]
    fn short_runs_are_phrases_and_long_ones_are_pairs() {
        assert_eq!(phrases("東京"), ["東+京"]);
        assert_eq!(phrases("東京 タワー"), ["東+京", "タ+ワ+ー"]);
        assert_eq!(phrases("東京タワーへ"), ["東+京", "京+タ", "タ+ワ", "ワ+ー", "ー+へ"]);
        assert!(Query::parse("日本").is_lookup() && !Query::parse("日 本").is_lookup());
    }

    /// What an index of phrases finds is what an index of terms finds, whatever the texts are.
    #[test]
    fn a_message_has_every_phrase_that_finds_it_and_no_other() {
        let texts = [
            "The CATS, cat's café",
            "東京タワーへ、日本 本日",
            "日a本 日b本は",
            "한국어로 말해 주세요",
            "😀👍🏽 x 😀",
            "か\u{3099}き ไทย",
            "to be or not to be",
            "ラーメン tower 東京",
            "",
        ];
        let messages = texts.map(|said| Message::new(Stamp::MIN, Role::User, said).with_metadata("name", "Ann 東"));
        let mut found = 0;
        for query in texts.iter().flat_map(|text| text.split(' ')).chain(texts).map(Query::parse) {
            for message in &messages {
                let terms = indexed(message);
                let has = |phrase: &Vec<String>| {
                    let fits = |run: &[Option<String>]| run.iter().map(Option::as_ref).eq(phrase.iter().map(Some));
                    terms.windows(phrase.len()).any(fits)
                };
                let phrases = super::phrases(message);
                for phrase in query.phrases() {
                    assert_eq!(phrases.contains(phrase), has(phrase), "{phrase:?} in {message:?}");
                    found += usize::from(has(phrase));
                }
            }
        }
        assert!(found > 50, "{found}");
    }

    #[test]
    fn a_long_query_has_a_limit() {
        let long: String = (0..1_000).map(|n| format!("w{n} ")).collect();
        assert_eq!(Query::parse(&long).phrases().len(), MAX_PHRASES);
    }
}
