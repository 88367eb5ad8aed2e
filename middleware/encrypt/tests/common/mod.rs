//! Encrypted stores in memory, and ways to disturb them.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use craftx_core::{
    Around, Backend, Capabilities, Changes, Compact, Compacted, Content, Context, Cursor, DynBackend, Error, ErrorKind,
    Expect, Hit, Memory, Message, MessageQuery, Messages, Operation, Page, Prepare, Record, Result, Role, Scope,
    SearchQuery, Session, SessionId, SessionQuery, Stamp, Status, Surrounded, Tenant, Verified, WriteOptions, Written,
    async_trait,
};
use craftx_encrypt::{Encrypt, EncryptConfig, Encrypted, Keyring};
use futures_executor::block_on;
use serde_json::Value;

/// A layer over two stores in memory, all of which can be had one by one.
pub(crate) struct House {
    pub(crate) data: DynBackend,
    pub(crate) keys: DynBackend,
    pub(crate) store: Encrypted,
    pub(crate) layer: Encrypt,
}

pub(crate) fn memory() -> DynBackend {
    Arc::new(Memory::new())
}

pub(crate) fn keyring(id: &str) -> Arc<Keyring> {
    Arc::new(Keyring::generate(id).unwrap())
}

/// Keys are read from the key store each time.
pub(crate) fn uncached() -> EncryptConfig {
    EncryptConfig::default().cache_ms(0)
}

impl House {
    pub(crate) fn new(keyring: Arc<Keyring>, config: EncryptConfig) -> Self {
        Self::over(memory(), memory(), keyring, config)
    }

    pub(crate) fn over(data: DynBackend, keys: DynBackend, keyring: Arc<Keyring>, config: EncryptConfig) -> Self {
        let layer = Encrypt::new(keyring, keys.clone(), config).unwrap();
        let store = layer.over(data.clone()).unwrap();
        Self { data, keys, store, layer }
    }

    /// The same stores with other keys.
    pub(crate) fn with(&self, keyring: Arc<Keyring>) -> Self {
        Self::over(self.data.clone(), self.keys.clone(), keyring, uncached())
    }
}

pub(crate) fn cx() -> Context {
    Context::system(Tenant::default())
}

pub(crate) fn id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

pub(crate) fn at(ms: u64) -> Stamp {
    Stamp::mint(ms, None, 0).unwrap()
}

pub(crate) fn said(ms: u64, text: impl Into<Content>) -> Record {
    Record::Message(Message::new(at(ms), Role::User, text).with_metadata("k", "v"))
}

pub(crate) fn set(ms: u64, key: &str, value: impl Into<Value>) -> Record {
    Record::Session { stamp: at(ms), set: BTreeMap::from([(key.to_owned(), Some(value.into()))]) }
}

pub(crate) fn write(store: &dyn Backend, session: &str, records: &[Record]) -> Result<Written> {
    block_on(store.write(&cx(), &id(session), records, &WriteOptions::fresh()))
}

pub(crate) fn load(store: &dyn Backend, session: &str) -> Result<Vec<Message>> {
    block_on(store.load(&cx(), &id(session), &MessageQuery::oldest_first())).map(|page| page.items)
}

pub(crate) fn texts(store: &dyn Backend, session: &str) -> Vec<String> {
    load(store, session).unwrap().iter().map(|message| message.text().unwrap().to_owned()).collect()
}

pub(crate) fn records(store: &dyn Backend, session: &str) -> Vec<Record> {
    block_on(store.records(&cx(), &id(session), None, Some(1_000))).unwrap().items
}

/// Everything that a store holds, as bytes.
pub(crate) fn bytes(store: &dyn Backend, session: &str) -> String {
    records(store, session).iter().map(|record| record.encode().into_string() + "\n").collect()
}

pub(crate) fn message(record: &Record) -> &Message {
    match record {
        Record::Message(message) => message,
        other => panic!("{other:?} is no message"),
    }
}

/// Puts records into a store behind the back of the layer, in place of all that the session has there.
pub(crate) fn replaced(records: &[Record], session: &str) -> DynBackend {
    let store = memory();
    block_on(store.write(&cx(), &id(session), records, &WriteOptions::replay())).unwrap();
    store
}

/// What happens at one call of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and nothing has happened.
    FailsBefore = 0,
    /// It fails, and it has happened.
    FailsAfter = 1,
    /// It never comes back, and nothing has happened.
    HangsBefore = 2,
    /// It never comes back, and it has happened.
    HangsAfter = 3,
}

pub(crate) const FAULTS: [Fault; 4] = [Fault::FailsBefore, Fault::FailsAfter, Fault::HangsBefore, Fault::HangsAfter];

/// Lets one call of those that several stores share go wrong, and from then on all.
#[derive(Debug)]
pub(crate) struct Faults {
    left: AtomicI64,
    fault: AtomicU8,
}

