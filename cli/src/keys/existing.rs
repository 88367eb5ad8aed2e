//! `craftx keys encrypt-existing`.

use craftx::{Prepare, Storage};
use serde_json::json;

use super::Opened;
use crate::args::KeysEncryptExisting;
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};
use crate::progress::Progress;

pub(crate) async fn run(global: &Global, existing: &KeysEncryptExisting) -> Result<Exit, Failure> {
    // Before the store is made, if it has to be: there is nothing to do without this one.
    let from = Storage::open_with(&craftx::builtin(), &existing.from, Prepare::Open).await?;
    let opened = Opened::new(global, global.open().await?);
    let progress = Progress::new(global, "keys encrypt-existing", "sessions", None);
    let layer = opened.layer()?;
    let copied = layer.encrypt_existing_watched(&opened.cx, from.stack().backend(), &|_| progress.add(1)).await?;
    drop(progress);
    opened.close().await?;
    from.close().await?;
    output::say(match copied.applied {
        0 => "everything that is there is here, encrypted; if nothing writes to it any more, delete it and its backups",
        _ => "do it again when nothing writes there any more: when nothing is left to encrypt, everything is here",
    });
    let mut out = Out::new();
    if global.json {
        out.object(json!({
            "tenants": copied.tenants,
            "sessions": copied.sessions,
            "records": copied.records,
            "applied": copied.applied,
        }))?;
    } else {
        let (sessions, records, applied) = (copied.sessions, copied.records, copied.applied);
        out.line(format_args!("{sessions} sessions with {records} records; {applied} were encrypted now"))?;
    }
    out.finish()?;
    Ok(Exit::Ok)
}
