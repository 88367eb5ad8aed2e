//! What may happen to connections, and when.

use std::time::Duration;

use crate::faults::Dice;

/// What a proxy does to connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// All connections are cut, and new ones are closed at once.
    Refuse,
    /// Whatever is sent, in either direction, arrives later by this much.
    Delay(Duration),
    /// Whatever is sent, in either direction, is lost, and nobody is told. New connections lead nowhere. A connection that has
    /// lost something stays silent for ever, for what came later would make no sense; one on which nobody spoke is as before.
    BlackHole,
    /// Once, for the connections there are: the server's direction ends, and what it says is lost; the client's goes on.
    HalfClose,
    /// Once: the next request reaches the server, and the connection is cut at once, so nobody hears the answer. The
    /// server may still be at work when the client sees the end.
    CutAfterRequest,
    /// Once: the next request reaches the server, and the connection is cut when it answers: what was asked is done by then.
    CutBeforeAnswer,
    /// Once: the connection is cut when the next request comes, of which the server gets nothing.
    CutBeforeRequest,
}

/// What happens from now on.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) fault: Fault,
    random: Option<(Dice, u64)>,
    pub(super) fired: u64,
}

impl Plan {
    pub(super) fn set(&mut self, fault: Fault) {
        self.fault = fault;
        if fault == Fault::HalfClose {
            self.fault = Fault::None;
            self.fired += 1;
        }
    }

    pub(super) fn random(&mut self, seed: u64, probability: f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a million")]
        let millionths = (probability.clamp(0.0, 1.0) * 1e6) as u64;
        self.random = (millionths > 0).then(|| (Dice::new(seed), millionths));
    }

    /// What the part of a request meets that has just come. A fault that acts once is over with that.
    pub(super) fn meet(&mut self) -> Fault {
        let fault = self.fault;
        if matches!(fault, Fault::CutAfterRequest | Fault::CutBeforeAnswer | Fault::CutBeforeRequest) {
            self.fault = Fault::None;
            self.fired += 1;
            return fault;
        }
        if let Some((dice, millionths)) = &mut self.random
            && fault == Fault::None
            && dice.below(1_000_000) < *millionths
        {
            self.fired += 1;
            return if dice.once_in(2) { Fault::CutAfterRequest } else { Fault::CutBeforeRequest };
        }
        fault
    }
}
