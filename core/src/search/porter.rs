//! Porter's stemmer for English (M. F. Porter, "An algorithm for suffix stripping", 1980), as published.

/// The stem of a word of lower-case ASCII letters; other words, and very short ones, stay as they are.
pub(crate) fn stem(word: &mut String) {
    if word.len() < 3 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return;
    }
    let mut stem = Stem(std::mem::take(word).into_bytes());
    stem.plurals();
    stem.past_and_participle();
    stem.terminal_y();
    stem.double_suffixes();
    stem.single_suffixes();
    stem.last_suffixes();
    stem.terminal_e();
    stem.double_l();
    *word = String::from_utf8(stem.0).unwrap_or_default();
}

/// A word of lower-case ASCII letters.
struct Stem(Vec<u8>);

impl Stem {
    /// What is left of the word without `suffix`, if it ends so.
    fn without(&self, suffix: &str) -> Option<usize> {
        self.0.strip_suffix(suffix.as_bytes()).map(<[u8]>::len)
    }

    fn replace(&mut self, at: usize, with: &str) {
        self.0.truncate(at);
        self.0.extend_from_slice(with.as_bytes());
    }

    fn is_consonant(&self, at: usize) -> bool {
        match self.0.get(at) {
            Some(b'a' | b'e' | b'i' | b'o' | b'u') => false,
            Some(b'y') => at == 0 || !self.is_consonant(at - 1),
            _ => true,
        }
    }

    /// Porter's measure of the first `len` letters: how often consonants follow vowels.
    fn measure(&self, len: usize) -> usize {
        (1..len).filter(|at| self.is_consonant(*at) && !self.is_consonant(at - 1)).count()
    }

    fn has_vowel(&self, len: usize) -> bool {
        (0..len).any(|at| !self.is_consonant(at))
    }

    fn ends_in_double_consonant(&self) -> bool {
        match self.0.as_slice() {
            [.., a, b] => a == b && self.is_consonant(self.0.len() - 1),
            _ => false,
        }
    }

    /// Whether the first `len` letters end in consonant, vowel, consonant other than w, x and y.
    fn ends_short(&self, len: usize) -> bool {
        let Some(first) = len.checked_sub(3) else { return false };
        self.is_consonant(first)
            && !self.is_consonant(first + 1)
            && self.is_consonant(first + 2)
            && !matches!(self.0.get(first + 2), Some(b'w' | b'x' | b'y'))
    }

    /// Step 1a.
    fn plurals(&mut self) {
        for (suffix, with) in [("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")] {
            if let Some(at) = self.without(suffix) {
                return self.replace(at, with);
            }
        }
    }

    /// Step 1b.
    fn past_and_participle(&mut self) {
        if let Some(at) = self.without("eed") {
            if self.measure(at) > 0 {
                self.replace(at, "ee");
            }
            return;
        }
        let Some(at) = self.without("ed").or_else(|| self.without("ing")).filter(|at| self.has_vowel(*at)) else {
            return;
        };
        self.0.truncate(at);
        if ["at", "bl", "iz"].iter().any(|suffix| self.without(suffix).is_some()) {
            self.0.push(b'e');
        } else if self.ends_in_double_consonant() && !matches!(self.0.last(), Some(b'l' | b's' | b'z')) {
            self.0.pop();
        } else if self.measure(self.0.len()) == 1 && self.ends_short(self.0.len()) {
            self.0.push(b'e');
        }
    }

    /// Step 1c.
    fn terminal_y(&mut self) {
        if let Some(at) = self.without("y").filter(|at| self.has_vowel(*at)) {
            self.replace(at, "i");
        }
    }

    /// Replaces the first suffix of the list that the word has, if enough is left before it.
    fn first_of(&mut self, rules: &[(&str, &str)]) {
        for (suffix, with) in rules {
            if let Some(at) = self.without(suffix) {
                if self.measure(at) > 0 {
                    self.replace(at, with);
                }
                return;
            }
        }
    }

