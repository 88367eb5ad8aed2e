//! Writing: to the server that takes writes, whichever that is, until it is known to be done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use craftx_core::{Context, Deadline, Error, ErrorKind, Result, Token, async_trait};

use crate::call::Call;
use crate::conn::Conn;
use crate::error::{Fault, Sql, late};
use crate::node::Pooled;
use crate::store::{FIRST_PAUSE, Store, give_back, rest, until};
use crate::token::Place;

/// Something that is written, as one transaction.
#[async_trait]
pub(crate) trait Writing: Send + Sync + 'static {
    type Answer: Send + Sync + 'static;

    /// Writes it, and says how far the server was afterwards if there are replicas.
    async fn write(&self, store: &Store, conn: &Conn) -> Sql<(Self::Answer, Option<u64>)>;
}

impl Store {
    /// Writes something, on whichever server takes writes, again and again until the deadline: what was written already
    /// is known then.
    pub(crate) async fn write<W: Writing>(
        self: &Arc<Self>,
        cx: &Context,
        writing: W,
    ) -> Result<(W::Answer, Option<Token>)> {
        self.call(cx, move |store, deadline, call| async move { store.write_until(&writing, &deadline, &call).await })
            .await
    }

    async fn write_until<W: Writing>(
        &self,
        writing: &W,
        deadline: &Deadline,
        call: &Call,
    ) -> Result<(W::Answer, Option<Token>)> {
        let mut pause = FIRST_PAUSE;
        // Whether something was sent of which nobody knows what became.
        let mut unknown = false;
        loop {
            let mut sent = false;
            let fault = match self.write_once(writing, deadline, call, &mut sent).await {
                Ok(written) => return Ok(written),
                Err(fault) => fault,
            };
            unknown |= sent && matches!(fault, Fault::Lost(_));
            let again = !matches!(fault, Fault::Refused(_)) && !deadline.has_passed();
            let error = fault.into_error();
            let error = if unknown { error.maybe_applied() } else { error };
            if !again {
                return Err(error);
            }
            call.failed(error);
            rest(&mut pause, deadline).await;
        }
    }

    async fn write_once<W: Writing>(
        &self,
        writing: &W,
        deadline: &Deadline,
        call: &Call,
        sent: &mut bool,
    ) -> Sql<(W::Answer, Option<Token>)> {
        let conn = self.cluster.for_writing(call.timeline(), deadline).await?;
        if !call.begin() {
            return Err(Fault::Refused(Deadline::error()));
        }
        *sent = true;
        let writes = async {
            let written = writing.write(self, &conn).await;
            self.saw(&conn, &written).await?;
            written
        };
        let Some(written) = until(deadline, writes).await else {
            // Nothing is cancelled: a commit that waits for its standby would be shown to others without it.
            drop(Pooled::take(conn));
            return Err(late());
        };
        let fault = match written {
            Ok(_) if conn.take_unconfirmed() => {
                Fault::Lost(Error::new(ErrorKind::Unavailable, "no standby has confirmed the write"))
            }
            Ok((answer, position)) => {
                return Ok((answer, position.and_then(|_| self.token(&conn))));
            }
            Err(fault) => fault,
        };
        self.suspect(&fault);
        give_back(conn, &fault);
        Err(fault)
    }

    /// What stands for everything that this handle has seen, so that the last token that it gave is enough.
    fn token(&self, conn: &Conn) -> Option<Token> {
        let (system, position) = (self.cluster.system()?, self.seen.load(Ordering::Relaxed));
        Some(Place { system, timeline: conn.timeline(), position }.token())
    }
}
