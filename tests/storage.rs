//! What applications do with conversations, on every store of this build.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::stores;
use craftx::{
    Caller, Content, ErrorKind, Expect, ManualClock, Message, MessageQuery, NewMessage, Outcome, Record, Sealed,
    SessionId, SessionOrder, SessionQuery, Stamp, Storage, StreamExt, Tenant, TryStreamExt,
};
use serde_json::json;

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::text).collect()
}

async fn numbered(storage: &Storage, session: &str, count: usize) -> Vec<Message> {
    let messages = (0..count).map(|n| NewMessage::user(n.to_string()));
    storage.append_all(session, messages).await.unwrap()
}

#[tokio::test]
async fn the_last_n_messages_come_in_the_order_of_the_conversation() {
    for store in stores().await {
        numbered(&store.storage, "s", 7).await;
        let last = store.storage.last("s", 3).await.unwrap();
        assert_eq!(texts(&last), ["4", "5", "6"], "{}", store.name);
        assert_eq!(store.storage.last("s", 100).await.unwrap().len(), 7);
        assert!(store.storage.last("s", 0).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn more_than_a_page_is_read_whole() {
    for store in stores().await {
        for part in 0..3 {
            let messages = (0..900).map(|n| NewMessage::user((part * 900 + n).to_string()));
            store.storage.append_all("s", messages).await.unwrap();
        }
        let all: Vec<Message> = store.storage.history("s").try_collect().await.unwrap();
        let expected: Vec<String> = (0..2_700).map(|n| n.to_string()).collect();
        assert_eq!(texts(&all), expected, "{}", store.name);
        assert_eq!(store.storage.last("s", 2_500).await.unwrap(), all[200..]);
        let backwards: Vec<Message> =
            store.storage.stream("s", MessageQuery::newest_first()).try_collect().await.unwrap();
        assert!(backwards.iter().rev().eq(&all));
        let ids: Vec<Stamp> = all.iter().map(|message| message.id).collect();
        assert_eq!(store.storage.get_many("s", ids).await.unwrap(), all);
    }
}

#[tokio::test]
async fn pages_go_both_ways_without_gap_or_repetition() {
    for store in stores().await {
        let all = numbered(&store.storage, "s", 10).await;
        let first = store.storage.messages("s", &MessageQuery::oldest_first().limit(4)).await.unwrap();
        assert!(first.more);
        let rest = store.storage.messages("s", &MessageQuery::oldest_first().after(first.items[3].id)).await.unwrap();
        assert!(!rest.more);
        assert_eq!([first.items, rest.items].concat(), all, "{}", store.name);
        let page = store.storage.messages("s", &MessageQuery::newest_first().before(all[5].id).limit(2)).await.unwrap();
        assert_eq!(texts(&page.items), ["4", "3"]);
    }
}

#[tokio::test]
async fn one_message_is_found_by_its_id() {
    for store in stores().await {
        let all = numbered(&store.storage, "s", 3).await;
        assert_eq!(store.storage.get("s", all[1].id).await.unwrap().as_ref(), Some(&all[1]), "{}", store.name);
        assert_eq!(store.storage.get("s", Stamp::MAX).await.unwrap(), None);
        assert_eq!(store.storage.get("t", all[1].id).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn pop_takes_the_last_message_and_nobody_gets_it_twice() {
    for store in stores().await {
        numbered(&store.storage, "s", 8).await;
        assert_eq!(store.storage.pop("s").await.unwrap().unwrap().text(), Some("7"), "{}", store.name);
        let pops = (0..5).map(|_| store.storage.pop("s"));
        let popped: Vec<_> = futures_util::future::join_all(pops).await;
        let popped: BTreeSet<String> =
            popped.into_iter().map(|message| message.unwrap().unwrap().text().unwrap().to_owned()).collect();
        assert_eq!(popped.len(), 5);
        assert_eq!(texts(&store.storage.last("s", 9).await.unwrap()), ["0", "1"]);
        store.storage.pop("s").await.unwrap();
        store.storage.pop("s").await.unwrap();
        let empty = store.storage.pop("s").await;
        assert!(empty.is_err() || empty.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_deleted_message_stays_deleted_even_if_it_is_written_again() {
    for store in stores().await {
        let all = numbered(&store.storage, "s", 3).await;
        assert!(store.storage.delete_message("s", all[1].id).await.unwrap(), "{}", store.name);
        assert!(!store.storage.delete_message("s", all[1].id).await.unwrap());
        let again = futures_util::stream::iter([Ok(Record::Message(all[1].clone()))]);
        let written = store.storage.import_records(&"s".try_into().unwrap(), again).await.unwrap();
        assert_eq!(written.applied, Some(0));
        assert_eq!(texts(&store.storage.last("s", 9).await.unwrap()), ["0", "2"]);
    }
}

#[tokio::test]
async fn clear_keeps_the_title_and_what_comes_later() {
    for store in stores().await {
        numbered(&store.storage, "s", 3).await;
        store.storage.set_metadata("s", "title", "Kept").await.unwrap();
        store.storage.clear("s").await.unwrap();
        assert!(store.storage.last("s", 9).await.unwrap().is_empty(), "{}", store.name);
        assert_eq!(store.storage.metadata("s").await.unwrap()["title"], "Kept");
        store.storage.append("s", NewMessage::user("later")).await.unwrap();
        assert_eq!(texts(&store.storage.last("s", 9).await.unwrap()), ["later"]);
        assert_eq!(store.storage.clear("t").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_deleted_session_is_gone_and_can_begin_again() {
    for store in stores().await {
        numbered(&store.storage, "s", 3).await;
        store.storage.set_metadata("s", "title", "Gone").await.unwrap();
        assert!(store.storage.delete_session("s").await.unwrap(), "{}", store.name);
        assert!(!store.storage.delete_session("s").await.unwrap());
        assert_eq!(store.storage.load_conversation("s").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(store.storage.history_or_empty("s").await.unwrap().is_empty());
        assert!(store.storage.list_sessions().await.unwrap().is_empty());
        store.storage.append("s", NewMessage::user("again")).await.unwrap();
        assert_eq!(texts(&store.storage.load_conversation("s").await.unwrap()), ["again"]);
        assert!(store.storage.metadata("s").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_session_that_was_written_since_it_was_looked_at_is_not_deleted() {
    for store in stores().await {
        numbered(&store.storage, "s", 3).await;
        let found = store.storage.session("s").await.unwrap().unwrap();
        store.storage.append("s", NewMessage::user("late")).await.unwrap();
        assert!(!store.storage.delete_session_unchanged(&found).await.unwrap(), "{}", store.name);
        assert_eq!(store.storage.load_conversation("s").await.unwrap().len(), 4);
        let found = store.storage.session("s").await.unwrap().unwrap();
        assert!(store.storage.delete_session_unchanged(&found).await.unwrap());
        assert!(store.storage.list_sessions().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn only_the_system_checks_the_medium() {
    for store in stores().await {
        numbered(&store.storage, "s", 3).await;
        assert_eq!(store.storage.verify().await.unwrap_err().kind(), ErrorKind::PermissionDenied, "{}", store.name);
        assert!(store.storage.for_caller(Caller::System).verify().await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn an_append_that_did_not_see_a_clear_lives_all_the_same() {
    for store in stores().await {
        let now = SystemTime::now();
        let slow = store.storage.with_clock(Arc::new(ManualClock::new(now - Duration::from_secs(3_600))));
        slow.append("s", NewMessage::user("first")).await.unwrap();
        // Another process with the right time deletes the session; this one has not seen it.
        let other = Storage::new(store.storage.stack().clone());
        assert!(other.delete_session("s").await.unwrap(), "{}", store.name);
        let pair = slow.append_all("s", [NewMessage::user("a"), NewMessage::user("b")]).await.unwrap();
        assert_eq!(store.storage.load_conversation("s").await.unwrap(), pair);
        other.delete_session("s").await.unwrap();
        slow.set_metadata("s", "title", "t").await.unwrap();
        assert_eq!(other.metadata("s").await.unwrap()["title"], "t");
    }
}

#[tokio::test]
async fn an_answer_follows_the_question_under_any_clock_skew() {
    for store in stores().await {
        let now = SystemTime::now();
        let at = |skew: i64| {
            let wall = if skew < 0 {
                now - Duration::from_secs(skew.unsigned_abs())
            } else {
                now + Duration::from_secs(skew as u64)
            };
            Storage::new(store.storage.stack().clone()).with_clock(Arc::new(ManualClock::new(wall)))
        };
        let clocks = [at(50), at(-3_600), at(0), at(-86_400)];
        for turn in 0..12 {
            let storage = &clocks[turn % 4];
            let read = storage.history_or_empty("s").await.unwrap();
            assert_eq!(read.len(), turn, "{}", store.name);
            storage.append("s", NewMessage::user(turn.to_string())).await.unwrap();
        }
        let all = store.storage.load_conversation("s").await.unwrap();
        let read: Vec<usize> = texts(&all).iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(read, (0..12).collect::<Vec<_>>(), "{}", store.name);
    }
}

#[tokio::test]
async fn metadata_is_compared_and_set() {
    for store in stores().await {
        let storage = &store.storage;
        let version = storage.set_metadata("s", "title", "one").await.unwrap();
        let patch = |value| BTreeMap::from([("title".to_owned(), value)]);
        let next = storage.patch_metadata("s", patch(Some(json!("two"))), Expect::Version(version)).await.unwrap();
        let late =
            storage.patch_metadata("s", patch(Some(json!("three"))), Expect::Version(version)).await.unwrap_err();
        assert_eq!((late.kind(), late.get("version")), (ErrorKind::Conflict, Some(next.to_string().as_str())));
        storage.set_metadata("s", "lang", "en").await.unwrap();
        storage.patch_metadata("s", patch(None), Expect::Anything).await.unwrap();
        let metadata = storage.metadata("s").await.unwrap();
        assert_eq!(serde_json::Value::Object(metadata), json!({"lang": "en"}), "{}", store.name);
    }
}

#[tokio::test]
async fn compare_and_append_refuses_what_somebody_got_ahead_of() {
    for store in stores().await {
        let storage = &store.storage;
        storage.append_expecting("s", vec![NewMessage::user("a")], Expect::New).await.unwrap();
        let version = storage.session("s").await.unwrap().unwrap().version;
        let answer = vec![NewMessage::assistant("b")];
        storage.append_expecting("s", answer.clone(), Expect::Version(version)).await.unwrap();
        let late = storage.append_expecting("s", answer, Expect::Version(version)).await.unwrap_err();
        assert_eq!((late.kind(), late.outcome()), (ErrorKind::Conflict, Outcome::NotApplied), "{}", store.name);
        assert_eq!(storage.load_conversation("s").await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_fork_has_the_messages_up_to_the_one_and_can_be_repeated() {
    for store in stores().await {
        let all = numbered(&store.storage, "s", 5).await;
        let forked = store.storage.fork("s", all[2].id, "t").await.unwrap();
        assert_eq!((forked.messages, forked.applied), (3, 3), "{}", store.name);
        assert_eq!(store.storage.fork("s", all[2].id, "t").await.unwrap().applied, 0);
        store.storage.append("t", NewMessage::user("other way")).await.unwrap();
        assert_eq!(texts(&store.storage.load_conversation("t").await.unwrap()), ["0", "1", "2", "other way"]);
        assert_eq!(store.storage.load_conversation("s").await.unwrap(), all);
        store.storage.append("u", NewMessage::user("busy")).await.unwrap();
        assert_eq!(store.storage.fork("s", all[2].id, "u").await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(store.storage.fork("s", Stamp::MAX, "v").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn sessions_are_listed_by_pages_and_filters() {
    for store in stores().await {
        for name in ["b/2", "a/1", "b/1", "c"] {
            store.storage.append(name, NewMessage::user("x")).await.unwrap();
        }
        store.storage.set_metadata("b/1", "lang", "ja").await.unwrap();
        let ids = |query: SessionQuery| {
            store.storage.all_sessions(query).map_ok(|s| s.id.to_string()).try_collect::<Vec<_>>()
        };
        assert_eq!(ids(SessionQuery::new().limit(1)).await.unwrap(), ["a/1", "b/1", "b/2", "c"], "{}", store.name);
        assert_eq!(ids(SessionQuery::new().prefix("b/")).await.unwrap(), ["b/1", "b/2"]);
        assert_eq!(ids(SessionQuery::new().metadata("lang", "ja")).await.unwrap(), ["b/1"]);
        let recent = SessionQuery::new().order(SessionOrder::RecentFirst).limit(2);
        assert_eq!(ids(recent).await.unwrap(), ["b/1", "c", "a/1", "b/2"]);
    }
}

#[tokio::test]
async fn a_session_copied_to_every_other_store_is_the_same() {
    let all = stores().await;
    for from in &all {
        let messages = numbered(&from.storage, "copied", 3).await;
        from.storage.set_metadata("copied", "title", json!({"nested": [1.5, null]})).await.unwrap();
        from.storage.delete_message("copied", messages[0].id).await.unwrap();
        for to in all.iter().filter(|to| to.name != from.name) {
            let to_storage = to.storage.for_tenant(Tenant::new(format!("from {}", from.name)).unwrap());
            from.storage.copy_session("copied", &to_storage).await.unwrap();
            let again = from.storage.copy_session("copied", &to_storage).await.unwrap();
            assert_eq!(again.applied, Some(0), "{} to {}", from.name, to.name);
            assert_eq!(
                to_storage.load_conversation("copied").await.unwrap(),
                from.storage.load_conversation("copied").await.unwrap()
            );
            assert_eq!(to_storage.metadata("copied").await.unwrap(), from.storage.metadata("copied").await.unwrap());
            let versions = (to_storage.session("copied").await.unwrap(), from.storage.session("copied").await.unwrap());
            assert_eq!(versions.0.unwrap().version, versions.1.unwrap().version);
        }
    }
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    for store in stores().await {
        let (acme, bolt) = ("acme".try_into().unwrap(), "bolt".try_into().unwrap());
        let (acme, bolt) = (store.storage.for_tenant(acme), store.storage.for_tenant(bolt));
        acme.append("s", NewMessage::user("secret")).await.unwrap();
        assert_eq!(bolt.load_conversation("s").await.unwrap_err().kind(), ErrorKind::NotFound, "{}", store.name);
        assert!(bolt.list_sessions().await.unwrap().is_empty());
        assert!(!bolt.delete_session("s").await.unwrap());
        let denied = acme.tenants().next().await.unwrap().unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
        let tenants: Vec<Tenant> = acme.for_caller(Caller::System).tenants().try_collect().await.unwrap();
        assert_eq!(tenants.iter().map(Tenant::as_str).collect::<Vec<_>>(), ["acme"]);
    }
}

#[tokio::test]
async fn a_store_is_found_again_as_it_was_left() {
    for store in stores().await.into_iter().filter(|store| store.name != "memory") {
        let missing = Storage::open_existing(&format!("{}.not-there", store.url)).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{}", store.name);
        let all = numbered(&store.storage, "s", 3).await;
        let id = store.storage.status().await.unwrap().store;
        store.storage.close().await.unwrap();
        assert_eq!(store.storage.last("s", 1).await.unwrap_err().kind(), ErrorKind::Closed);
        let again = Storage::open_existing(&store.url).await.unwrap();
        assert_eq!(again.load_conversation("s").await.unwrap(), all);
        assert_eq!(again.status().await.unwrap().store, id);
    }
}

#[tokio::test]
async fn a_call_ends_by_its_deadline() {
    for store in stores().await {
        let hurried = store.storage.with_timeout(Some(Duration::ZERO));
        let late = hurried.append("s", NewMessage::user("x")).await.unwrap_err();
        assert_eq!((late.kind(), late.outcome()), (ErrorKind::Timeout, Outcome::NotApplied), "{}", store.name);
        assert!(store.storage.history_or_empty("s").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn bad_input_names_the_field_and_changes_nothing() {
    for store in stores().await {
        let storage = &store.storage;
        let mut deep = json!(0);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let cases = [
            (storage.append("", NewMessage::user("x")).await, "session"),
            (storage.append("a\nb", NewMessage::user("x")).await, "session"),
            (storage.append("s", NewMessage::user("x".repeat(17 << 20))).await, "record"),
            (storage.append("s", NewMessage::user(deep)).await, "content"),
            (storage.save_conversation("s", "x", "", None).await, "role"),
        ];
        for (result, field) in cases {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.get("field")), (ErrorKind::InvalidInput, Some(field)), "{}", store.name);
        }
        let error = storage.set_metadata("s", "craftx.secret", 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(storage.session("s").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_unknown_option_or_scheme_is_an_error() {
    for url in ["json", "json:x?durabilty=power-loss", "sqlite:x?path=y", "nope:x", "Json:x", "memory:?a=1"] {
        let error = Storage::open(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}: {error}");
    }
}

/// A stack without an encryption layer over a store that was written with one.
#[tokio::test]
async fn an_encrypted_message_is_an_error_and_never_an_empty_one() {
    for store in stores().await {
        let storage = &store.storage;
        let first = storage.append("s", NewMessage::user("in clear")).await.unwrap();
        let id = Stamp::mint(1, Some(first.id), 0).unwrap();
        let sealed = Message::new(id, first.role.clone(), Content::Absent).with_sealed(Sealed::new(0, "d", "envelope"));
        let session = SessionId::new("s").unwrap();
        let records = [Record::Message(sealed)];
        storage.import_records(&session, futures_util::stream::iter(records.clone().map(Ok))).await.unwrap();
        let errors = [
            storage.last("s", 5).await.unwrap_err(),
            storage.get("s", id).await.unwrap_err(),
            storage.pop("s").await.unwrap_err(),
            storage.fork("s", id, "fork").await.unwrap_err(),
            storage.history("s").try_collect::<Vec<_>>().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{}: {error}", store.name);
            assert_eq!(error.get("id"), Some(id.to_string().as_str()));
            assert!(!format!("{error:?}").contains("envelope"));
        }
        assert_eq!(storage.get("s", first.id).await.unwrap().unwrap().text(), Some("in clear"));
        let all: Vec<Record> = storage.records(&session).try_collect().await.unwrap();
        assert!(all.ends_with(&records), "records are ciphertext to whoever moves them");
        assert!(storage.delete_message("s", id).await.unwrap());
        assert_eq!(texts(&storage.last("s", 5).await.unwrap()), ["in clear"]);
    }
}
