//! How far a call has come, as far as whoever waits for it has to know.

use std::sync::{Mutex, MutexGuard, PoisonError};

use craftx_core::Error;

/// A call that a task works at, while somebody waits who may give up.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// A server that takes writes has to be on this timeline, or a newer one.
    timeline: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was sent.
    #[default]
    Waiting,
    /// Something was sent, and has not been answered.
    Sent,
    /// What was sent has failed, and may be tried again.
    Failed(Error),
    /// Nobody waits any more.
    Over,
}

/// What became of a call for which nobody waits any more.
#[derive(Debug)]
pub(crate) enum Left {
    /// Nothing was sent, nor will be.
    Nothing,
    /// It may be done, now or later.
    Open,
    /// It had failed, and will not be tried again.
    Failed(Error),
}

impl Call {
    /// A call for servers that are on this timeline, or a newer one.
    pub(crate) fn new(timeline: u32) -> Self {
        Self { timeline, state: Mutex::default() }
    }

    pub(crate) fn timeline(&self) -> u32 {
        self.timeline
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the task before it sends something; `false` if nobody waits any more.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.state();
        let waits = !matches!(*state, State::Over);
        if waits {
            *state = State::Sent;
        }
        waits
    }

    /// Called by the task when it has failed, and before it tries again.
    pub(crate) fn failed(&self, error: Error) {
        let mut state = self.state();
        if !matches!(*state, State::Over) {
            *state = State::Failed(error);
        }
    }

    /// Called by whoever does not wait any more: the task begins nothing further.
    pub(crate) fn leave(&self) -> Left {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Over) {
            State::Waiting => Left::Nothing,
            State::Failed(error) => Left::Failed(error),
            State::Sent | State::Over => Left::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use craftx_core::ErrorKind;

    use super::*;

    #[test]
    fn what_is_left_is_not_begun_again() {
        let call = Call::default();
        assert!(matches!(call.leave(), Left::Nothing) && !call.begin());
        let call = Call::default();
        assert!(call.begin() && matches!(call.leave(), Left::Open) && !call.begin());
        let call = Call::default();
        assert!(call.begin());
        call.failed(Error::new(ErrorKind::Locked, "somebody else"));
        assert!(matches!(call.leave(), Left::Failed(error) if error.kind() == ErrorKind::Locked));
        assert!(!call.begin());
        let call = Call::default();
        call.failed(Error::new(ErrorKind::Locked, "somebody else"));
        assert!(call.begin() && matches!(call.leave(), Left::Open));
    }
}
