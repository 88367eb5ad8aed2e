//! When which event is told, and what follows if it cannot be.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use craftx_core::{Caller, Context, Error, ErrorKind, Operation, Outcome, Result, SessionId};

use super::{AuditSink, Event, Phase};
use crate::{Action, Actions};

/// How long the last event of a call may take: the deadline of the call may have passed when it is told.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The audit log of a store: a sink, or none.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) sink: Option<Arc<dyn AuditSink>>,
    /// Whether reading that is allowed is told too.
    pub(crate) reads: bool,
    /// Whether a call fails if it cannot be told.
    pub(crate) fail_closed: bool,
    pub(crate) lost: AtomicU64,
}

/// What is asked for and what was decided, for the log.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) cx: &'a Context,
    pub(crate) operation: Operation,
    /// Told instead of the name of the call, for what is no call of a backend.
    pub(crate) named: Option<&'static str>,
    pub(crate) actions: Actions,
    pub(crate) session: Option<&'a SessionId>,
    pub(crate) rule: Cow<'static, str>,
}

impl Entry<'_> {
    /// The name of what is done.
    pub(crate) fn operation_name(&self) -> &'static str {
        self.named.unwrap_or(self.operation.as_str())
    }

    fn event(&self) -> Event {
        let mut event = Event::new(self.cx, self.operation);
        event.operation = self.operation_name();
        event.actions = self.actions;
        event.session = self.session.cloned();
        event.rule = self.rule.clone();
        event
    }

    /// Whether it only reads, on behalf of a principal.
    fn is_plain_reading(&self) -> bool {
        let reading = [Action::Read, Action::List, Action::Search];
        self.actions.iter().all(|action| reading.contains(&action)) && self.cx.caller != Caller::System
    }
}

impl Log {
    /// Tells that something was refused. Nothing was done, so there is nothing to undo if it cannot be told.
    pub(crate) async fn denied(&self, entry: &Entry<'_>) {
        if let Some(sink) = &self.sink {
            let told = sink.record(&last_word(entry.cx), &entry.event()).await;
            self.count(&told);
        }
    }

    /// Tells that a call begins, makes it, and tells what became of it.
    ///
    /// If `fail_closed` is set: a call that cannot be told is not made; one that was made, and whose end cannot be told,
    /// fails with [`Outcome::Unknown`], and what was read is not handed out.
    pub(crate) async fn around<T>(&self, entry: Entry<'_>, call: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(sink) = self.sink.as_ref().filter(|_| self.reads || !entry.is_plain_reading()) else {
            return call.await;
        };
        let operation = entry.operation_name();
        let mut event = entry.event();
        event.phase = Phase::Began;
        let told = sink.record(&as_system(entry.cx), &event).await;
        self.count(&told);
        if let (Err(error), true) = (told, self.fail_closed) {
            return Err(untold(error, operation));
        }
        let result = call.await;
        event.time = entry.cx.clock.wall();
        event.phase = match &result {
            Ok(_) => Phase::Done,
            Err(error) if error.outcome() == Outcome::Unknown => Phase::Unknown(error.kind()),
            Err(error) => Phase::Failed(error.kind()),
        };
        let told = sink.record(&last_word(entry.cx), &event).await;
        self.count(&told);
        match (told, result) {
            (Err(error), Ok(_)) if self.fail_closed => Err(untold(error, operation).maybe_applied()),
            (_, result) => result,
        }
    }

    fn count(&self, told: &Result<()>) {
        if told.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn as_system(cx: &Context) -> Context {
    cx.clone().with_caller(Caller::System)
}

fn last_word(cx: &Context) -> Context {
    as_system(cx).with_timeout(LAST_WORD)
}

fn untold(error: Error, operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, "the audit log cannot be written").during(operation).because(error)
}
