//! A handle to a memory store that can be closed and opened again, and that has a bug if told so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use craftx_conformance::{Failure, Subject};
use craftx_core::{
    Backend, Capabilities, Changes, Compact, Compacted, Content, Context, Cursor, DynBackend, Error, ErrorKind, Expect,
    Hit, Include, Memory, Message, MessageQuery, Messages, Order, Page, Prepare, Record, Result, Scope, SearchQuery,
    Session, SessionId, SessionOrder, SessionQuery, Stamp, Status, Support, Tenant, WriteOptions, Written, async_trait,
};

/// What a store may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    DropsTheLastOfABatch,
    ReversesALoadedPage,
    DuplicatesAMessage,
    LosesNul,
    TrimsText,
    NormalisesText,
    SortsKeys,
    RoundsFloats,
    FoldsSessionIds,
    IgnoresTheTenantInLists,
    IgnoresTheTenantInLoads,
    CountsOtherTenants,
    FirstNForLastN,
    ResurrectsDeletedMessages,
    ForgetsClearedForLateMessages,
    LastArrivalWinsKeys,
    AcknowledgesBeforeWriting,
    AcceptsForeignCursors,
    IgnoresExpectations,
    ChecksExpectationsTooEarly,
    LeavesHalfOfARefusedBatch,
    OmitsTombstonesFromRecords,
    MiscountsWhatIsKnown,
    AnswersUnclaimedSearchWithNothing,
    IgnoresUnclaimedFilters,
    PicksAWinner,
    IgnoresClose,
    IgnoresDeadlines,
    FollowsStampsInRecords,
    LosesTheVersionInAPurge,
    WritesBatchesInParts,
    ListsTenantsToAnybody,
    PanicsOnEmptyText,
    Hangs,
    ShowsContentInDebug,
    WritesTwiceWhenDropped,
}

/// One handle to the store; the store itself outlives it.
pub struct Handle {
    store: Arc<Memory>,
    bug: Bug,
    closed: AtomicBool,
    /// What was acknowledged and not yet written, for the bug of that name.
    pending: Mutex<Vec<(Context, SessionId, Vec<Record>, WriteOptions)>>,
    /// Contents that were seen, for the bug that shows them.
    seen: Mutex<String>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bug {
            Bug::ShowsContentInDebug => write!(f, "Handle({})", self.seen.lock().unwrap()),
            _ => f.write_str("Handle"),
        }
    }
}

/// A fresh store behind a handle with this bug; opening it again gives another handle to it.
pub fn subject(bug: Bug) -> Result<Subject, Failure> {
    let store = Arc::new(Memory::new());
    let open = move || -> DynBackend {
        Arc::new(Handle {
            store: store.clone(),
            bug,
            closed: AtomicBool::new(false),
            pending: Mutex::default(),
            seen: Mutex::default(),
        })
    };
    Ok(Subject::from(open()).reopening(move || {
        let store = open();
        async move { Ok(store) }
    }))
}
