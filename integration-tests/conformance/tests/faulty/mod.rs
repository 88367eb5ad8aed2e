//! A handle to a memory store that can be closed and opened again, and that has a bug if told so.

mod backend;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use craftx_conformance::{Failure, Subject};
use craftx_core::*;

use backend::Handle;

/// What a store may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    // Batches.
    DropsTheLastOfABatch,
    LeavesHalfOfARefusedBatch,
    WritesBatchesInParts,
    AcknowledgesBeforeWriting,
    LeaksALockWhenDropped,
    // Messages.
    ReversesMessages,
    DuplicatesAMessage,
    LosesNul,
    TrimsText,
    ComposesAccents,
    SortsKeys,
    RoundsFloats,
    TurnsNullIntoAbsent,
    // Queries.
    FirstNForLastN,
    IncludesTheBound,
    NeverSaysMore,
    FoldsSessionIds,
    MatchesPrefixesWithoutCase,
    AcceptsForeignCursors,
    HidesClearedSessions,
    FindsMissingSessionsEmpty,
    // Tenants.
    IgnoresTheTenantInLists,
    IgnoresTheTenantInLoads,
    IgnoresTheTenantInWrites,
    CountsOtherTenants,
    ListsTenantsToAnybody,
    VerifiesForAnybody,
    FindsProblemsThatAreNone,
    HidesConflicts,
    // The union.
    ResurrectsDeletedMessages,
    ForgetsClearedForLateMessages,
    LastArrivalWinsKeys,
    PicksAWinner,
    TakesARenewedCiphertextForAnotherContent,
    KeepsTheOlderCiphertext,
    MiscountsWhatIsKnown,
    LowersTheVersion,
    PurgesTooMuch,
    // Replication.
    OmitsTombstonesFromRecords,
    GivesDeadRecords,
    FollowsStampsInRecords,
    // Expectations and capabilities.
    IgnoresExpectations,
    ChecksExpectationsOfKnownBatches,
    ChecksExpectationsTooEarly,
    AnswersUnclaimedSearchWithNothing,
    // Searching.
    SearchesInOneTenantOnly,
    IgnoresFiltersOfSearches,
    FindsOnePageOnly,
    MarksBesideTheWords,
    SplitsNoScripts,
    FindsExactWordsOnly,
    IgnoresUnclaimedFilters,
    // Life cycle.
    IgnoresClose,
    IgnoresDeadlines,
    IgnoresTheInjectedClock,
    ChangesItsIdentity,
    ShowsContent,
    Panics,
    Hangs,
}

/// The store itself, which outlives its handles.
#[derive(Default)]
struct Disk {
    store: Mutex<Arc<Memory>>,
    /// All that was ever written to it.
    writes: Mutex<Vec<Write>>,
    /// How many of these would survive a crash, for the bug that acknowledges too early.
    synced: AtomicUsize,
}

type Write = (Context, SessionId, Vec<Record>, WriteOptions);

/// A fresh store behind a handle with this bug. Opening it again gives another handle to it.
pub(crate) fn subject(bug: Bug) -> Result<Subject, Failure> {
    let disk = Arc::new(Disk::default());
    let open = move || -> DynBackend {
        let store = crash(&disk, bug);
        Arc::new(Handle::new(disk.clone(), store, bug))
    };
    Ok(Subject::from(open()).reopening(move || std::future::ready(Ok(open()))))
}

/// What is on the disk after the handles are gone.
fn crash(disk: &Disk, bug: Bug) -> Arc<Memory> {
    let writes = disk.writes.lock().unwrap();
    if bug == Bug::AcknowledgesBeforeWriting && disk.synced.load(Ordering::SeqCst) < writes.len() {
        let store = Arc::new(Memory::new());
        for (cx, session, records, options) in writes.iter().take(writes.len() - 1) {
            let write = store.write(cx, session, records, options);
            assert!(futures_executor::block_on(write).is_ok());
        }
        *disk.store.lock().unwrap() = store;
    }
    disk.store.lock().unwrap().clone()
}
