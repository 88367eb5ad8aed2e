//! What people see and type: names by their beginning, conversations to read, ages, completions, manual pages.
#![cfg(all(unix, feature = "json", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::{Place, places};
use serde_json::Value;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_beginning_that_only_one_session_has_is_enough() {
    for place in places() {
        for session in ["alpha", "alpine", "beta", "be"] {
            place.ok(&["append", session, &format!("of {session}")]);
        }
        let run = place.run(&["show", "alpi"]);
        assert!(run.code == 0 && run.out.contains("of alpine") && run.err.contains("`alpine`"), "{run:?}");
        assert!(place.ok(&["show", "be"]).contains("of be\n"), "a whole name comes before a beginning");
        let run = place.run(&["show", "alp"]);
        assert!(run.code == 2 && run.err.contains("`alpha`") && run.err.contains("`alpine`"), "{run:?}");
        let run = place.run(&["show", "alhpa"]);
        assert!(run.code == 3 && run.err.contains("nearest: `alpha`"), "{run:?}");
        assert_eq!(place.ok(&["export", "alpi", "bet"]).matches(r#""craftx":"session""#).count(), 2);
    }
}

#[test]
fn nothing_is_deleted_or_made_by_the_beginning_of_a_session() {
    for place in places() {
        place.ok(&["append", "alpha", "x"]);
        let run = place.run(&["rm", "alph"]);
        assert!(run.code == 3 && run.err.contains("`alpha`"), "{run:?}");
        place.ok(&["append", "alp", "y"]);
        assert_eq!(place.ok(&["list"]).lines().count(), 2);
    }
}

#[test]
fn the_last_session_is_the_one_that_was_written_last() {
    for place in places() {
        place.ok(&["append", "z", "1"]);
        place.ok(&["append", "a", "2"]);
        place.ok(&["append", "z", "3"]);
        let listed: Vec<_> = json_lines(&place.ok(&["list", "--recent", "--json"]));
        assert_eq!((&listed[0]["session"], &listed[1]["session"]), (&"z".into(), &"a".into()));
        place.ok(&["append", "--last", "4", "--role", "assistant"]);
        assert_eq!(json_lines(&place.ok(&["show", "--last", "--json"])).len(), 3);
        assert_eq!(place.ok(&["export", "--last", "--format", "conversations"]).lines().count(), 1);
    }
    let place = Place::new("sqlite:chats.db");
    place.ok(&["append", "a", "heron"]);
    place.ok(&["append", "b", "heron"]);
    assert_eq!(json_lines(&place.ok(&["search", "heron", "--last", "--json"])).len(), 1);
    assert_eq!(json_lines(&place.ok(&["search", "heron", "--session", "a", "--json"]))[0]["session"], "a");
}

#[test]
fn a_message_is_named_by_the_beginning_of_its_id() {
    for place in places() {
        let first = place.ok(&["append", "s", "one"]);
        std::thread::sleep(Duration::from_millis(5));
        let second = place.ok(&["append", "s", "two"]);
        let same = first.chars().zip(second.chars()).take_while(|(a, b)| a == b).count();
        let run = place.run(&["rm", "s", "--message", first.get(..same).unwrap()]);
        assert!(run.code == 2 && run.err.contains(first.trim()) && run.err.contains(second.trim()), "{run:?}");
        let beginning = second.get(..=same).unwrap();
        assert!(place.ok(&["show", "s", "--message", &beginning.to_uppercase()]).contains("two"));
        let run = place.run(&["rm", "s", "--message", beginning, "--dry-run", "--json"]);
        assert_eq!((run.code, &json_lines(&run.out)[0]["deleted"]), (0, &Value::Bool(false)));
        let run = place.run(&["rm", "s", "--message", beginning]);
        assert!(run.code == 0 && run.err.contains(second.trim()), "{run:?}");
        assert_eq!(json_lines(&place.ok(&["show", "s", "--json"])).len(), 1);
    }
}

#[test]
fn only_what_nobody_wrote_to_for_so_long_is_deleted() {
    let place = Place::new("json:chats");
    for (session, days) in [("old", 91), ("older", 400), ("young", 80)] {
        place.ok(&["append", session, &format!("SECRET of {session}")]);
        let file = File::options().append(true).open(place.path().join(format!("chats/{session}.jsonl"))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 3_600)).unwrap();
    }
    let names = |out: &str| -> Vec<String> {
        out.lines().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect()
    };
    let dry = place.ok(&["rm", "--older-than", "90d", "--dry-run"]);
    assert_eq!((names(&dry), dry.matches("would delete").count()), (vec!["old".to_owned(), "older".to_owned()], 2));
    assert_eq!(place.ok(&["list"]).lines().count(), 3, "a dry run deletes nothing");
    assert_eq!(names(&place.ok(&["rm", "--older-than", "1 year"])), ["older"]);
    let deleted = json_lines(&place.ok(&["rm", "--older-than", "12 weeks", "--json"]));
    assert_eq!((deleted.len(), &deleted[0]["session"], &deleted[0]["deleted"]), (1, &"old".into(), &Value::Bool(true)));
    assert!(!std::fs::read_to_string(place.path().join("chats/old.jsonl")).unwrap().contains("SECRET"));
    assert_eq!(names(&place.ok(&["list"])), ["young"]);
}

const TOOLS: &str = r#"{"session_id":"t","messages":[{"role":"user","content":"weather?","created_at":"2026-11-22T21:04:16Z"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"ARGUMENTS\"}"}}],"created_at":"2026-11-22T21:04:17"},{"role":"tool","tool_call_id":"c1","content":"RESULT","model":"m-1"}]}"#;

fn with_tools() -> Place {
    let place = Place::new("json:chats");
    let long = "y".repeat(5_000);
    let lines = "line\n".repeat(60);
    let text = TOOLS.replace("ARGUMENTS", &long).replace("RESULT", &lines.replace('\n', "\\n"));
    assert_eq!(place.pipe(&["import", "-"], text.as_bytes()).code, 0);
    place
}

#[test]
fn times_are_local_and_none_is_invented() {
    let place = with_tools();
    let mut command = place.command(&["show", "t"]);
    command.env("TZ", "JST-9");
    let shown = place.give(command, &["show"], b"").out;
    assert!(shown.contains("user  2026-11-23 06:04:16  0"), "{shown}");
    assert!(shown.contains("assistant  2026-11-22T21:04:17  0"), "a time without a zone stays as it is: {shown}");
    place.pipe(&["import", "-"], br#"{"session_id":"n","messages":[{"role":"user","content":"x"}]}"#);
    let shown = place.ok(&["show", "n"]);
    assert!(shown.starts_with("user  0") && !shown.contains("1970"), "{shown}");
}

#[test]
fn calls_of_tools_are_folded_and_the_notice_tells_how_much_is_missing() {
    let place = with_tools();
    let shown = place.ok(&["show", "t"]);
    assert!(
        shown.contains("→ weather {\"city\":\"yyy") && shown.contains("… 4911 more characters; --full shows all"),
        "{shown}"
    );
    assert!(
        shown.contains("← answer to c1\nline\nline\nline\n… ") && shown.contains("more lines; --full shows all"),
        "{shown}"
    );
    assert!(shown.lines().count() < 20 && !shown.contains("m-1"));
    let full = place.ok(&["show", "t", "--full"]);
    assert_eq!((full.matches('y').count() >= 5_000, full.matches("line\n").count()), (true, 60));
    assert!(!full.contains("more characters") && full.contains(r#"metadata {"model":"m-1"}"#), "{full}");
}

#[test]
fn a_long_text_is_clipped_with_a_notice_and_whole_on_request() {
    let place = Place::new("json:chats");
    place.pipe(&["append", "s", "-"], "word ".repeat(2_000).as_bytes());
    let shown = place.ok(&["show", "s"]);
    assert!(shown.contains("… 6000 more characters, 1 more lines; --full shows all"), "{shown}");
    assert!(place.ok(&["show", "s", "--full"]).contains(&"word ".repeat(2_000)));
    assert!(place.ok(&["show", "s", "--format", "markdown"]).contains(&"word ".repeat(2_000)));
}

#[test]
fn markdown_keeps_code_and_folds_calls() {
    let place = with_tools();
    place.ok(&["append", "t", "```rust\nfn main() {}\n```\u{1b}[31m"]);
    let shown = place.ok(&["show", "t", "--format", "markdown"]);
    assert!(shown.contains("## user, 2026-11-22 21:04:16\n\nweather?\n"), "{shown}");
    assert!(shown.contains("<details><summary>calls weather</summary>\n\n```json\n{\"city\":"), "{shown}");
    assert!(shown.contains("```rust\nfn main() {}\n```") && !shown.contains('\u{1b}'), "{shown}");
    assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
}

#[test]
fn colours_are_for_terminals_and_no_color_is_obeyed() {
    let place = with_tools();
    assert!(!place.ok(&["show", "t"]).contains('\u{1b}'), "none in a pipe");
    let on_a_terminal = |no_color: Option<&str>| {
        let command = format!("{} --store json:chats show t", env!("CARGO_BIN_EXE_craftx"));
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).current_dir(place.path()).env("TERM", "xterm");
        script.env_remove("NO_COLOR").env_remove("CLICOLOR").envs(no_color.map(|value| ("NO_COLOR", value)));
        script.stdin(Stdio::null()).output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(shown) = on_a_terminal(None) else {
        eprintln!("skipped: there is no `script` to make a terminal");
        return;
    };
    assert!(shown.contains("\u{1b}[1m") && shown.contains("weather"), "{shown}");
    assert!(!on_a_terminal(Some("1")).unwrap().contains('\u{1b}'));
}

#[test]
fn completions_and_manual_pages_are_well_formed() {
    let place = Place::new("json:chats");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.ok(&["completions", shell]).contains("older-than"), "{shell}");
    }
    place.write("craftx.bash", place.ok(&["completions", "bash"]));
    let checked = Command::new("bash").args(["-n", "craftx.bash"]).current_dir(place.path()).status();
    assert!(checked.is_err() || checked.unwrap().success());
    let pages = place.ok(&["man", "--dir", "man"]);
    assert!(pages.lines().any(|page| page == "man/craftx-schema-status.1") && pages.lines().count() > 18, "{pages}");
    let page = place.ok(&["man"]);
    assert!(
        page.contains("interrupted (Ctrl\\-C)")
            && page == std::fs::read_to_string(place.path().join("man/craftx.1")).unwrap()
    );
    for page in pages.lines() {
        let warnings = Command::new("man")
            .args(["--warnings", "-l", page])
            .env("MANPAGER", "cat")
            .current_dir(place.path())
            .output();
        if let Ok(output) = warnings {
            assert!(output.status.success() && output.stderr.is_empty(), "{page}: {output:?}");
        }
    }
}

#[test]
fn a_store_that_only_the_environment_names_is_found() {
    let place = Place::new("");
    let mut command = place.plain(&["append", "s", "x"]);
    command.env("CRAFTX_PROFILE", "production_sqlite").env("CRAFTX_DB_PATH", "mine.db");
    assert_eq!(place.give(command, &["append"], b"").code, 0);
    assert!(place.path().join("mine.db").exists());
    place.write("other.toml", "backend = 'sqlite'\nsqlite.path = 'mine.db'\n");
    assert_eq!(place.run_plain(&["--config", "other.toml", "list"]).out.lines().count(), 1);
    assert_eq!(place.run_plain(&["list"]).code, 3, "nothing is made of the default profile by looking");
}
