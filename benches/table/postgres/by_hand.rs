//! The baseline: the table that a team would write by hand, and tokio-postgres.

use std::pin::pin;
use std::time::SystemTime;

use craftx::{Stamp, random_bits};
use craftx_integration_tests::servers::Postgres;
use tokio::runtime::Runtime;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, Statement};

use crate::{Outcome, messages};

/// One connection, and what is prepared on it.
pub(super) struct ByHand {
    client: Client,
    insert: Statement,
    last: Statement,
    copy: String,
}

/// A message as strings.
pub(super) type Found = (String, String, String, SystemTime);

impl ByHand {
    /// A new table of this name.
    pub(super) fn new(runtime: &Runtime, server: &Postgres, table: &str) -> Outcome<Self> {
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await?;
            runtime.spawn(connection);
            client
                .batch_execute(&format!(
                    "DROP TABLE IF EXISTS {table};
                     CREATE TABLE {table} (
                         session_id text, id uuid, role text, content text, created_at timestamptz,
                         PRIMARY KEY (session_id, id)
                     )"
                ))
                .await?;
            let insert = client.prepare(&format!("INSERT INTO {table} VALUES ($1, $2, $3, $4, $5)")).await?;
            let last = format!(
                "SELECT id, role, content, created_at FROM {table} WHERE session_id = $1 ORDER BY id DESC LIMIT 50"
            );
            let last = client.prepare(&last).await?;
            let copy = format!("COPY {table} FROM STDIN BINARY");
            Ok(Self { client, insert, last, copy })
        })
    }

    pub(super) async fn append(&self, session: &str, n: usize) -> Outcome<()> {
        let now = SystemTime::now();
        let millis = now.duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let id = Stamp::mint(millis as u64, None, random_bits())?;
        let (role, text) = (messages::role(n).0, messages::text(n));
        self.client.execute(&self.insert, &[&session, &id.as_uuid(), &role.as_str(), &text, &now]).await?;
        Ok(())
    }

    pub(super) async fn last_50(&self, session: &str) -> Outcome<Vec<Found>> {
        let rows = self.client.query(&self.last, &[&session]).await?;
        let read = |row: &tokio_postgres::Row| {
            let id: craftx::Uuid = row.try_get(0)?;
            Ok((id.to_string(), row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
        };
        rows.iter().map(read).collect()
    }

    /// Copies messages of the past, by their number, in one transaction.
    pub(super) async fn copy(&self, numbers: impl Iterator<Item = (String, usize)>) -> Outcome<()> {
        let types = [Type::TEXT, Type::UUID, Type::TEXT, Type::TEXT, Type::TIMESTAMPTZ];
        let mut rows = pin!(BinaryCopyInWriter::new(self.client.copy_in(&self.copy).await?, &types));
        let now = SystemTime::now();
        for (session, n) in numbers {
            let (id, role, text) = (messages::stamp(n).as_uuid(), messages::role(n).0, messages::text(n));
            rows.as_mut().write(&[&session, &id, &role.as_str(), &text, &now]).await?;
        }
        rows.finish().await?;
        Ok(())
    }
}
