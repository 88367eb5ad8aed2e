//! Turns: two calls that write the same ids go one after the other.
//!
//! Only where legs are written at the same time. Each leg would decide for itself which of two messages with one id it
//! has known first, and a secondary might keep the one that the primary refuses.

use std::collections::BTreeSet;
use std::sync::Arc;

use craftx_core::{Context, Error, ErrorKind, Operation, Record, Result, Stamp};
use craftx_retry::in_time;
use futures_util::lock::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::dirty::Place;
use crate::inner::Inner;

/// The writes that are under way.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Vec<Taken>,
    last: u64,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    place: Place,
    ids: BTreeSet<Stamp>,
    /// Locked until the write is over.
    over: Arc<AsyncMutex<()>>,
}

impl Turns {
    /// Takes a turn, or says for which one to wait.
    fn take(&mut self, place: &Place, records: &[Record]) -> Result<(u64, OwnedMutexGuard<()>), Arc<AsyncMutex<()>>> {
        let ids: BTreeSet<Stamp> = records.iter().map(Record::stamp).collect();
        if let Some(other) = self.taken.iter().find(|taken| taken.place == *place && !taken.ids.is_disjoint(&ids)) {
            return Err(Arc::clone(&other.over));
        }
        let over = Arc::new(AsyncMutex::new(()));
        let held = over.try_lock_owned().ok_or_else(|| Arc::clone(&over))?;
        self.last += 1;
        self.taken.push(Taken { number: self.last, place: place.clone(), ids, over });
        Ok((self.last, held))
    }
}

/// As long as it lives nobody else writes the same ids.
pub(crate) struct Turn<'a> {
    inner: &'a Inner,
    number: u64,
    _held: OwnedMutexGuard<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.inner.state().turns.taken.retain(|taken| taken.number != self.number);
    }
}

impl Inner {
    /// Waits until nobody else writes the same ids.
    ///
    /// # Errors
    /// `Timeout` if that takes too long; nothing has been written then.
    pub(crate) async fn turn(&self, cx: &Context, place: &Place, records: &[Record]) -> Result<Turn<'_>> {
        loop {
            let taken = self.state().turns.take(place, records);
            let other = match taken {
                Ok((number, held)) => return Ok(Turn { inner: self, number, _held: held }),
                Err(other) => other,
            };
            let over = async {
                drop(other.lock().await);
                Ok(())
            };
            in_time(&self.share(cx, 0), Operation::Write, over).await.map_err(|_| {
                Error::new(ErrorKind::Timeout, "another call is writing the same ids").during(Operation::Write.as_str())
            })?;
        }
    }
}
