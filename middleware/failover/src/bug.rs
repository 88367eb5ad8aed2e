//! Mistakes that the simulation must find. Only tests can make them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The session is marked after the write was acknowledged.
    MarksLate,
    /// The session is never marked.
    NeverMarks,
    /// A write that ended in a time-out is not remembered.
    ForgetsTimeouts,
    /// Only the secondaries are brought up to date.
    HealsOneWay,
    /// Deletions are not copied.
    DropsTombstones,
    /// Another leg gets the records with new stamps.
    MintsAgain,
    /// The primary answers though a secondary has more.
    ReadsDirty,
    /// A mark is taken away though something was written while the session was copied.
    ClearsTooMuch,
    /// A secondary is believed that there is nothing.
    TrustsNothing,
    /// The marks of an earlier life are not read.
    IgnoresOldMarks,
    /// A leg that was replaced is not noticed.
    IgnoresIdentity,
    /// A secondary is written together with the primary although the primary may refuse what it takes.
    WritesAtOnce,
    /// A write is acknowledged when the leg did not answer.
    AcknowledgesUnknown,
}
