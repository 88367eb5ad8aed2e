//! Limits who may do what: sessions belong to who starts them, owners grant and revoke, and a role reads everything.
//!
//! ```text
//! bob reads it: load: there is no such session, session: `plans`
//! bob reads it once it is granted: 1 message
//! bob writes to it: write: the caller may not do this, action: append, session: `plans`
//! bob sees: own, plans
//! bob sees after it was revoked: own
//! support sees: own, plans
//! nobody: sessions: the call names no caller
//! ```

use craftx::access::{Action, Grantee, Guard};
use craftx::{Caller, NewMessage, Prepare, Result, SessionId, StackConfig, Storage};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // In a file this is `[[access.allow]]` and `create = true`, and so on.
    let reading = json!({ "roles": ["support"], "actions": ["read", "list", "search"] });
    let rules = json!([{ "create": true }, reading]);
    let config = StackConfig::new("memory").layer("access").option("access", "allow", rules);
    let storage = Storage::new(craftx::builtin().build_stack(&config)?);
    storage.prepare(Prepare::Migrate).await?;

    // Who asks is said by the application, which knows; never by a message.
    let ann = storage.for_caller(Caller::principal("ann", [""; 0]));
    let bob = storage.for_caller(Caller::principal("bob", [""; 0]));
    ann.append("plans", NewMessage::user("Where do herons nest?")).await?;
    bob.append("own", NewMessage::user("Hello")).await?;
    told("bob reads it", bob.last("plans", 1).await.map(|_| ()));

    let (plans, to_bob) = (SessionId::new("plans")?, Grantee::principal("bob")?);
    if let Some(guard) = storage.stack().find::<Guard>() {
        guard.grant(&ann.context(), &plans, &to_bob, [Action::Read]).await?;
        println!("bob reads it once it is granted: {} message", bob.last("plans", 1).await?.len());
        told("bob writes to it", bob.append("plans", NewMessage::user("In trees")).await.map(|_| ()));
        println!("bob sees: {}", seen(&bob).await?);
        guard.revoke(&ann.context(), &plans, &to_bob).await?;
        println!("bob sees after it was revoked: {}", seen(&bob).await?);
    }
    let support = storage.for_caller(Caller::principal("carl", ["support"]));
    println!("support sees: {}", seen(&support).await?);
    told("nobody", storage.list_sessions().await.map(|_| ()));
    Ok(())
}

fn told(what: &str, result: Result<()>) {
    match result {
        Ok(()) => println!("{what}: this should not happen"),
        Err(error) => println!("{what}: {error}"),
    }
}

async fn seen(storage: &Storage) -> Result<String> {
    let names: Vec<String> = storage.list_sessions().await?.iter().map(ToString::to_string).collect();
    Ok(names.join(", "))
}
