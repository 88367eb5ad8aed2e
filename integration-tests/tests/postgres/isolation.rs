//! Tenants that the server itself keeps apart: whoever reads the tables with no tenant set sees nothing.

use craftx_core::{Backend, Context, Tenant};
use craftx_integration_tests::servers::postgres_is_there;
use futures_executor::block_on;
use std::time::Duration;

use crate::support::{as_another_user, cluster, config, cx, fresh_schema, message, open, texts, write};

const TABLES: [&str; 7] = ["tenants", "sessions", "messages", "deletions", "session_keys", "acls", "visible_to"];

fn of(tenant: &str) -> Context {
    Context::system(Tenant::new(tenant).unwrap()).with_timeout(Duration::from_secs(60))
}

/// Runs SQL as the user of the store, who owns its tables. The superuser may do everything, also be somebody else.
fn as_user(sql: &str) -> Result<String, String> {
    cluster().sql(0, &format!("SET ROLE app; {sql}"))
}

fn counts(schema: &str, before: &str) -> Vec<String> {
    let count = |table: &&str| as_user(&format!("{before} SELECT count(*) FROM {schema}.{table}")).unwrap();
    TABLES.iter().map(count).map(|count| count.lines().last().unwrap_or_default().to_owned()).collect()
}

#[test]
fn without_a_tenant_nothing_can_be_seen() {
    if !postgres_is_there("row-level security") {
        return;
    }
    let (url, schema) = (as_another_user(&cluster().url()), fresh_schema());
    let store = open(config(&url, &schema).row_security(true).connections(1));
    for (tenant, messages) in [("acme", 3), ("globex", 5)] {
        let records = all_kinds(messages);
        block_on(write(&store, &of(tenant), "a", &records)).unwrap();
    }
    assert_eq!(counts(&schema, ""), ["0"; 7]);
    assert_eq!(counts(&schema, "SET craftx.tenant = '';"), ["0"; 7]);
    assert_eq!(counts(&schema, "SET craftx.tenant = 'acme';"), ["1", "1", "3", "1", "1", "1", "2"]);
    assert_eq!(counts(&schema, "SET craftx.tenant = 'globex';"), ["1", "1", "5", "1", "1", "1", "2"]);
    let all = counts(&schema, "SET craftx.system = on;");
    assert_eq!([&*all[0], &*all[2]], ["2", "8"]);

    // Nor can anything be written for somebody else, or changed.
    let tid = cluster().sql(0, &format!("SELECT tid FROM {schema}.tenants WHERE name = 'globex'")).unwrap();
    let insert = format!(
        "SET craftx.tenant = 'acme'; INSERT INTO {schema}.deletions VALUES
         ({tid}, 1, gen_random_uuid(), gen_random_uuid(), 1)"
    );
    let refused = as_user(&insert).unwrap_err();
    assert!(refused.contains("42501"), "{refused}");
    let change = format!("SET craftx.tenant = 'acme'; UPDATE {schema}.messages SET text = 'x' RETURNING 1");
    assert_eq!(as_user(&change.replace("'x'", "text")).unwrap().lines().count(), 3);

    // What a call says of its tenant is forgotten with its transaction: there is but one connection.
    for _ in 0..3 {
        for (tenant, messages) in [("acme", 3), ("globex", 5)] {
            assert_eq!(block_on(texts(&store, &of(tenant), "a")).unwrap().len(), messages);
        }
        let missing = block_on(texts(&store, &of("initech"), "a")).unwrap_err();
        assert_eq!(missing.kind(), craftx_core::ErrorKind::NotFound);
    }
    let set = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    assert_ne!(cluster().sql(0, set).unwrap(), "0");
}

/// Records of all kinds, among them so many messages that live.
fn all_kinds(messages: u64) -> Vec<craftx_core::Record> {
    use craftx_core::{Grant, Record};
    use std::collections::BTreeMap;

    use crate::support::stamp;
    let mut records: Vec<Record> = (0..messages).map(|number| message(number, "secret")).collect();
    records.push(Record::Deleted { id: stamp(900), stamp: stamp(901) });
    records.push(Record::Session { stamp: stamp(902), set: BTreeMap::from([("k".to_owned(), Some(1.into()))]) });
    let grants = vec![Grant { to: "bob".into(), actions: vec!["read".into()] }];
    records.push(Record::Acl { stamp: stamp(903), owner: Some("ann".into()), grants });
    records
}

/// With one connection behind it, everything that a call leaves on a session would be seen by the next one: here by raw SQL
/// over the same connection of a pooler.
#[test]
fn behind_a_pooler_no_tenant_is_left_on_a_connection() {
    use craftx_integration_tests::servers::{PgBouncer, pgbouncer_is_there};
    let what = "row-level security behind a pooler";
    if !postgres_is_there(what) || !pgbouncer_is_there(what) {
        return;
    }
    let pooler = PgBouncer::start(cluster().port(0));
    let schema = fresh_schema();
    let store = open(config(&pooler.url(), &schema).row_security(true).connections(1));
    block_on(write(&store, &cx(), "a", &[message(1, "hello")])).unwrap();
    let ask = || {
        let mut psql = std::process::Command::new("psql");
        let sql = "SELECT '<' || coalesce(current_setting('craftx.tenant', true), '') || '>'";
        let output = psql.args(["-X", "-At", "-c", sql, "-d", &pooler.url()]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    for number in 2..12 {
        block_on(write(&store, &cx(), "a", &[message(number, "hello")])).unwrap();
        assert_eq!(ask(), "<>");
    }
    block_on(store.close(&cx())).unwrap();
}
