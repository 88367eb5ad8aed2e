//! The key store: where data keys are found, and made when there is none.

use std::sync::Arc;
use std::time::Duration;

use craftx_core::{
    Caller, Context, DynBackend, Error, ErrorKind, Expect, Record, Result, SessionId, Stamp, WriteOptions,
};

use crate::cache::Cache;
use crate::data_key::DataKey;
use crate::provider::{KeyContext, KeyProvider};
use crate::reencrypt::newest_of_roots;
use crate::session_keys::SessionKeys;
use crate::wrap::Wrap;

/// How often a new key is tried to be put before others who do the same. Each time somebody else has succeeded.
const TRIES: usize = 16;

/// The data keys of all sessions.
pub(crate) struct Keys {
    pub(crate) provider: Arc<dyn KeyProvider>,
    /// A session there holds the wrapped keys of the session of the same name here.
    pub(crate) store: DynBackend,
    cache: Cache,
}

impl Keys {
    pub(crate) fn new(provider: Arc<dyn KeyProvider>, store: DynBackend, most: usize, longest: Duration) -> Self {
        Self { provider, store, cache: Cache::new(most, longest) }
    }

    /// The key store is asked by the layer, whoever asks the layer.
    pub(crate) fn context(cx: &Context) -> Context {
        cx.clone().with_caller(Caller::System).with_token(None)
    }

    /// The keys of a session as they are now.
    ///
    /// # Errors
    /// Those of the key store, as one that has changed nothing.
    pub(crate) async fn read(&self, cx: &Context, session: &SessionId) -> Result<Arc<SessionKeys>> {
        let reading = self.cache.reading(cx.clock.now());
        let keys = SessionKeys::read(&self.store, &Self::context(cx), session).await;
        let keys = Arc::new(keys.map_err(|error| of_key_store(&error, session))?);
        self.cache.put(reading, (cx.tenant.clone(), session.clone()), Arc::clone(&keys));
        Ok(keys)
    }

    /// The keys of a session as they were a short time ago.
    ///
    /// # Errors
    /// As [`Keys::read`].
    pub(crate) async fn cached(&self, cx: &Context, session: &SessionId) -> Result<Arc<SessionKeys>> {
        match self.cache.get(cx.clock.now(), &(cx.tenant.clone(), session.clone())) {
            Some((_, keys)) => Ok(keys),
            None => self.read(cx, session).await,
        }
    }

    /// Forgets the unwrapped keys of a session.
    pub(crate) fn forget(&self, cx: &Context, session: &SessionId) {
        self.cache.forget(&(cx.tenant.clone(), session.clone()));
    }

    /// Forgets all unwrapped keys.
    pub(crate) fn forget_all(&self) {
        self.cache.clear();
    }

    /// The key to write with, made if there is none. It is durable in the key store before it is returned.
    ///
    /// # Errors
    /// Those of the key store and of the provider. Nothing was written to the session.
    pub(crate) async fn to_write(&self, cx: &Context, session: &SessionId) -> Result<(Arc<SessionKeys>, Arc<DataKey>)> {
        let keys = self.cached(cx, session).await?;
        self.to_write_from(cx, session, keys).await
    }

