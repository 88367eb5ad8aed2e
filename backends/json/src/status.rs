//! What is true of the store right now.

use std::path::Path;

use craftx_core::{Caller, Context, ErrorKind, Result, Status};
use uuid::Uuid;

use crate::error::io_error;
use crate::header::VERSION;
use crate::marker::Opened;
use crate::store::Store;

/// Counting live sessions means reading them; beyond this many it is not cheap.
const CHEAP: usize = 1_000;

impl Store {
    pub(crate) fn status(&self, cx: &Context, capabilities: craftx_core::Capabilities) -> Result<Status> {
        let pass = self.enter(cx)?;
        let (store, schema) = match pass.opened {
            Opened::Store(store) => (store, VERSION),
            Opened::Legacy => (Uuid::nil(), 0),
        };
        let mut status = Status::new(store, crate::SCHEME, self.layout.root().display().to_string(), capabilities);
        status.schema = Some(schema);
        status.sessions = self.count_sessions(cx)?;
        if cx.caller == Caller::System {
            status.bytes = Some(self.bytes_in(cx, self.layout.root())?);
        }
        Ok(status)
    }

    fn count_sessions(&self, cx: &Context) -> Result<Option<u64>> {
        let names = match self.session_names(cx, &cx.tenant) {
            Ok(names) if names.len() <= CHEAP => names,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Corrupted => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut live = 0;
        for id in names {
            cx.check_deadline()?;
            match self.look_up(cx, &id) {
                Ok(found) => live += u64::from(found.is_some_and(|(_, live)| live)),
                // Not known, which is not an error of the status.
                Err(error) if error.kind() == ErrorKind::Corrupted => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(live))
    }

    fn bytes_in(&self, cx: &Context, dir: &Path) -> Result<u64> {
        cx.check_deadline()?;
        let failed = |error| io_error("cannot measure the store", dir, error);
        let mut bytes = 0;
        for (name, is_dir) in self.disk.list(dir).map_err(failed)?.unwrap_or_default() {
            let path = dir.join(name);
            bytes += if is_dir {
                self.bytes_in(cx, &path)?
            } else {
                self.disk.stat_path(&path).map_err(failed)?.map_or(0, |stat| stat.len)
            };
        }
        Ok(bytes)
    }
}
