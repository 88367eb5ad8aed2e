//! Keeps the conversations of two customers apart in one store.
//!
//! ```text
//! acme: 1 session
//! globex: 0 sessions
//! globex reads acme's session: not_found
//! tenants: acme, globex
//! a customer who asks for the tenants: permission_denied
//! ```

use craftx::{Caller, NewMessage, Storage, Tenant, TryStreamExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("memory:").await?;
    // Cheap: they share the store. The tenant comes from your code, after you know who asks, and never from a message.
    let acme = storage.for_tenant(Tenant::new("acme")?);
    let globex = storage.for_tenant(Tenant::new("globex")?);

    acme.append("plans", NewMessage::user("Nobody else may see this.")).await?;
    for (name, storage) in [("acme", &acme), ("globex", &globex)] {
        let count = storage.list_sessions().await?.len();
        println!("{name}: {count} session{}", if count == 1 { "" } else { "s" });
    }
    let found = globex.load_conversation("plans").await;
    println!("globex reads acme's session: {}", found.map_or_else(|error| error.kind().as_str(), |_| "found"));

    globex.append("plans", NewMessage::user("The same name, another session.")).await?;
    // Only the application itself sees who is there, for backup and administration.
    let tenants: Vec<Tenant> = storage.for_caller(Caller::System).tenants().try_collect().await?;
    println!("tenants: {}", tenants.iter().map(Tenant::as_str).collect::<Vec<_>>().join(", "));
    let refused: Result<Vec<Tenant>, _> = acme.tenants().try_collect().await;
    println!("a customer who asks for the tenants: {}", refused.map_or_else(|error| error.kind().as_str(), |_| "told"));
    Ok(())
}
