//! `craftx keys shred`.

use craftx::encrypt_layer::{Encrypted, ShredReceipt};
use craftx::{Context, Result, SessionId, Slot};
use serde_json::json;

use super::Opened;
use crate::args::KeysShred;
use crate::ask;
use crate::exit::{Exit, Failure, Tally};
use crate::global::Global;
use crate::output::{self, Out};
use crate::resolve;

pub(crate) async fn run(global: &Global, shred: &KeysShred) -> std::result::Result<Exit, Failure> {
    let session = SessionId::new(&shred.session)?;
    let opened = Opened::new(global, global.open_to_change().await?);
    let layer = opened.layer()?;
    opened.cx.require_system().map_err(|error| error.during("shred"))?;
    if !leaves_a_trace(&opened, layer, &opened.cx, &session).await? {
        return Err(resolve::missing(&opened.storage, &session).await.into());
    }
    let what = format!("the keys of the session {session:?} are destroyed: nobody can read it any more, in no copy");
    if !ask::agrees(global, shred.yes, what).await? {
        return Ok(Exit::Interrupted);
    }
    let receipt = layer.shred(&opened.cx, &session).await?;
    opened.close().await?;
    let mut out = Out::new();
    print(global, &mut out, &receipt)?;
    out.finish()?;
    let mut tally = Tally::default();
    for step in &receipt.steps {
        match step.failed {
            None => tally.done(1),
            Some(_) => tally.fail(Exit::Other),
        }
    }
    Ok(tally.exit())
}

/// Whether there is something of the session, be it only that it was deleted, or keys that nothing needs. It is asked below
/// the layer: what cannot be read must not keep anybody from shredding it.
async fn leaves_a_trace(opened: &Opened, layer: &Encrypted, cx: &Context, session: &SessionId) -> Result<bool> {
    let version = match opened.storage.stack().below(Slot::Encrypt) {
        Some(below) => below.version(cx, session).await?,
        None => None,
    };
    Ok(version.is_some() || !layer.data_keys(cx, session).await?.is_empty())
}

fn print(global: &Global, out: &mut Out, receipt: &ShredReceipt) -> std::result::Result<(), Failure> {
    let ShredReceipt { tenant, session, at, data_keys, steps, remains, .. } = receipt;
    if global.json {
        return out.object(json!({
            "tenant": tenant,
            "session": session,
            "at": at,
            "data_keys": data_keys,
            "complete": receipt.is_complete(),
            "steps": steps,
            "remains": remains,
        }));
    }
    let mut line = |text: &str| out.line(output::one_line(text));
    line(&format!("shredded    {session} of the tenant {tenant}, {at}: {data_keys} data keys"))?;
    for step in steps {
        match &step.failed {
            None => line(&format!("done        {}: {}", step.store, step.what))?,
            Some(why) => line(&format!("not done    {}: {}: {why}", step.store, step.what))?,
        }
    }
    remains.iter().try_for_each(|what| line(&format!("remains     {what}")))
}
