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
mod snippet;
mod text;

pub use analyze::{Term, terms};
pub use query::{MAX_PHRASES, Query};
pub use rank::{NEIGHBOURS, Ranker};
pub use snippet::{Snippet, matches, snippet};
pub use text::{author, text};

use crate::Message;

/// What an index holds of a message: the terms of its author's name and of its text, in order, with `None` where
/// phrases must not span.
pub fn indexed(message: &Message) -> Vec<Option<String>> {
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
    out
}
