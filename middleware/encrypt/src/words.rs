//! The blind index: tokens that stand for the words of messages, so that a medium finds them and does not know them.
//!
//! A medium finds by what [`search::phrases`] gives, a token for each; a query asks for the tokens of its own phrases. So
//! what is found is what the same query finds in plaintext, phrases of several characters included.

use std::collections::{BTreeSet, HashSet};

use craftx_core::search::{self, Query};
use craftx_core::{Binding, Context, Cursor, Error, Hit, Message, Page, Result, Sealed, SearchQuery};
use data_encoding::BASE32HEX_NOPAD;

use crate::acl;
use crate::crypto::{Keyed, hkdf};
use crate::key::SecretKey;
use crate::layer::Encrypted;
use crate::open::Opener;
use crate::place;

/// How often is looked again if what was found does not lie in the scope: a grant may have been revoked meanwhile.
const TRIES: usize = 3;
/// Bytes of a token: so few that an index stays small, and enough that two words of a tenant never have the same one.
const TOKEN: usize = 8;

/// Makes the tokens of one tenant.
pub(crate) struct Tokens(Keyed);

impl Tokens {
    /// From the digest key of the tenant, which stays when its data key is renewed.
    pub(crate) fn new(digest: &SecretKey) -> Self {
        let key = SecretKey::filled(|out| hkdf(digest.expose(), b"", &[b"craftx/v1/index"], out));
        Self(Keyed::new(&key))
    }

    /// The tokens of a message, sorted and each once. Those of what stands last are missing if there are too many.
    pub(crate) fn of_message(&self, message: &Message) -> BTreeSet<String> {
        let (mut tokens, mut seen) = (BTreeSet::new(), HashSet::new());
        for phrase in search::phrases(message) {
            if tokens.len() == Sealed::MAX_WORDS {
                break;
            }
            if !seen.contains(&phrase) {
                tokens.insert(self.of_phrase(&phrase));
                seen.insert(phrase);
            }
        }
        tokens
    }

    /// Letters and digits that no analyzer takes for a word of a language: the digit keeps them from being stemmed.
    fn of_phrase(&self, phrase: &[String]) -> String {
        let mac = self.0.mac(&[&place::parts(phrase.iter().map(String::as_bytes))]);
        let mut token = BASE32HEX_NOPAD.encode(mac.get(..TOKEN).unwrap_or_default());
        token.insert(0, '0');
        token.make_ascii_lowercase();
        token
    }
}

impl Encrypted {
    /// What makes the tokens that are written; `None` where words are not indexed.
    pub(crate) async fn tokens(&self, cx: &Context) -> Result<Option<Tokens>> {
        if !self.shared.config.blind_index {
            return Ok(None);
        }
        let (key_cx, place) = Self::place_of_key(cx)?;
        let (_, key) = self.shared.keys.to_write(&key_cx, &place).await?;
        Ok(Some(key.tokens()))
    }

    /// Has the store below look for tokens, and opens what it finds.
    ///
    /// # Errors
    /// [`Unsupported`](craftx_core::ErrorKind::Unsupported) where words are not indexed; those of the store below and of
    /// opening a message.
    pub(crate) async fn search_by_tokens(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        if !self.shared.config.blind_index {
            let error = Error::unsupported("search", "an encrypted store without a blind index");
            return Err(error.with("configure", "`encrypt.blind_index = true`"));
        }
        // The store below knows a cursor by the tokens, and other forms of a word have the same ones.
        let binding = Binding::search(&cx.tenant, query);
        let wanted = Query::parse(&query.text);
        let mut below = query.clone();
        below.text = self.tokens_of_query(cx, &wanted).await?;
        below.cursor = match &query.cursor {
            Some(cursor) => Some(Cursor::from_text(cursor.position(&binding)?)),
            None => None,
        };
        let page = self.found_in_scope(cx, &below).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for hit in page.items {
            let message = Opener::new(self, cx, &hit.session).message(hit.message).await?;
            items.push(search::hit(hit.session, message, hit.score, &wanted));
        }
        Ok(Page { items, next: page.next.map(|next| Cursor::new(&binding, next.as_str())) })
    }

