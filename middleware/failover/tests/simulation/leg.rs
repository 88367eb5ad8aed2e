//! A store in memory that outlives the process and fails in every way.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use craftx_core::{
    Backend, Capabilities, Changes, Clock, Compact, Compacted, Context, Cursor, Error, ErrorKind, Hit, Include,
    MAX_PAGE, Memory, MessageQuery, Messages, Page, Prepare, Record, Result, SearchQuery, Session, SessionId,
    SessionQuery, Status, Tenant, Uuid, Verified, WriteOptions, Written, async_trait,
};
use futures_executor::block_on;

use super::clock::SimClock;

/// How a leg is for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Up,
    Down,
    /// Calls never end.
    Hangs,
    /// Calls take so long.
    Slow(Duration),
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// It does not reach the store.
    Before(ErrorKind),
    /// It does, and its answer gets lost.
    After,
    /// It never ends; a write may still arrive later.
    Hang,
    /// It fails, and arrives later.
    Late,
}

/// Whatever the legs of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) dice: Mutex<fastrand::Rng>,
    /// Grows whenever somebody could go on at once.
    pub(crate) progress: AtomicU64,
    /// How many of each thousand calls fail.
    pub(crate) noise: AtomicU64,
    /// How many calls failed.
    pub(crate) faults: AtomicU64,
    /// Whether to tell what happens.
    pub(crate) tells: bool,
    /// A digest of everything that happened.
    pub(crate) trace: AtomicU64,
}

