//! What craftx-sqlite has to do with whatever SQLite it was built.

use craftx_core::{
    Context, Location, Message, MessageQuery, Prepare, Record, Registry, Result, Role, SessionId, Stamp, Tenant,
    WriteOptions,
};

/// Writes to a new store in `folder`, opens it again, and reads.
pub async fn writes_and_reads(folder: &std::path::Path) -> Result<()> {
    let mut registry = Registry::new();
    craftx_sqlite::register(&mut registry);
    let location = Location::parse(&format!("sqlite:{}", folder.join("store.db").display()))?;
    let cx = Context::new(Tenant::default());
    let session = SessionId::new("a session")?;
    let messages: Vec<Message> = (1..=3)
        .map(|at| Ok(Message::new(Stamp::mint(at, None, 0)?, Role::User, format!("message {at}"))))
        .collect::<Result<_>>()?;
    let records: Vec<Record> = messages.iter().cloned().map(Record::Message).collect();

    let store = registry.build(&location)?;
    store.prepare(&cx, Prepare::Migrate).await?;
    store.write(&cx, &session, &records, &WriteOptions::fresh()).await?;
    store.close(&cx).await?;

    let store = registry.build(&location)?;
    store.prepare(&cx, Prepare::Open).await?;
    let found = store.load(&cx, &session, &MessageQuery::oldest_first()).await?;
    assert_eq!(found.items, messages);
    store.close(&cx).await
}
