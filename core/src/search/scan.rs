//! Searching by looking at every message: for media that keep everything in memory, and what indexes are compared with.

use super::{NEIGHBOURS, Query, Ranker, indexed};
use crate::{Message, SearchQuery, SessionId};

/// A session of the tenant, for [`scan`].
#[derive(Clone, Debug)]
pub struct Scanned<'a> {
    /// Its name.
    pub id: &'a SessionId,
    /// Whether it lies in the scope of the query. If not, its words count in the statistics only.
    pub in_scope: bool,
    /// Its live messages, in stamp order.
    pub messages: Vec<&'a Message>,
}

/// What was counted in a message.
struct Counted {
    /// How often it has each phrase.
    counts: Vec<f64>,
    length: f64,
}

impl Counted {
    fn matches(&self) -> bool {
        self.counts.iter().any(|count| *count > 0.0)
    }
}

/// The messages that a query finds among all those of a tenant, with their scores, the best first.
pub fn scan<'a>(sessions: &[Scanned<'a>], query: &SearchQuery) -> Vec<(f64, &'a SessionId, &'a Message)> {
    let wanted = Query::parse(&query.text);
    let counted: Vec<Vec<Counted>> = sessions
        .iter()
        .map(|session| session.messages.iter().map(|message| count(message, &wanted)).collect())
        .collect();
    let all = || counted.iter().flatten();
    let found: Vec<u64> = (0..wanted.phrases().len())
        .map(|phrase| all().filter(|one| one.counts.get(phrase).is_some_and(|count| *count > 0.0)).count() as u64)
        .collect();
    let indexed = all().filter(|one| one.length > 0.0);
    let ranker = Ranker::new(indexed.clone().count() as u64, indexed.map(|one| one.length as u64).sum(), &found);
    let mut hits = Vec::new();
    for (session, counted) in sessions.iter().zip(&counted) {
        if !session.in_scope || query.session.as_ref().is_some_and(|only| only != session.id) {
            continue;
        }
        // A neighbour that the query does not ask for adds nothing of its own accord, but what it has is counted.
        let direct: Vec<bool> = session
            .messages
            .iter()
            .zip(counted)
            .map(|(message, one)| one.matches() && asked_for(message, query))
            .collect();
        for (at, message) in session.messages.iter().enumerate() {
            let reach = if wanted.is_lookup() { 0 } else { NEIGHBOURS.len() };
            let near = direct.iter().take(at + reach + 1).skip(at.saturating_sub(reach)).any(|direct| *direct);
            if near && asked_for(message, query) {
                let near = |steps| counted.get(at.checked_add_signed(steps)?).map(|one| (&one.counts, one.length));
                hits.push((ranker.together(near), session.id, *message));
            }
        }
    }
    hits.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)).then(b.2.id.cmp(&a.2.id)));
    hits
}

fn asked_for(message: &Message, query: &SearchQuery) -> bool {
    (query.roles.is_empty() || query.roles.contains(&message.role))
        && query.after.is_none_or(|after| message.id > after)
        && query.before.is_none_or(|before| message.id < before)
}

fn count(message: &Message, query: &Query) -> Counted {
    let terms = indexed(message);
    let count = |phrase: &Vec<String>| {
        let fits = |run: &&[Option<String>]| run.iter().zip(phrase).all(|(term, wanted)| term.as_ref() == Some(wanted));
        terms.windows(phrase.len()).filter(fits).count() as f64
    };
    Counted { counts: query.phrases().iter().map(count).collect(), length: terms.len() as f64 }
}
