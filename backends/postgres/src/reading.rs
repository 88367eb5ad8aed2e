//! Reading: from a replica that has what the reader must see, or from the server that takes writes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use craftx_core::{Context, Deadline, Freshness, Result, async_trait};
use futures_util::future::join;

use crate::call::Call;
use crate::conn::Conn;
use crate::error::{Fault, Sql, late};
use crate::node::{Node, Pooled};
use crate::store::{FIRST_PAUSE, Store, give_back, position, rest, until};

/// Something that is read, in one snapshot.
#[async_trait]
pub(crate) trait Reading: Send + Sync + 'static {
    type Answer: Send + Sync + 'static;

    /// Reads it. Also says how far the server was, if the statement told.
    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Self::Answer, Option<u64>)>;
}

/// What a reader must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    Nothing,
    Position(u64),
    Primary,
}

impl Store {
    /// Reads something from a server that has what the caller must see.
    pub(crate) async fn read<R: Reading>(self: &Arc<Self>, cx: &Context, reading: R) -> Result<R::Answer> {
        let needs = self.needs(cx);
        self.call(cx, move |store, deadline, call| async move {
            store.read_somewhere(&reading, needs, &deadline, &call).await
        })
        .await
    }

    /// Reads something from the server that takes writes.
    pub(crate) async fn read_primary<R: Reading>(self: &Arc<Self>, cx: &Context, reading: R) -> Result<R::Answer> {
        self.call(cx, move |store, deadline, call| async move {
            store.read_somewhere(&reading, Needs::Primary, &deadline, &call).await
        })
        .await
    }

    /// Reads something that may take long, over a connection of its own to the server that takes writes.
    pub(crate) async fn read_apart<R: Reading>(self: &Arc<Self>, cx: &Context, reading: R) -> Result<R::Answer> {
        self.call(cx, move |store, deadline, call| async move {
            let node = store.cluster.find_primary(&deadline).await?;
            let conn = store.cluster.apart(node).await?;
            if !call.begin() {
                return Err(Deadline::error());
            }
            match until(&deadline, reading.read(&store, &conn)).await {
                Some(answer) => Ok(answer?.0),
                None => Err(Deadline::error()),
            }
        })
        .await
    }

    fn needs(&self, cx: &Context) -> Needs {
        match cx.freshness {
            Freshness::Eventual => return Needs::Nothing,
            Freshness::Latest => return Needs::Primary,
            _ => {}
        }
        let seen = self.seen.load(Ordering::Relaxed);
        match (&cx.token, self.place(cx)) {
            (None, _) => Needs::Position(seen),
            (Some(_), Some(place)) => Needs::Position(seen.max(place.position)),
            // A token of another store says nothing here; who takes writes has everything.
            (Some(_), None) => Needs::Primary,
        }
    }

    async fn read_somewhere<R: Reading>(
        &self,
        reading: &R,
        needs: Needs,
        deadline: &Deadline,
        call: &Call,
    ) -> Result<R::Answer> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(node) = self.replica_for(needs)
                && let Some(answer) = self.read_replica(node, reading, needs, deadline, call).await
            {
                return answer;
            }
            let fault = match self.read_primary_once(reading, deadline, call).await {
                Ok(answer) => return Ok(answer),
                Err(Fault::Refused(error)) => return Err(error),
                Err(fault) => fault,
            };
            if deadline.has_passed() {
                return Err(fault.into_error());
            }
            call.failed(fault.into_error());
            rest(&mut pause, deadline).await;
        }
    }

    fn replica_for(&self, needs: Needs) -> Option<&Node> {
        match needs {
            Needs::Primary => None,
            Needs::Nothing => self.cluster.replica(0, true),
            Needs::Position(position) => self.cluster.replica(position, false),
        }
    }

    /// Reads from a replica; `None` if it lacks what is needed, or fails.
    async fn read_replica<R: Reading>(
        &self,
        node: &Node,
        reading: &R,
        needs: Needs,
        deadline: &Deadline,
        call: &Call,
    ) -> Option<Result<R::Answer>> {
        let conn = node.connection(deadline).await.ok()?;
        if !call.begin() {
            return Some(Err(Deadline::error()));
        }
        // How far it is, is sent first and so read before what is read: what follows has at least that.
        let both = join(position(&conn), self.read_with(reading, &conn));
        let Some((before, read)) = until(deadline, conn.together(both)).await else {
            drop(Pooled::take(conn));
            return Some(Err(Deadline::error()));
        };
        match (before, needs) {
            (Ok(before), Needs::Position(needed)) if before < needed => {
                // A token may speak of a position that there never was.
                node.lacks(needed.min(self.cluster.farthest()));
                return None;
            }
            (Err(_), _) => {
                drop(Pooled::take(conn));
                return None;
            }
            _ => {}
        }
        match read {
            Ok(answer) => Some(Ok(answer)),
            Err(Fault::Refused(error)) => Some(Err(error)),
            // The server that takes writes is asked then.
            Err(fault) => {
                give_back(conn, &fault);
                None
            }
        }
    }

    async fn read_primary_once<R: Reading>(&self, reading: &R, deadline: &Deadline, call: &Call) -> Sql<R::Answer> {
        let conn = self.cluster.for_writing(call.timeline(), deadline).await?;
        if !call.begin() {
            return Err(late());
        }
        match until(deadline, self.read_with(reading, &conn)).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(fault)) => {
                self.suspect(&fault);
                give_back(conn, &fault);
                Err(fault)
            }
            None => {
                drop(Pooled::take(conn));
                Err(Fault::Refused(Deadline::error()))
            }
        }
    }

    async fn read_with<R: Reading>(&self, reading: &R, conn: &Conn) -> Sql<R::Answer> {
        let read = reading.read(self, conn).await;
        self.saw(conn, &read).await?;
        read.map(|(answer, _)| answer)
    }
}