impl Shared {
    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.dice.lock().unwrap().u64(..limit.max(1))
    }

    pub(crate) fn note(&self, what: u64) {
        let mixed = (self.trace.load(Ordering::Relaxed) ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        self.trace.store(mixed, Ordering::Relaxed);
    }

    /// Tells what happens, where a single run is repeated.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>7} ms  {}", self.clock.elapsed().as_millis(), what());
        }
    }

    /// Lets others go first.
    async fn yield_now(&self) {
        let mut done = false;
        poll_fn(|task| {
            if std::mem::replace(&mut done, true) {
                return Poll::Ready(());
            }
            self.progress.fetch_add(1, Ordering::Relaxed);
            task.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

#[derive(Debug)]
struct Store {
    memory: Arc<Memory>,
    /// The identity, which a backup keeps.
    id: Uuid,
    /// What a backup's position is ahead of its memory's.
    ahead: u64,
}

#[derive(Debug)]
struct LateWrite {
    due: Instant,
    cx: Context,
    session: SessionId,
    records: Vec<Record>,
    options: WriteOptions,
}

/// All that a leg held: what a backup is made of.
pub(crate) type Contents = Vec<(Tenant, SessionId, Vec<Record>)>;

#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) shared: Arc<Shared>,
    number: u64,
    store: Mutex<Store>,
    pub(crate) mode: Mutex<Mode>,
    late: Mutex<Vec<LateWrite>>,
}

impl Leg {
    pub(crate) fn new(shared: Arc<Shared>, number: u64) -> Self {
        let store = Store { memory: Arc::new(Memory::new()), id: Uuid::from_u128(u128::from(number) + 1), ahead: 0 };
        Self { shared, number, store: Mutex::new(store), mode: Mutex::new(Mode::Up), late: Mutex::default() }
    }

    pub(crate) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.store.lock().unwrap().memory)
    }

    fn cx(&self, tenant: &Tenant) -> Context {
        Context::system(tenant.clone()).with_clock(self.shared.clock.clone())
    }

    /// An empty store stands where this one was.
    pub(crate) fn wipe(&self, id: u128) {
        self.late.lock().unwrap().clear();
        *self.store.lock().unwrap() = Store { memory: Arc::new(Memory::new()), id: Uuid::from_u128(id), ahead: 0 };
    }

    /// Everything in it, and its position.
    pub(crate) fn backup(&self) -> (Contents, u64) {
        let memory = self.memory();
        let mut contents = Vec::new();
        for tenant in block_on(memory.tenants(&self.cx(&Tenant::default()), None)).unwrap().items {
            let query = SessionQuery::new().include(Include::All).limit(MAX_PAGE);
            for session in block_on(memory.sessions(&self.cx(&tenant), &query)).unwrap().items {
                let records = self.records_of(&tenant, &session.id);
                contents.push((tenant.clone(), session.id, records));
            }
        }
        let position = block_on(self.status_now()).position.unwrap();
        (contents, position)
    }

    /// A backup of it stands where this one was.
    pub(crate) fn restore(&self, (contents, position): &(Contents, u64)) {
        self.late.lock().unwrap().clear();
        let memory = Memory::new();
        for (tenant, session, records) in contents {
            block_on(memory.write(&self.cx(tenant), session, records, &WriteOptions::replay())).unwrap();
        }
        let restored = block_on(memory.status(&self.cx(&Tenant::default()))).unwrap().position.unwrap();
        let mut store = self.store.lock().unwrap();
        store.memory = Arc::new(memory);
        store.ahead = position - restored;
    }

    /// The position of another leg that this one remembers.
    pub(crate) fn remembers(&self, other: &Self) -> Option<u64> {
        let cx = self.cx(&Tenant::new("craftx.failover").unwrap());
        let session = block_on(self.memory().session(&cx, &SessionId::new("legs").unwrap())).unwrap()?;
        session.metadata.get(&other.store.lock().unwrap().id.to_string())?.as_u64()
    }

    pub(crate) fn records_of(&self, tenant: &Tenant, session: &SessionId) -> Vec<Record> {
        let (memory, cx) = (self.memory(), self.cx(tenant));
        let mut all = Vec::new();
        let mut from = None;
        loop {
            let changes = block_on(memory.records(&cx, session, from.as_ref(), Some(MAX_PAGE))).unwrap();
            all.extend(changes.items);
            if changes.done {
                return all;
            }
            from = Some(changes.next);
        }
    }

    async fn status_now(&self) -> Status {
        let (memory, id, ahead) = {
            let store = self.store.lock().unwrap();
            (Arc::clone(&store.memory), store.id, store.ahead)
        };
        let mut status = memory.status(&self.cx(&Tenant::default())).await.unwrap();
        status.store = id;
        status.position = status.position.map(|position| position + ahead);
        status
    }

    /// Lets writes arrive whose time has come; all of them if `all`.
    pub(crate) fn arrive(&self, all: bool) {
        let now = self.shared.clock.now();
        let due: Vec<LateWrite> = {
            let mut late = self.late.lock().unwrap();
            let (due, rest) = std::mem::take(&mut *late).into_iter().partition(|write| all || write.due <= now);
            *late = rest;
            due
        };
        for write in due {
            self.shared.note(7);
            // One that conflicts by now is refused, as it would be in time.
            drop(block_on(self.memory().write(&write.cx, &write.session, &write.records, &write.options)));
        }
    }

    fn late(&self, cx: &Context, session: &SessionId, records: &[Record], options: &WriteOptions) {
        let due = self.shared.clock.now() + Duration::from_millis(self.shared.below(8_000));
        let mut cx = cx.clone();
        cx.deadline = None;
        let write =
            LateWrite { due, cx, session: session.clone(), records: records.to_vec(), options: options.clone() };
        self.late.lock().unwrap().push(write);
    }

    fn fault(&self) -> Fault {
        match *self.mode.lock().unwrap() {
            Mode::Down => return Fault::Before(ErrorKind::Unavailable),
            Mode::Hangs => return Fault::Hang,
            Mode::Up | Mode::Slow(_) => {}
        }
        if self.shared.below(1_000) >= self.shared.noise.load(Ordering::Relaxed) {
            return Fault::None;
        }
        match self.shared.below(10) {
            0 => Fault::Before(ErrorKind::Locked),
            1 => Fault::Before(ErrorKind::StorageFull),
            2 | 3 => Fault::Before(ErrorKind::Unavailable),
            4..=6 => Fault::After,
            7 => Fault::Hang,
            _ => Fault::Late,
        }
    }

    /// What every call goes through.
    async fn call<T>(
        &self,
        what: impl Fn() -> String,
        changes: bool,
        late: impl FnOnce(),
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        for _ in 0..self.shared.below(3) {
            self.shared.yield_now().await;
        }
        let mode = *self.mode.lock().unwrap();
        if let Mode::Slow(time) = mode {
            self.shared.clock.sleep(time).await;
        }
        let fault = self.fault();
        let failed = |kind| Error::new(kind, "a fault of the simulation");
        self.shared.note(self.number * 16 + u64::from(changes) * 8 + matches!(fault, Fault::None) as u64);
        self.shared.tell(|| format!("    leg {} {}: {fault:?} ({mode:?})", self.number, what()));
        if fault != Fault::None {
            self.shared.faults.fetch_add(1, Ordering::Relaxed);
        }
        let answer = match fault {
            Fault::None => call.await,
            Fault::Before(kind) => Err(failed(kind)),
            Fault::After if changes => {
                call.await?;
                Err(failed(ErrorKind::Unavailable).maybe_applied())
            }
            Fault::Late if changes => {
                late();
                Err(failed(ErrorKind::Timeout).maybe_applied())
            }
            Fault::After | Fault::Late => Err(failed(ErrorKind::Unavailable)),
            Fault::Hang => {
                if changes && self.shared.below(2) == 0 {
                    late();
                }
                std::future::pending().await
            }
        };
        if self.shared.below(2) == 0 {
            // What was done is done, but nobody has been told.
            self.shared.yield_now().await;
        }
        answer
    }

    async fn read<T>(&self, what: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.call(|| what.to_owned(), false, || (), call).await
    }
}

