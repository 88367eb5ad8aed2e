//! How text becomes terms and how messages are ranked: in one place, so that every medium finds the same.
//!
//! A medium indexes the [`terms`] of the [`text`] of each message (and of its [`author`]), looks up the phrases of a
//! [`Query`], and ranks what it found with a [`Ranker`]. Nothing in here does I/O.
//!
//! What an index holds depends on all of this, so a change of what [`terms`], [`text`] or [`author`] give needs a new
//! schema of every medium that stores it.

mod analyze;
mod fold;
mod porter;
mod query;
mod rank;
mod scan;
mod snippet;
mod text;

pub use analyze::{Term, terms};
pub use query::{MAX_PHRASES, Query, phrases};
pub use rank::{NEIGHBOURS, Ranker};
pub use scan::{Scanned, scan};
pub use snippet::{Snippet, matches, snippet};
pub use text::{author, text};

use crate::{Hit, Message, SessionId};

/// What an index holds of a message: the terms of its author's name and of its text, in order, with `None` where
/// phrases must not span. How many there are is the length by which messages are ranked.
///
/// Of a sealed message, the words that its layer made. They are in no order that a phrase could follow: only characters of
/// scripts without spaces make phrases of several terms, and none of these is in them.
pub fn indexed(message: &Message) -> Vec<Option<String>> {
    if let Some(sealed) = &message.sealed {
        return sealed.words.iter().cloned().map(Some).collect();
    }
    let mut out = Vec::new();
    for part in author(message).into_iter().chain([text(message).as_ref()]) {
        if !out.is_empty() {
            out.push(None);
        }
        let mut next = None;
        for term in terms(part) {
            if next.is_some_and(|next| next < term.position) {
                out.push(None);
            }
            next = Some(term.position + 1);
            out.push(Some(term.text));
        }
    }
    if out.iter().all(Option::is_none) {
        out.clear();
    }
    out
}

/// What a caller is told of a message that was found.
pub fn hit(session: SessionId, message: Message, score: f64, query: &Query) -> Hit {
    let shown = snippet(&text(&message), query);
    let mut hit = Hit::new(session, message, score);
    if !shown.text.is_empty() {
        hit.snippet = Some(shown.text);
        hit.marks = shown.marks;
    }
    hit
}
