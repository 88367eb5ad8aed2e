//! Reading: from the first leg that is known to lack nothing.

use craftx_core::{Context, Cursor, DynBackend, Error, ErrorKind, Operation, Result};

use crate::bug::Bug;
use crate::config::Reads;
use crate::dirty::Which;
use crate::inner::Inner;
use crate::leg::is_away;
use crate::write::nobody;

impl Inner {
    /// Reads from the first leg that can be brought up to date. `is_nothing` says whether an answer is one that a leg
    /// also gives when it lacks something.
    pub(crate) async fn read<T, F, Fut>(
        &self,
        cx: &Context,
        operation: Operation,
        which: Which<'_>,
        from: Option<usize>,
        call: F,
        is_nothing: impl Fn(&Result<T>) -> bool,
    ) -> Result<(usize, T)>
    where
        F: Fn(DynBackend, Context) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        cx.check_deadline().map_err(|error| error.during(operation.as_str()))?;
        let mut legs = self.candidates(cx).await;
        match self.config.reads {
            Reads::PrimaryFirst => {}
            Reads::PrimaryOnly => legs.retain(|leg| *leg == 0),
            Reads::SecondariesFirst => legs.sort_by_key(|leg| *leg == 0),
        }
        if !self.has(Bug::ReadsDirty) {
            legs.retain(|leg| !self.state().identities.is_blocked(*leg));
        }
        if let Some(from) = from {
            // A position in one leg means nothing in another one.
            legs.retain(|leg| *leg == from);
            if legs.is_empty() {
                return Err(expired().during(operation.as_str()));
            }
        }
        let mut last = None;
        for (index, leg) in legs.iter().enumerate() {
            let share = self.share(cx, legs.len() - index - 1);
            match self.read_from(&share, *leg, operation, which, &call, &is_nothing).await {
                Ok(answer) => return Ok((*leg, answer)),
                Err(Refusal::Answer(error)) => return Err(error),
                Err(Refusal::Next(error)) => last = Some(error),
            }
        }
        Err(nobody(cx, operation, last))
    }

    async fn read_from<T, F, Fut>(
        &self,
        cx: &Context,
        leg: usize,
        operation: Operation,
        which: Which<'_>,
        call: &F,
        is_nothing: &impl Fn(&Result<T>) -> bool,
    ) -> Result<T, Refusal>
    where
        F: Fn(DynBackend, Context) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.bring(cx, leg, which).await.map_err(Refusal::Next)?;
        let answer = self.call(leg, cx, operation, call).await;
        if is_nothing(&answer) {
            if !self.is_itself(cx, leg).await.map_err(Refusal::Next)? {
                return Err(Refusal::Next(Error::new(ErrorKind::Unavailable, "the leg is another store than it was")));
            }
            if !self.knows_all(leg) {
                return Err(Refusal::Next(Error::new(
                    ErrorKind::Unavailable,
                    "it cannot be known now that there is nothing",
                )));
            }
        }
        answer.map_err(|error| if is_away(error.kind()) { Refusal::Next(error) } else { Refusal::Answer(error) })
    }

    /// Whether this handle knows of everything that the leg may lack: what was written before is marked in legs that were
    /// all read; and what others write meanwhile is in the primary, or this is not it and nobody else writes.
    fn knows_all(&self, leg: usize) -> bool {
        let marks_read = || self.state().identities.all_marks_read();
        self.has(Bug::TrustsNothing) || ((leg == 0 || !self.config.is_shared()) && marks_read())
    }
}

/// Why a leg did not answer.
enum Refusal {
    /// Another one may.
    Next(Error),
    /// This is the answer.
    Answer(Error),
}

fn expired() -> Error {
    Error::new(ErrorKind::Conflict, "the leg of this cursor does not answer now: start again without it")
}

/// A cursor that says which leg it is of.
pub(crate) fn of_leg(leg: usize, cursor: &Cursor) -> Cursor {
    Cursor::from_text(format!("{leg}~{}", cursor.as_str()))
}

/// The leg and the cursor in it.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for text that is no cursor.
pub(crate) fn in_leg(cursor: Option<&Cursor>, operation: Operation) -> Result<Option<(usize, Cursor)>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let parts = cursor.as_str().split_once('~').and_then(|(leg, rest)| Some((leg.parse().ok()?, rest)));
    let (leg, rest) = parts.ok_or_else(|| {
        Error::invalid("cursor", "this cursor belongs to another query or tenant").during(operation.as_str())
    })?;
    Ok(Some((leg, Cursor::from_text(rest))))
}