    /// What the store below finds, if owners and grants that are vouched for admit all of it.
    ///
    /// # Errors
    /// [`Tampered`](craftx_core::ErrorKind::Tampered) if the store shows what they do not admit.
    async fn found_in_scope(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        for _ in 0..TRIES {
            let page = self.inner.search(cx, query).await?;
            if self.admits_all(cx, &query.scope, &page.items).await? {
                return Ok(page);
            }
        }
        Err(acl::forged())
    }

    /// The tokens of a query, in its order. A tenant without a key has no message that could be found.
    async fn tokens_of_query(&self, cx: &Context, query: &Query) -> Result<String> {
        let (key_cx, place) = Self::place_of_key(cx)?;
        let mut text = Vec::new();
        // More than one key is there only if two key stores have become one.
        for key in self.shared.keys.of_lineages(&key_cx, &place).await? {
            let tokens = key.tokens();
            text.extend(query.phrases().iter().map(|phrase| tokens.of_phrase(phrase)));
        }
        Ok(text.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::search::{indexed, terms};
    use craftx_core::{Content, Role, Stamp};

    fn tokens(first: u8) -> Tokens {
        Tokens::new(&SecretKey::filled(|out| out.iter_mut().zip(first..).for_each(|(to, from)| *to = from)))
    }

    fn phrase(terms: &[&str]) -> Vec<String> {
        terms.iter().copied().map(String::from).collect()
    }

    fn said(text: &str) -> Message {
        Message::new(Stamp::MIN, Role::User, text)
    }

    #[test]
    fn every_token_is_one_term_of_itself_and_one_phrase_of_a_query() {
        let tokens = tokens(0);
        for n in 0..100_000 {
            let token = tokens.of_phrase(&[n.to_string()]);
            let terms: Vec<_> = terms(&token).into_iter().map(|term| term.text).collect();
            assert_eq!(terms, [token.as_str()]);
            assert_eq!(Query::parse(&token).phrases(), [[token.as_str()]]);
        }
        let all: Vec<_> = (0..search::MAX_PHRASES).map(|n| tokens.of_phrase(&[n.to_string()])).collect();
        assert!(Query::parse(&all.join(" ")).phrases().iter().flatten().eq(&all));
    }

    /// Tokens that stand in stores must be made in the same way for ever.
    #[test]
    fn tokens_never_change() {
        let tokens = tokens(32);
        for (terms, token) in GOLDEN {
            assert_eq!(tokens.of_phrase(&phrase(terms)), token, "{terms:?}");
        }
    }

    const GOLDEN: [(&[&str], &str); 3] =
        [(&["heron"], "0sugrbsepuitga"), (&["東", "京"], "0b1nb6c7qmilpk"), (&["東京"], "0vsb8i69lod9si")];

    #[test]
    fn tokens_are_those_of_one_key() {
        let heron = phrase(&["heron"]);
        assert_ne!(tokens(0).of_phrase(&heron), tokens(1).of_phrase(&heron));
    }

    #[test]
    fn a_message_shows_neither_order_nor_number_of_its_words() {
        let tokens = tokens(0);
        let all = tokens.of_message(&said("a heron, a Crane; the herons"));
        assert_eq!(all, tokens.of_message(&said("the heron a crane")));
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn what_an_index_has_of_a_sealed_message_are_its_tokens() {
        let tokens = tokens(0).of_message(&said("東京へ and back"));
        let sealed = Sealed::new(1, "d", "e").with_words(tokens.clone());
        let indexed = indexed(&Message::new(Stamp::MIN, Role::User, Content::Absent).with_sealed(sealed));
        assert!(indexed.into_iter().eq(tokens.into_iter().map(Some)));
    }

    #[test]
    fn of_a_very_long_text_the_first_words_are_indexed() {
        let text: String = (0..Sealed::MAX_WORDS + 10).map(|n| format!("w{n} ")).collect();
        let all = tokens(0).of_message(&said(&text));
        assert_eq!(all.len(), Sealed::MAX_WORDS);
        let has = |n: usize| all.contains(&tokens(0).of_phrase(&[format!("w{n}")]));
        assert!(has(0) && has(Sealed::MAX_WORDS - 1) && !has(Sealed::MAX_WORDS));
    }
}