#[async_trait]
impl Backend for Leg {
    fn capabilities(&self) -> Capabilities {
        self.memory().capabilities()
    }
    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.read("prepare", async { self.memory().prepare(cx, mode).await }).await
    }
    async fn write(
        &self,
        cx: &Context,
        session: &SessionId,
        records: &[Record],
        options: &WriteOptions,
    ) -> Result<Written> {
        let late = || self.late(cx, session, records, options);
        let what = || format!("write {} {session} {records:?}", cx.tenant);
        self.call(what, true, late, async { self.memory().write(cx, session, records, options).await }).await
    }
    async fn load(&self, cx: &Context, session: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.read("load", async { self.memory().load(cx, session, query).await }).await
    }
    async fn records(
        &self,
        cx: &Context,
        session: &SessionId,
        from: Option<&Cursor>,
        limit: Option<u32>,
    ) -> Result<Changes> {
        // Small pages, so that copies are cut in two.
        let limit = limit.map(|limit| limit.min(2));
        self.read("records", async { self.memory().records(cx, session, from, limit).await }).await
    }
    async fn session(&self, cx: &Context, session: &SessionId) -> Result<Option<Session>> {
        self.read("session", async { self.memory().session(cx, session).await }).await
    }
    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        self.read("sessions", async { self.memory().sessions(cx, query).await }).await
    }
    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.read("search", async { self.memory().search(cx, query).await }).await
    }
    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.read("tenants", async { self.memory().tenants(cx, from).await }).await
    }
    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.read("compact", async { self.memory().compact(cx, what).await }).await
    }
    async fn status(&self, cx: &Context) -> Result<Status> {
        self.read("status", async {
            cx.check_deadline()?;
            Ok(self.status_now().await)
        })
        .await
    }
    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.read("verify", async { self.memory().verify(cx).await }).await
    }
    async fn close(&self, _cx: &Context) -> Result<()> {
        // The store outlives the handle.
        Ok(())
    }
}
