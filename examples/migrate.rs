//! Moves a folder of CraftX.py to SQLite: plan, run, verify, and once more while the old store is still used.
//!
//! ```text
//! plan: 3 messages in 2 sessions, 3 records to copy
//! run: 3 records copied
//! once more: 0 records copied
//! said to the old store meanwhile: 1 records copied
//! both stores are equal: true
//! ```

use craftx::migrate::StorageMigrator;
use craftx::{Caller, NewMessage, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (logs, file) = (folder.path().join("chat_logs"), folder.path().join("craftx.db"));
    std::fs::create_dir(&logs)?;
    std::fs::write(logs.join("a.json"), r#"[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]"#)?;
    std::fs::write(logs.join("b.json"), r#"[{"role":"user","content":"Bye","timestamp":"2025-06-28T00:33:47"}]"#)?;

    // All tenants are moved, so both sides speak for the system. The old store is only read.
    let old = Storage::open_existing(&format!("json:{}", logs.display())).await?.for_caller(Caller::System);
    let new = Storage::open(&format!("sqlite:{}", file.display())).await?.for_caller(Caller::System);
    let migrator = StorageMigrator::new(&old, &new).journal(folder.path().join("journal.jsonl"));
    let plan = migrator.plan().await?;
    println!("plan: {} messages in {} sessions, {} records to copy", plan.messages, plan.sessions, plan.to_copy);
    // Killed half-way? Run it again: it goes on where the journal says.
    println!("run: {} records copied", migrator.run().await?.applied);
    println!("once more: {} records copied", migrator.run().await?.applied);

    let still_used = Storage::open(&format!("json:{}", logs.display())).await?;
    still_used.append("a", NewMessage::user("Anything new?")).await?;
    println!("said to the old store meanwhile: {} records copied", migrator.run().await?.applied);
    println!("both stores are equal: {}", migrator.verify().await?.is_equal());
    old.close().await?;
    new.close().await?;
    Ok(())
}
