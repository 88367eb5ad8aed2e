//! What other programs left behind goes in with one command; what is broken is named.
#![cfg(all(feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use common::{Place, places};
use rusqlite::Connection;
use serde_json::Value;

fn entry(text: &str) -> String {
    format!(
        "  {{\n    \"timestamp\": \"2026-11-22T21:04:16.757579Z\",\n    \"role\": \"user\",\n    \"message\": \"{text}\",\n    \
         \"metadata\": {{}}\n  }}"
    )
}

fn shown(place: &Place, session: &str) -> Vec<String> {
    let lines = place.ok(&["show", session, "--json"]);
    let text = |line: &str| serde_json::from_str::<Value>(line).unwrap()["content"].as_str().unwrap().to_owned();
    lines.lines().map(text).collect()
}

fn report(run: &common::Run) -> Value {
    serde_json::from_str(&run.out).unwrap()
}

#[test]
fn a_folder_of_craftx_py_goes_in_and_what_is_broken_is_named() {
    for place in places() {
        std::fs::create_dir(place.path().join("chat_logs")).unwrap();
        for (name, text) in [
            ("good", format!("[\n{},\n{}\n]", entry("one"), entry("two é"))),
            ("v1.2", format!("[\n{}\n]", entry("dotted"))),
            ("torn", format!("[\n{},\n  {{\n    \"timestamp\": \"2026", entry("whole"))),
            ("nan", format!("[\n{},\n{{\"role\": \"user\", \"message\": NaN}}\n]", entry("before"))),
            ("empty", String::new()),
        ] {
            place.write(&format!("chat_logs/{name}.json"), text);
        }
        let run = place.run(&["import", "chat_logs", "--json"]);
        assert_eq!(run.code, 7, "{run:?}");
        for file in ["torn.json:8: ", "nan.json:8: ", "empty.json: "] {
            assert!(run.err.contains(file), "{file}: {run:?}");
        }
        assert!(!run.err.contains("good.json") && !run.err.contains("v1.2.json"), "{run:?}");
        let first = report(&run);
        assert_eq!((&first["messages"], &first["applied"], &first["failed"]), (&5.into(), &5.into(), &3.into()));
        assert_eq!(first["formats"], serde_json::json!(["craftx-py"]));
        for (session, texts) in
            [("good", &["one", "two é"][..]), ("v1.2", &["dotted"]), ("torn", &["whole"]), ("nan", &["before"])]
        {
            assert_eq!(shown(&place, session), texts);
        }
        let again = place.run(&["import", "chat_logs", "--json"]);
        assert_eq!((again.code, &report(&again)["applied"]), (7, &0.into()), "{again:?}");
    }
}

#[test]
fn a_folder_comes_out_as_it_went_in() {
    for place in places() {
        std::fs::create_dir(place.path().join("chat_logs")).unwrap();
        let text = format!("[\n{},\n{}\n]", entry("one"), entry("two é"));
        place.write("chat_logs/s.json", &text);
        place.ok(&["import", "chat_logs"]);
        std::fs::create_dir(place.path().join("again")).unwrap();
        place.ok(&["export", "--format", "craftx-py", "--out", "again"]);
        assert_eq!(std::fs::read_to_string(place.path().join("again/s.json")).unwrap(), text);
    }
}

#[test]
fn a_session_without_messages_is_no_torn_file() {
    for place in places() {
        place.write("none.json", "[]");
        let run = place.run(&["import", "none.json"]);
        assert_eq!(run.code, 0, "{run:?}");
    }
}

#[test]
fn times_without_a_zone_are_in_the_one_that_is_assumed() {
    for place in places() {
        place.write("s.json", r#"[{"timestamp": "2025-06-28T00:33:47.214584", "role": "user", "message": "x"}]"#);
        place.ok(&["import", "s.json", "--assume-tz", "Europe/Berlin"]);
        let message: Value = serde_json::from_str(&place.ok(&["show", "s", "--json"])).unwrap();
        assert_eq!(message["created_at"], "2025-06-28T00:33:47.214584+02:00");
    }
}

#[test]
fn a_database_of_craftx_py_goes_in() {
    for place in places() {
        let database = Connection::open(place.path().join("craftx.db")).unwrap();
        database
            .execute_batch(
                "CREATE TABLE conversations (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, role TEXT NOT NULL,
                    message TEXT NOT NULL, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
                 CREATE TABLE sessions (session_id TEXT PRIMARY KEY, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
                    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, metadata JSON);
                 INSERT INTO conversations(session_id, role, message, metadata) VALUES
                    ('a', 'user', 'one', '{}'), ('b', 'user', 'other', '{}'), ('a', 'assistant', 'two', '{}');
                 INSERT INTO sessions(session_id, metadata) VALUES ('a', '{}'), ('b', '{}');",
            )
            .unwrap();
        let first = report(&place.run(&["import", "craftx.db", "--json"]));
        assert_eq!((&first["sessions"], &first["messages"], &first["failed"]), (&2.into(), &3.into(), &0.into()));
        assert_eq!(first["formats"], serde_json::json!(["craftx-py-sqlite"]));
        assert_eq!(shown(&place, "a"), ["one", "two"]);
        let again = report(&place.run(&["import", "craftx.db", "--json"]));
        assert_eq!(again["applied"], 0);
        // A row that cannot be read is named, and the others stay what they are.
        database
            .execute_batch("INSERT INTO conversations(session_id, role, message) VALUES ('b', 'user', x'00')")
            .unwrap();
        let run = place.run(&["import", "craftx.db"]);
        assert!(run.code == 7 && run.err.contains("craftx.db:4: "), "{run:?}");
    }
}

#[test]
fn a_database_of_the_agents_sdk_goes_in() {
    for place in places() {
        Connection::open(place.path().join("openai.db"))
            .unwrap()
            .execute_batch(
                r#"CREATE TABLE agent_sessions (session_id TEXT PRIMARY KEY,
                       created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
                   CREATE TABLE agent_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
                       message_data TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
                   INSERT INTO agent_sessions(session_id) VALUES ('s');
                   INSERT INTO agent_messages(session_id, message_data) VALUES
                       ('s', '{"role": "user", "content": "hi"}'), ('s', '{"content": "Hello!", "role": "assistant"}');"#,
            )
            .unwrap();
        let first = report(&place.run(&["import", "openai.db", "--json"]));
        assert_eq!((&first["formats"][0], &first["messages"]), (&"openai-agents".into(), &2.into()));
        assert_eq!(shown(&place, "s"), ["hi", "Hello!"]);
    }
}

#[test]
fn a_database_of_another_program_is_refused() {
    for place in places() {
        Connection::open(place.path().join("other.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        let run = place.run(&["import", "other.db"]);
        assert!(run.code == 2 && run.err.contains("other.db"), "{run:?}");
    }
}

#[test]
fn a_session_that_cannot_be_read_does_not_hide_the_others_from_an_export() {
    let place = Place::new("json:chat_logs");
    std::fs::create_dir(place.path().join("chat_logs")).unwrap();
    place.write("chat_logs/good.json", r#"[{"timestamp": "2026-01-01T00:00:00Z", "role": "user", "message": "hi"}]"#);
    place.write("chat_logs/torn.json", r#"[{"timestamp": "2026-01-01T00:00:00Z", "role": "us"#);
    place.ok(&["append", "gone", "x"]);
    place.ok(&["rm", "gone"]);
    let run = place.run(&["export", "--format", "craftx-py", "--out", "out"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert!(run.err.contains("torn"), "{run:?}");
    let files = std::fs::read_dir(place.path().join("out")).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["good.json"]);
}
