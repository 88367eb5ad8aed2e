//! craftx-sqlite beside sqlx.
#![cfg(test)]

#[path = "../../store.rs"]
mod store;

use sqlx::{Connection, Row, SqliteConnection};

#[tokio::test]
async fn a_store_works_beside_sqlx() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    sqlx::query("CREATE TABLE t (x TEXT)").execute(&mut other).await.unwrap();
    sqlx::query("INSERT INTO t VALUES (?1)").bind("theirs").execute(&mut other).await.unwrap();

    store::writes_and_reads(folder.path()).await.unwrap();

    let row = sqlx::query("SELECT x FROM t").fetch_one(&mut other).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "theirs");
}
