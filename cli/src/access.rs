//! `craftx access check`.

use craftx::access::{Explained, Guard};
use craftx::{Caller, Error, SessionId};
use serde_json::json;

use crate::args::{Access, AccessCheck};
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Out};

pub(crate) async fn run(global: &Global, access: Access) -> Result<Exit, Failure> {
    let Access::Check(check) = access;
    let storage = global.open_existing().await?;
    let session = check.session.as_ref().map(SessionId::new).transpose()?;
    let guard = storage.stack().find::<Guard>();
    let guard = guard.ok_or_else(|| Error::unsupported("access control: it has no layer `access`", "the stack"))?;
    let cx = storage.context();
    let explained = guard.explain(&cx, session.as_ref(), check.action).await?;
    storage.close().await?;
    let mut out = Out::new();
    print(&mut out, global, &cx.caller, &check, &explained)?;
    out.finish()?;
    Ok(if explained.decision.allowed { Exit::Ok } else { Exit::Denied })
}

fn print(
    out: &mut Out,
    global: &Global,
    caller: &Caller,
    check: &AccessCheck,
    explained: &Explained,
) -> Result<(), Failure> {
    let (name, roles) = match caller {
        Caller::Principal { id, roles } => (id.to_string(), roles.iter().map(ToString::to_string).collect()),
        _ => ("the system".to_owned(), Vec::new()),
    };
    let Explained { relation, decision, .. } = explained;
    if global.json {
        return out.object(json!({
            "principal": name,
            "roles": roles,
            "tenant": global.tenant(),
            "action": check.action,
            "session": check.session,
            "relation": relation.as_str(),
            "allowed": decision.allowed,
            "rule": decision.rule,
        }));
    }
    let may = if decision.allowed { "may" } else { "may not" };
    let what = check.session.as_deref().unwrap_or("the tenant");
    let line = format!("{name} {may} {} {what} ({}): {}", check.action, relation.as_str(), decision.rule);
    out.line(output::one_line(&line))
}