    /// Step 2, with the two changes that Porter made to his own program later: `bli` and `logi`.
    fn double_suffixes(&mut self) {
        self.first_of(&[
            ("ational", "ate"),
            ("tional", "tion"),
            ("enci", "ence"),
            ("anci", "ance"),
            ("izer", "ize"),
            ("logi", "log"),
            ("bli", "ble"),
            ("alli", "al"),
            ("entli", "ent"),
            ("eli", "e"),
            ("ousli", "ous"),
            ("ization", "ize"),
            ("ation", "ate"),
            ("ator", "ate"),
            ("alism", "al"),
            ("iveness", "ive"),
            ("fulness", "ful"),
            ("ousness", "ous"),
            ("aliti", "al"),
            ("iviti", "ive"),
            ("biliti", "ble"),
        ]);
    }

    /// Step 3.
    fn single_suffixes(&mut self) {
        self.first_of(&[
            ("icate", "ic"),
            ("ative", ""),
            ("alize", "al"),
            ("iciti", "ic"),
            ("ical", "ic"),
            ("ful", ""),
            ("ness", ""),
        ]);
    }

    /// Step 4.
    fn last_suffixes(&mut self) {
        const SUFFIXES: [&str; 19] = [
            "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate",
            "iti", "ous", "ive", "ize",
        ];
        let Some((suffix, at)) = SUFFIXES.iter().find_map(|suffix| Some((suffix, self.without(suffix)?))) else {
            return;
        };
        let after = at.checked_sub(1).and_then(|last| self.0.get(last));
        if self.measure(at) > 1 && (*suffix != "ion" || matches!(after, Some(b's' | b't'))) {
            self.0.truncate(at);
        }
    }

    /// Step 5a.
    fn terminal_e(&mut self) {
        if let Some(at) = self.without("e") {
            let measure = self.measure(at);
            if measure > 1 || (measure == 1 && !self.ends_short(at)) {
                self.0.truncate(at);
            }
        }
    }

    /// Step 5b.
    fn double_l(&mut self) {
        if self.without("ll").is_some() && self.measure(self.0.len() - 1) > 1 {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_examples_of_the_paper() {
        for (word, wanted) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("ties", "ti"),
            ("caress", "caress"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("tanned", "tan"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("fizzed", "fizz"),
            ("failing", "fail"),
            ("filing", "file"),
            ("happy", "happi"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("rational", "ration"),
            ("valenci", "valenc"),
            ("digitizer", "digit"),
            ("conformabli", "conform"),
            ("radicalli", "radic"),
            ("vileli", "vile"),
            ("vietnamization", "vietnam"),
            ("predication", "predic"),
            ("operator", "oper"),
            ("feudalism", "feudal"),
            ("decisiveness", "decis"),
            ("hopefulness", "hope"),
            ("callousness", "callous"),
            ("formaliti", "formal"),
            ("sensitiviti", "sensit"),
            ("sensibiliti", "sensibl"),
            ("triplicate", "triplic"),
            ("formative", "form"),
            ("electrical", "electr"),
            ("goodness", "good"),
            ("revival", "reviv"),
            ("allowance", "allow"),
            ("airliner", "airlin"),
            ("gyroscopic", "gyroscop"),
            ("adjustable", "adjust"),
            ("irritant", "irrit"),
            ("replacement", "replac"),
            ("adjustment", "adjust"),
            ("dependent", "depend"),
            ("adoption", "adopt"),
            ("homologou", "homolog"),
            ("effective", "effect"),
            ("bowdlerize", "bowdler"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("controll", "control"),
            ("roll", "roll"),
            ("is", "is"),
            ("naïve", "naïve"),
            ("b2b", "b2b"),
        ] {
            let mut found = word.to_owned();
            super::stem(&mut found);
            assert_eq!(found, wanted, "{word}");
        }
    }
}