impl Default for Faults {
    fn default() -> Self {
        Self { left: AtomicI64::new(i64::MAX), fault: AtomicU8::new(0) }
    }
}

impl Faults {
    pub(crate) fn around(self: &Arc<Self>, store: DynBackend) -> DynBackend {
        Arc::new(Surrounded::new(Arc::clone(self), store))
    }

    /// After so many more calls.
    pub(crate) fn after(&self, calls: i64, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
        self.left.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn never(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }

    /// Whether it went wrong.
    pub(crate) fn fired(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    /// How many calls were made since `after` was told this number.
    pub(crate) fn calls_of(&self, told: i64) -> i64 {
        told - self.left.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Around for Faults {
    async fn around<T, F, Fut>(&self, _: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            return call(cx.clone()).await;
        }
        let fault = FAULTS[usize::from(self.fault.load(Ordering::SeqCst))];
        // After the first one the process is gone: nothing happens any more.
        if left == 0 && matches!(fault, Fault::FailsAfter | Fault::HangsAfter) {
            call(cx.clone()).await?;
        }
        if matches!(fault, Fault::HangsBefore | Fault::HangsAfter) {
            return std::future::pending().await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the store is gone").maybe_applied())
    }
}

/// Polls once, and drops what does not come back.
pub(crate) fn poll_and_drop<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Random numbers that come again: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// A number from the environment, for longer runs.
pub(crate) fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A store that says something else of what it can.
#[derive(Debug)]
pub(crate) struct Capable {
    pub(crate) inner: DynBackend,
    pub(crate) can: Capabilities,
}

#[async_trait]
impl Backend for Capable {
    fn capabilities(&self) -> Capabilities {
        self.can
    }
    async fn prepare(&self, cx: &Context, mode: Prepare) -> Result<Capabilities> {
        self.inner.prepare(cx, mode).await.map(|_| self.can)
    }
    async fn write(&self, cx: &Context, s: &SessionId, records: &[Record], options: &WriteOptions) -> Result<Written> {
        let expect = if self.can.compare_and_append.is_yes() { options.expect } else { Expect::Anything };
        assert_eq!(expect, options.expect, "what it cannot do is not asked for");
        self.inner.write(cx, s, records, options).await
    }
    async fn load(&self, cx: &Context, s: &SessionId, query: &MessageQuery) -> Result<Messages> {
        self.inner.load(cx, s, query).await
    }
    async fn records(&self, cx: &Context, s: &SessionId, from: Option<&Cursor>, limit: Option<u32>) -> Result<Changes> {
        self.inner.records(cx, s, from, limit).await
    }
    async fn session(&self, cx: &Context, s: &SessionId) -> Result<Option<Session>> {
        self.inner.session(cx, s).await
    }
    async fn sessions(&self, cx: &Context, query: &SessionQuery) -> Result<Page<Session>> {
        match self.can.scope.is_yes() {
            true => self.inner.sessions(cx, query).await,
            false => self.inner.sessions(cx, &query.clone().scope(Scope::All)).await,
        }
    }
    async fn search(&self, cx: &Context, query: &SearchQuery) -> Result<Page<Hit>> {
        self.inner.search(cx, query).await
    }
    async fn tenants(&self, cx: &Context, from: Option<&Cursor>) -> Result<Page<Tenant>> {
        self.inner.tenants(cx, from).await
    }
    async fn compact(&self, cx: &Context, what: &Compact) -> Result<Compacted> {
        self.inner.compact(cx, what).await
    }
    async fn status(&self, cx: &Context) -> Result<Status> {
        self.inner.status(cx).await
    }
    async fn verify(&self, cx: &Context) -> Result<Verified> {
        self.inner.verify(cx).await
    }
    async fn close(&self, cx: &Context) -> Result<()> {
        self.inner.close(cx).await
    }
}

/// Lets so many calls of the stores that share it through, and then nobody until it is opened.
#[derive(Debug)]
pub(crate) struct Gate {
    left: AtomicI64,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(crate) fn closing_after(calls: i64) -> Self {
        Self { left: AtomicI64::new(calls), waiting: Mutex::default() }
    }

    pub(crate) fn open(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
        self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    pub(crate) fn around(self: &Arc<Self>, store: DynBackend) -> DynBackend {
        Arc::new(Surrounded::new(Arc::clone(self), store))
    }
}

#[async_trait]
impl Around for Gate {
    async fn around<T, F, Fut>(&self, _: Operation, cx: &Context, call: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        let mut counted = false;
        std::future::poll_fn(|task| {
            if !counted {
                counted = true;
                self.left.fetch_sub(1, Ordering::SeqCst);
            }
            if self.left.load(Ordering::SeqCst) >= 0 {
                return Poll::Ready(());
            }
            self.waiting.lock().unwrap().push(task.waker().clone());
            Poll::Pending
        })
        .await;
        call(cx.clone()).await
    }
}