    /// As [`Keys::to_write`], if these are the keys that are there.
    ///
    /// # Errors
    /// As [`Keys::to_write`].
    pub(crate) async fn to_write_from(
        &self,
        cx: &Context,
        session: &SessionId,
        mut keys: Arc<SessionKeys>,
    ) -> Result<(Arc<SessionKeys>, Arc<DataKey>)> {
        for _ in 0..TRIES {
            if let Some(newest) = keys.newest() {
                let key = self.open(cx, session, &keys, newest).await?;
                return Ok((keys, key));
            }
            let key = DataKey::first(cx.mint(keys.version)?)?;
            let record = self.wrap(cx, session, &key, key.id, key.id).await?.record()?;
            match self.put(cx, session, &keys, &[record]).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(of_key_store(&error, session)),
            }
            // Somebody else may have made one too, and everybody has to use the same.
            keys = self.read(cx, session).await?;
        }
        let error = Error::new(ErrorKind::Unavailable, "no key could be made, because others always came first");
        Err(error.with("session", format!("{session:?}")))
    }

    /// Writes to a session of the key store; where it can compare, only if the session still is as it was read, which saves
    /// keys but is not needed.
    pub(crate) async fn put(
        &self,
        cx: &Context,
        session: &SessionId,
        read: &SessionKeys,
        records: &[Record],
    ) -> Result<()> {
        let expect = match (self.store.capabilities().compare_and_append.is_yes(), read.version) {
            (false, _) => Expect::Anything,
            (true, None) => Expect::New,
            (true, Some(version)) => Expect::Version(version),
        };
        let options = WriteOptions::fresh().expecting(expect);
        self.store.write(&Self::context(cx), session, records, &options).await.map(drop)
    }

    /// Wraps a data key under the primary key.
    pub(crate) async fn wrap(
        &self,
        cx: &Context,
        session: &SessionId,
        key: &DataKey,
        id: Stamp,
        root: Stamp,
    ) -> Result<Wrap> {
        let of = KeyContext::new(&cx.tenant, session, key.id, key.generation);
        let wrapped = self.provider.wrap(cx, &of, &key.material()).await;
        let wrapped = wrapped.map_err(|error| of_provider(&error, session, key.id))?;
        Ok(Wrap { id, root, key: key.id, generation: key.generation, wrapped })
    }

    /// The data key of this id, to read with.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnavailable`] if there is no such key, and those of the key store and of the provider.
    pub(crate) async fn to_read(&self, cx: &Context, session: &SessionId, id: Stamp) -> Result<Arc<DataKey>> {
        let began = cx.clock.now();
        let place = (cx.tenant.clone(), session.clone());
        if let Some((read, keys)) = self.cache.get(began, &place) {
            let has = keys.wraps().any(|wrap| wrap.key == id);
            if has || read >= began {
                return self.open(cx, session, &keys, id).await;
            }
        }
        // Another process may have made the key since the others were read.
        let keys = self.read(cx, session).await?;
        self.open(cx, session, &keys, id).await
    }

    /// A key of each lineage of a session; none if it has no key yet.
    ///
    /// # Errors
    /// Those of the key store and of the provider.
    pub(crate) async fn of_lineages(&self, cx: &Context, session: &SessionId) -> Result<Vec<Arc<DataKey>>> {
        let cached = self.cache.get(cx.clock.now(), &(cx.tenant.clone(), session.clone()));
        let keys = match cached {
            Some((_, keys)) if keys.newest().is_some() => keys,
            // Another process may have made one since.
            _ => self.read(cx, session).await?,
        };
        let mut found = Vec::new();
        for wrap in newest_of_roots(&keys).into_values() {
            found.push(self.open(cx, session, &keys, wrap.key).await?);
        }
        Ok(found)
    }

    /// Unwraps one wrap.
    pub(crate) async fn unwrap(&self, cx: &Context, session: &SessionId, wrap: &Wrap) -> Result<DataKey> {
        let of = KeyContext::new(&cx.tenant, session, wrap.key, wrap.generation);
        let material = self.provider.unwrap(cx, &of, &wrap.wrapped).await?;
        DataKey::from_material(wrap.key, wrap.generation, &material)
            .ok_or_else(|| Error::new(ErrorKind::Corrupted, "what was wrapped here is no data key"))
    }

    /// Unwraps one of the keys.
    pub(crate) async fn open(
        &self,
        cx: &Context,
        session: &SessionId,
        keys: &SessionKeys,
        id: Stamp,
    ) -> Result<Arc<DataKey>> {
        if let Some(key) = keys.opened(id) {
            return Ok(key);
        }
        let mut last = None;
        // The same key may be wrapped twice, while a rotation is on its way.
        for wrap in keys.wraps().filter(|wrap| wrap.key == id) {
            match self.unwrap(cx, session, wrap).await {
                Ok(key) => return Ok(keys.remember(key)),
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => of_provider(&error, session, id),
            None => {
                let why = match keys.was_shredded() {
                    true => "the data key was destroyed, or is not in the key store",
                    false => "the data key is not in the key store",
                };
                Error::new(ErrorKind::KeyUnavailable, why).with("session", format!("{session:?}")).with("data_key", id)
            }
        })
    }
}

/// An error of the key store as one of the layer: nothing was written to the session itself, whatever became of the key.
fn of_key_store(error: &Error, session: &SessionId) -> Error {
    copied(error, "key store").with("session", format!("{session:?}"))
}

fn of_provider(error: &Error, session: &SessionId, key: Stamp) -> Error {
    copied(error, "key provider").with("session", format!("{session:?}")).with("data_key", key)
}

fn copied(error: &Error, by: &'static str) -> Error {
    let copy = Error::new(error.kind(), error.message().to_owned()).retry_is(error.retry());
    error.context().fold(copy, |copy, (name, value)| copy.with(name, value)).with("by", by)
}
