//! The databases of CraftX.py, the Agents SDK and LangChain.

use super::*;

const FIRST_SCHEMA: &str = "
    CREATE TABLE conversations (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL,
        message TEXT NOT NULL, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
    CREATE INDEX idx_conversations_session_id ON conversations(session_id);
    CREATE TABLE sessions (session_id TEXT PRIMARY KEY, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
        updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
    CREATE TABLE model_configs (id INTEGER PRIMARY KEY AUTOINCREMENT, model_name TEXT UNIQUE NOT NULL, config JSON,
        created_at DATETIME DEFAULT CURRENT_TIMESTAMP);";
const LAST_SCHEMA: &str = "
    CREATE TABLE conversations (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, role TEXT NOT NULL,
        message TEXT NOT NULL, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
    CREATE INDEX idx_conv_sid ON conversations(session_id);
    CREATE TABLE sessions (session_id TEXT PRIMARY KEY, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
        updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);";

#[tokio::test]
async fn a_database_is_read_by_row_and_its_times_are_utc() {
    for schema in [FIRST_SCHEMA, LAST_SCHEMA] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("craftx.db");
        let database = Connection::open(&path).unwrap();
        database.execute_batch(schema).unwrap();
        database
            .execute_batch(
                r#"INSERT INTO conversations VALUES
                    (1, 'b', 'user', 'one', '2026-11-22 21:04:17', '{"priority": "high", "big": 9007199254740993}'),
                    (2, 'a', 'user', 'other', '2026-11-22 21:04:16', NULL),
                    (3, 'b', 'assistant', 'two', '2026-11-22 21:04:16', '{"n": NaN}'),
                    (4, 'b', 'user', 5, '2025-06-28T00:33:47.214584', '{}'),
                    (5, 'b', 'user', x'00ff', '2026-11-22 21:04:18', '{}'),
                    (6, 'b', 'tool', CAST(x'41ff' AS TEXT), '2026-11-22 21:04:18', '{}'),
                    (7, 'b', '', 'canary', '2026-11-22 21:04:18', '{}'),
                    (8, '', 'user', 'canary', '2026-11-22 21:04:18', '{}'),
                    (9, 'b', 'user', 'last', 'yesterday', '[1]');
                   INSERT INTO sessions VALUES
                    ('a', '2026-11-22 21:04:16', '2026-11-22 21:04:16', '{"title": "t"}'),
                    ('b', '2026-11-22 21:04:16', '2026-11-23 00:00:00', 'no JSON'),
                    ('empty', '2026-11-22 21:04:16', NULL, '{"only": "metadata"}');"#,
            )
            .unwrap();
        drop(database);
        for store in stores().await {
            let outcome = import(&store.storage, &path).await;
            assert_eq!((outcome.format, outcome.report.messages), ("craftx-py-sqlite", 5), "{outcome:?}");
            let rows: Vec<_> = outcome.failed.iter().map(|(row, _)| *row).collect();
            assert_eq!(rows, [8, 5, 6, 7], "{outcome:?}");
            assert!(!format!("{outcome:?}").contains("canary"));
            let found = messages(&store.storage, "b").await;
            let said: Vec<_> = found.iter().map(|message| (message.text().unwrap(), time(message))).collect();
            let said: Vec<_> = said.iter().map(|(text, time)| (*text, time.as_str())).collect();
            assert_eq!(
                said,
                [
                    ("one", "2026-11-22T21:04:17Z"),
                    ("two", "2026-11-22T21:04:16Z"),
                    ("5", "2025-06-28T00:33:47.214584"),
                    ("last", ""),
                ]
            );
            assert_eq!(found[0].metadata["big"], 9_007_199_254_740_993_u64);
            assert_eq!(found[1].metadata["metadata"], r#"{"n": NaN}"#, "kept, though it is no JSON");
            assert_eq!(Value::Object(found[3].metadata.clone()), json!({"metadata": [1], "timestamp": "yesterday"}));
            let of = |session: &'static str| store.storage.metadata(session);
            let created = json!({"created_at": "2026-11-22 21:04:16"});
            assert_eq!(Value::Object(of("a").await.unwrap()), json!({"title": "t", "craftx-py-sqlite": created}));
            assert_eq!(
                Value::Object(of("empty").await.unwrap()),
                json!({"only": "metadata", "craftx-py-sqlite": created})
            );
            assert_eq!(
                of("b").await.unwrap()["craftx-py-sqlite"],
                json!({"metadata": "no JSON", "created_at": "2026-11-22 21:04:16", "updated_at": "2026-11-23 00:00:00"})
            );
        }
    }
}

#[tokio::test]
async fn a_database_that_has_grown_adds_what_is_new() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("craftx.db");
    let database = Connection::open(&path).unwrap();
    database.execute_batch(LAST_SCHEMA).unwrap();
    let storage = Storage::open("memory:").await.unwrap();
    for (minute, applied) in [(0, 2), (1, 1), (2, 1)] {
        // What a save of the program does.
        let now = format!("2026-11-22 21:{minute:02}:00");
        database
            .execute("INSERT INTO conversations(session_id, role, message, timestamp, metadata) VALUES('s', 'user', 'x', ?1, '{}')", [&now])
            .unwrap();
        database
            .execute("INSERT INTO sessions VALUES('s', ?1, ?1, '{}') ON CONFLICT DO UPDATE SET updated_at = ?1", [&now])
            .unwrap();
        let outcome = import(&storage, &path).await;
        assert_eq!((outcome.report.applied, outcome.report.failed), (applied, 0), "{outcome:?}");
    }
}

/// The rows of a database, read by nothing but SQLite.
fn rows(path: &Path, query: &str) -> Vec<(String, String, String, String, String)> {
    let database = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let text = |row: &rusqlite::Row<'_>, at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default);
    let rows =
        statement.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?, text(row, 3)?, text(row, 4)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn sessions_of(rows: &[(String, String, String, String, String)]) -> Vec<String> {
    let mut names: Vec<_> = rows.iter().map(|row| row.0.clone()).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn every_database_sample_of_craftx_py_goes_in_whole() {
    for generation in ["g1", "g2", "g3"] {
        let Some(path) = samples(&format!("craftxpy/{generation}/craftx.db")) else { return };
        let query = "SELECT session_id, role, message, timestamp, metadata FROM conversations ORDER BY session_id, id";
        let originals = rows(&path, query);
        for store in stores().await {
            let outcome = import(&store.storage, &path).await;
            assert_eq!((outcome.report.sessions, outcome.report.messages), (7, originals.len() as u64));
            assert!(outcome.failed.is_empty());
            for session in sessions_of(&originals) {
                let found = messages(&store.storage, &session).await;
                let expected: Vec<_> = originals.iter().filter(|row| row.0 == session).collect();
                assert_eq!(found.len(), expected.len(), "{} {generation} {session}", store.name);
                for (message, (_, role, text, timestamp, metadata)) in found.iter().zip(expected) {
                    assert_eq!((message.role.as_str(), message.text()), (role.as_str(), Some(text.as_str())));
                    assert_eq!(time(message), format!("{}Z", timestamp.replace(' ', "T")));
                    let metadata: Value = serde_json::from_str(metadata).unwrap();
                    assert_eq!(Value::Object(message.metadata.clone()).to_string(), metadata.to_string());
                }
            }
        }
    }
}

/// What every database of one JSON value a row has in common.
async fn each_row_comes_out_as_it_went_in(path: &Path, query: &str, format: &str, out: &str) {
    let originals = rows(path, query);
    assert!(!originals.is_empty());
    for store in stores().await {
        let outcome = import(&store.storage, path).await;
        assert_eq!((outcome.format, outcome.report.messages), (format, originals.len() as u64), "{outcome:?}");
        assert!(outcome.failed.is_empty(), "{outcome:?}");
        for session in sessions_of(&originals) {
            let expected: Vec<_> = originals.iter().filter(|row| row.0 == session).collect();
            let written = export(&store.storage, &session, out).await;
            let exported: Vec<Value> = serde_json::from_str(&written.text).unwrap();
            let given: Vec<Value> = expected.iter().map(|row| serde_json::from_str(&row.1).unwrap()).collect();
            assert_eq!(exported, given, "{} {session}", store.name);
            for (message, row) in messages(&store.storage, &session).await.iter().zip(expected) {
                let at = if row.2.is_empty() { String::new() } else { format!("{}Z", row.2.replace(' ', "T")) };
                assert_eq!(time(message), at);
            }
        }
    }
}

const ITEMS: &str =
    "SELECT session_id, message_data, created_at, NULL, NULL FROM agent_messages ORDER BY session_id, id";
const HISTORY: &str = "SELECT session_id, message, NULL, NULL, NULL FROM message_store ORDER BY session_id, id";

#[tokio::test]
async fn the_samples_of_the_agents_sdk_and_of_langchain_come_out_as_they_went_in() {
    if let Some(path) = samples("openai_agents.db") {
        // SQLite writes beside a database that has a write-ahead log, even to read it.
        let folder = TempDir::new().unwrap();
        let copy = folder.path().join("openai.db");
        std::fs::copy(path, &copy).unwrap();
        each_row_comes_out_as_it_went_in(&copy, ITEMS, "openai-agents", "openai-responses").await;
    }
    if let Some(path) = samples("langchain/history.db") {
        each_row_comes_out_as_it_went_in(&path, HISTORY, "langchain-sql", "langchain").await;
    }
}

#[tokio::test]
async fn a_database_of_the_agents_sdk_is_read_item_by_item() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("openai.db");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            r#"PRAGMA journal_mode = WAL;
               CREATE TABLE agent_sessions (session_id TEXT PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                   updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
               CREATE TABLE agent_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
                   message_data TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
               INSERT INTO agent_sessions VALUES ('s', '2026-11-22 22:03:10', '2026-11-22 22:03:12');
               INSERT INTO agent_messages VALUES
                   (1, 's', '{"role": "user", "content": "hi é"}', '2026-11-22 22:03:10'),
                   (2, 's', '{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}', '2026-11-22 22:03:11'),
                   (3, 's', '{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{ \"a\":1}"}', '2026-11-22 22:03:11'),
                   (4, 's', '{"type": "function_call_output", "call_id": "c", "output": "4"}', '2026-11-22 22:03:12');"#,
        )
        .unwrap();
    each_row_comes_out_as_it_went_in(&path, ITEMS, "openai-agents", "openai-responses").await;
    database
        .execute_batch(
            r#"INSERT INTO agent_messages VALUES (5, 's', '{"role": "user", "content": "canary', '2026-11-22 22:03:13'),
                                                 (6, 's', '["canary"]', '2026-11-22 22:03:13'),
                                                 (7, 's', '{"role": "user", "content": "last"}', '2026-11-22 22:03:13');"#,
        )
        .unwrap();
    let storage = Storage::open("memory:").await.unwrap();
    let outcome = import(&storage, &path).await;
    let rows: Vec<_> = outcome.failed.iter().map(|(row, _)| *row).collect();
    assert_eq!((outcome.report.messages, rows), (5, vec![5, 6]));
    assert!(!format!("{outcome:?}").contains("canary"));
    assert_eq!(messages(&storage, "s").await[4].text(), Some("last"));
    let created = json!({"created_at": "2026-11-22 22:03:10"});
    assert_eq!(storage.metadata("s").await.unwrap()["openai-agents"], created);
}

#[tokio::test]
async fn a_database_of_langchain_is_read_message_by_message() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            r#"CREATE TABLE message_store (id INTEGER NOT NULL, session_id TEXT, message TEXT, PRIMARY KEY (id));
               INSERT INTO message_store VALUES
                   (1, 's', '{"type": "human", "data": {"content": "2+2? \u00e9", "additional_kwargs": {}, "type": "human", "name": null, "id": null}}'),
                   (2, 't', '{"type": "human", "data": {"content": "other", "type": "human"}}'),
                   (3, 's', '{"type": "ai", "data": {"content": "", "type": "ai", "tool_calls": [{"name": "add", "args": {"a": 2}, "id": "c", "type": "tool_call"}]}}'),
                   (4, 's', '{"type": "tool", "data": {"content": "4", "type": "tool", "tool_call_id": "c", "status": "success"}}');"#,
        )
        .unwrap();
    each_row_comes_out_as_it_went_in(&path, HISTORY, "langchain-sql", "langchain").await;
    let bad =
        r#"INSERT INTO message_store VALUES (5, 's', '{"type": "human", "canary'), (6, NULL, '{}'), (7, 's', NULL)"#;
    database.execute_batch(bad).unwrap();
    let storage = Storage::open("memory:").await.unwrap();
    let outcome = import(&storage, &path).await;
    let mut rows: Vec<_> = outcome.failed.iter().map(|(row, _)| *row).collect();
    rows.sort_unstable();
    assert_eq!((outcome.report.messages, rows), (4, vec![5, 6, 7]));
    assert!(!format!("{outcome:?}").contains("canary"));
}
