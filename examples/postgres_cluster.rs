//! Writes to a PostgreSQL cluster, reads from its replicas, and hands on what a reader must have seen.
//!
//! Needs a primary and two replicas, such as those of `docker-compose.yml`, and their URL as its argument:
//! `cargo run --example postgres_cluster --features postgres -- "postgres://craftx:pw@127.0.0.1:15432,127.0.0.1:15433,127.0.0.1:15434/craftx"`
//!
//! ```text
//! servers: primary, replica, replica
//! a write is acknowledged by: primary
//! one process wrote 100 messages
//! another one, told by the token, reads 100
//! a look at whatever is there, even old: done
//! who has to know the latest reads 100
//! ```

use craftx::{Freshness, NewMessage, Storage, Token};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let Some(url) = std::env::args().nth(1) else {
        println!("needs the URL of a cluster, as the documentation of this example says");
        return Ok(());
    };
    let storage = Storage::open(&url).await?;
    storage.delete_session("cluster-demo").await?;

    let status = storage.status().await?;
    let mut roles: Vec<&str> = status.nodes.iter().map(|node| node.role).collect();
    roles.sort_unstable();
    println!("servers: {}", roles.join(", "));
    if let Some(by) = status.capabilities.acknowledgement {
        println!("a write is acknowledged by: {}", by.as_str().replace('_', " "));
    }

    for n in 1..=100 {
        storage.append("cluster-demo", NewMessage::user(format!("message {n}"))).await?;
    }
    println!("one process wrote 100 messages");

    // A token is text: it goes into a cookie, a header or a job. Whoever has it sees what was written before, from a replica
    // that is far enough, or from the primary.
    let told = storage.token().map(|token| token.0);
    let another = Storage::open_existing(&url).await?.with_token(told.map(Token));
    println!("another one, told by the token, reads {}", another.history_or_empty("cluster-demo").await?.len());

    // For a list that may be a moment old: any replica will do, however far behind.
    another.with_freshness(Freshness::Eventual).last("cluster-demo", 20).await.ok();
    println!("a look at whatever is there, even old: done");

    let latest = another.with_token(None).with_freshness(Freshness::Latest);
    println!("who has to know the latest reads {}", latest.history_or_empty("cluster-demo").await?.len());
    another.close().await?;
    storage.close().await
}
