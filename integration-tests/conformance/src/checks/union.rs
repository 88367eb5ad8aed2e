//! Records, and the union that every write is.

use craftx_core::{Grant, MessageQuery, Record, WriteOptions};
use serde_json::{Value, json};

use crate::bench::{Bench, Place, fails, fold, lines, refused};
use crate::check::{Stop, Verdict, checks, ensure, ensure_eq};
use crate::records::{acl, at, cleared, deleted, key, keys, numbered, text, unset};
use craftx_core::ErrorKind::{Conflict, InvalidInput, NotFound};

checks! { "records and union":
    every_kind_of_record_comes_back [] => "each of the five kinds of record is kept and read back equal";
    every_record_of_a_batch_is_counted_once [] => "applied, known and dead add up to the batch, where they are told";
    a_second_write_is_known [] => "writing the same records again changes nothing and says so";
    a_record_twice_in_one_batch_is_there_once [] => "a record that a batch holds twice is stored once";
    an_empty_batch_changes_nothing [] => "a write of no records succeeds and leaves no session behind";
    a_deleted_message_is_gone [] => "a deletion ends the message that came before it";
    a_message_after_its_deletion_is_dead [] => "a deletion covers the message that comes later, and its body is not stored";
    a_deletion_and_its_message_in_one_batch [] => "within one batch a deletion covers its message in either order";
    deletion_is_for_ever [] => "a deleted message does not come back, however often and from wherever it is written";
    a_clear_ends_what_came_before [] => "messages and keys up to `through` are dead, later ones live";
    a_late_message_below_a_clear_is_dead [] => "a message below a clear is dead when it arrives, and the write says so";
    a_late_key_below_a_clear_is_dead [] => "a key below a clear is dead when it arrives";
    a_lower_clear_revives_nothing [] => "of several clears the greatest counts, in whatever order they come";
    a_clear_keeps_the_owner [] => "a clear does not cover who owns the session, and the session goes on to exist";
    the_latest_stamp_wins_per_key [] => "of two values of a key the one with the greater stamp wins, in either order of arrival";
    patches_of_different_keys_both_survive [] => "metadata is decided key by key, never as a whole";
    a_removed_key_stays_removed [] => "a removal wins over older values that arrive later, and a newer value sets the key again";
    a_half_superseded_patch_keeps_its_rest [] => "of a patch with one superseded key the others count, and only they are replicated";
    the_first_owner_and_the_last_grants_count [] => "the owner is that of the smallest stamp, the grants are those of the greatest";
    order_follows_stamps_not_arrival [] => "messages are read in the order of their stamps, however they arrived";
    the_version_is_the_greatest_stamp_of_any_record [] => "every kind of record moves the version, deletions included, and nothing lowers it";
    the_version_survives_a_clear_that_absorbs_deletions [] => "a clear below a later deletion does not lower the version";
    a_session_exists_by_message_key_or_owner [] => "a session exists exactly if it has a live message, a live key or an owner";
    a_fresh_conflict_is_refused [Can("detects_conflict")] => "a fresh message that is known with other content is a conflict that names the id";
    a_conflict_within_one_batch_is_refused [Can("detects_conflict")] => "two contents of one id in one fresh batch are a conflict";
    a_refused_batch_leaves_nothing [Can("detects_conflict"), Can("atomic_batch")] => "of a batch that is refused nothing is stored";
    no_conflict_picks_a_winner [] => "the same id with other content is refused or makes reading fail; nothing is chosen silently";
    a_replayed_conflict_keeps_both [] => "a replay stores both variants, and reading the page that holds them fails and names the id";
    deletion_is_the_way_out_of_a_conflict [] => "deleting the id makes a session with two variants readable again";
    a_large_batch_is_kept_whole [] => "a batch of many records is kept whole and in order";
    fresh_writes_from_the_future_are_refused_or_kept [] => "a fresh record far ahead of the clock is refused as invalid or kept like any other";
    replays_may_come_from_the_future [] => "a replay is never refused for its stamps, and what follows is written after it";
    limits_are_enforced [] => "a batch or a record beyond a stated limit is refused as invalid, and nothing of it is stored";
}

async fn every_kind_of_record_comes_back(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let records = [
        cleared(2, 3),
        text(10, "ten"),
        key(11, "title", json!("a title")),
        acl(12, "ann", &["bob"]),
        deleted(9, 13),
        unset(14, "gone"),
    ];
    place.write(&records).await?;
    ensure_eq!(place.lines().await?, lines(&fold(&records)), "the records that were written");
    ensure_eq!(place.texts().await?, ["ten"], "the live messages");
    Ok(())
}

async fn every_record_of_a_batch_is_counted_once(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a"), deleted(5, 6)]).await?;
    let written = place.write(&[text(1, "a"), text(2, "b"), text(5, "dead"), text(3, "c")]).await?;
    counted(&written, "applied", written.applied, 2)?;
    counted(&written, "known", written.known, 1)?;
    counted(&written, "dead", written.dead, 1)
}

/// A count is right if it is told.
fn counted(written: &craftx_core::Written, what: &str, found: Option<u32>, wanted: u32) -> Verdict {
    ensure!(found.is_none_or(|found| found == wanted), "{what} should be {wanted}, found {written:?}");
    Ok(())
}

async fn a_second_write_is_known(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let records = [text(1, "a"), text(2, "b"), key(3, "k", json!(1)), acl(4, "ann", &[]), deleted(2, 5), cleared(0, 6)];
    place.write(&records).await?;
    let before = (place.lines().await?, place.existing().await?.version);
    let canonical = [text(1, "a"), key(3, "k", json!(1)), acl(4, "ann", &[]), deleted(2, 5), cleared(0, 6)];
    for options in [WriteOptions::fresh(), WriteOptions::replay()] {
        let written = place.try_write(&canonical, &options).await?;
        counted(&written, "known", written.known, 5)?;
        counted(&written, "applied", written.applied, 0)?;
        ensure_eq!(written.version, Some(before.1), "the version that the second write tells");
    }
    ensure_eq!((place.lines().await?, place.existing().await?.version), before, "the session after a second write");
    Ok(())
}

async fn a_record_twice_in_one_batch_is_there_once(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let written = place.write(&[text(1, "a"), text(1, "a"), text(2, "b"), text(1, "a")]).await?;
    counted(&written, "applied", written.applied, 2)?;
    counted(&written, "known", written.known, 2)?;
    ensure_eq!(place.texts().await?, ["a", "b"], "the messages");
    Ok(())
}

async fn an_empty_batch_changes_nothing(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let written = place.write(&[]).await?;
    ensure_eq!(written.version, None, "the version of a session that was never written");
    ensure!(place.session().await?.is_none(), "an empty batch made a session");
    place.write(&[text(1, "a")]).await?;
    let written = place.write(&[]).await?;
    ensure_eq!(written.version, Some(at(1)), "the version that an empty batch tells");
    ensure_eq!(place.texts().await?, ["a"], "the messages");
    Ok(())
}

async fn a_deleted_message_is_gone(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..6)).await?;
    place.write(&[deleted(3, 10)]).await?;
    ensure_eq!(place.texts().await?, ["1", "2", "4", "5"], "the live messages");
    let found = place.load(&MessageQuery::oldest_first().ids([at(3)])).await?;
    ensure!(found.items.is_empty(), "a deleted message is found by its id");
    let set = place.set().await?;
    ensure!(!set.bodies().any(|(id, _)| id == at(3)), "`records` gives the body of a deleted message");
    Ok(())
}

async fn a_message_after_its_deletion_is_dead(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a"), deleted(2, 3)]).await?;
    let written = place.write(&[text(2, "too late")]).await?;
    counted(&written, "dead", written.dead, 1)?;
    ensure_eq!(place.texts().await?, ["a"], "the live messages");
    ensure_eq!(place.lines().await?, lines(&fold(&[text(1, "a"), deleted(2, 3)])), "the records");
    Ok(())
}

async fn a_deletion_and_its_message_in_one_batch(bench: Bench) -> Verdict {
    for (name, batch) in [
        ("before", [deleted(2, 3), text(2, "dead"), text(1, "a")]),
        ("after", [text(2, "dead"), text(1, "a"), deleted(2, 3)]),
    ] {
        let place = bench.place(name)?;
        place.write(&batch).await?;
        ensure_eq!(place.texts().await?, ["a"], "the live messages, with the deletion {name} its message");
        ensure_eq!(place.lines().await?, lines(&fold(&[text(1, "a"), deleted(2, 3)])), "the records");
    }
    Ok(())
}

async fn deletion_is_for_ever(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a"), text(2, "dead")]).await?;
    place.write(&[deleted(2, 3)]).await?;
    for options in [WriteOptions::fresh(), WriteOptions::replay()] {
        for again in ["dead", "other content"] {
            place.try_write(&[text(2, again)], &options).await?;
            ensure_eq!(place.texts().await?, ["a"], "the live messages after a deleted one was written again");
        }
    }
    Ok(())
}

async fn a_clear_ends_what_came_before(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a"), key(2, "old", json!(1)), text(3, "b"), text(5, "c"), key(6, "new", json!(2))]).await?;
    let written = place.write(&[cleared(3, 7)]).await?;
    ensure_eq!(written.cleared, Some(at(3)), "how far the write says that the session is cleared");
    ensure_eq!(place.texts().await?, ["c"], "the live messages");
    let session = place.existing().await?;
    ensure_eq!(Value::Object(session.metadata), json!({"new": 2}), "the live metadata");
    ensure_eq!((session.cleared, session.head), (Some(at(3)), Some(at(5))), "what the session says");
    Ok(())
}

async fn a_late_message_below_a_clear_is_dead(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[cleared(10, 11), text(12, "lives")]).await?;
    let written = place.write(&[text(10, "at the edge"), text(5, "below"), text(11, "just above")]).await?;
    counted(&written, "dead", written.dead, 2)?;
    ensure_eq!(written.cleared, Some(at(10)), "how far the write says that the session is cleared");
    ensure_eq!(place.texts().await?, ["just above", "lives"], "the live messages");
    ensure_eq!(
        place.lines().await?,
        lines(&fold(&[cleared(10, 11), text(11, "just above"), text(12, "lives")])),
        "the records"
    );
    Ok(())
}

async fn a_late_key_below_a_clear_is_dead(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[cleared(10, 11), key(12, "lives", json!(1))]).await?;
    let written = place.write(&[key(9, "late", json!(1))]).await?;
    counted(&written, "dead", written.dead, 1)?;
    ensure_eq!(Value::Object(place.existing().await?.metadata), json!({"lives": 1}), "the live metadata");
    Ok(())
}

async fn a_lower_clear_revives_nothing(bench: Bench) -> Verdict {
    for (name, clears) in
        [("lower last", [cleared(6, 20), cleared(2, 21)]), ("greater last", [cleared(2, 21), cleared(6, 20)])]
    {
        let place = bench.place(name)?;
        place.write(&numbered(1..10)).await?;
        for clear in &clears {
            place.write(std::slice::from_ref(clear)).await?;
        }
        place.write(&numbered(1..10)).await?;
        ensure_eq!(place.texts().await?, ["7", "8", "9"], "the live messages, the {name}");
        ensure_eq!(place.existing().await?.version, at(21), "the version, the {name}");
    }
    Ok(())
}

async fn a_clear_keeps_the_owner(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[acl(1, "ann", &["bob"]), text(2, "a"), key(3, "k", json!(1))]).await?;
    place.write(&[cleared(10, 11)]).await?;
    let session = place.existing().await?;
    ensure_eq!(session.owner.as_deref(), Some("ann"), "the owner of a cleared session");
    ensure_eq!(session.grants, grants_of("bob"), "the grants of a cleared session");
    ensure!(session.metadata.is_empty() && session.head.is_none(), "something survived the clear: {session:?}");
    ensure_eq!(place.load(&MessageQuery::oldest_first()).await?.items.len(), 0, "messages of a cleared session");
    Ok(())
}

fn grants_of(to: &str) -> Vec<Grant> {
    vec![Grant { to: to.to_owned(), actions: vec!["read".to_owned()] }]
}

async fn the_latest_stamp_wins_per_key(bench: Bench) -> Verdict {
    for (name, order) in [("newer last", [1, 9]), ("newer first", [9, 1])] {
        let place = bench.place(name)?;
        for stamp in order {
            place.write(&[key(stamp, "k", json!(stamp))]).await?;
        }
        ensure_eq!(Value::Object(place.existing().await?.metadata), json!({"k": 9}), "the metadata, the {name}");
        ensure_eq!(place.lines().await?, lines(&fold(&[key(9, "k", json!(9))])), "the records, the {name}");
    }
    Ok(())
}

async fn patches_of_different_keys_both_survive(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[key(5, "a", json!(5))]).await?;
    place.write(&[key(3, "b", json!(3))]).await?;
    place.write(&[keys(7, [("c", Some(json!(7))), ("d", Some(Value::Null))])]).await?;
    let metadata = place.existing().await?.metadata;
    ensure_eq!(Value::Object(metadata), json!({"a": 5, "b": 3, "c": 7, "d": null}), "the metadata");
    Ok(())
}

async fn a_removed_key_stays_removed(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a"), key(2, "k", json!("old")), unset(5, "k")]).await?;
    place.write(&[key(4, "k", json!("late"))]).await?;
    ensure_eq!(Value::Object(place.existing().await?.metadata), json!({}), "the metadata after the removal");
    place.write(&[key(6, "k", json!("new"))]).await?;
    ensure_eq!(Value::Object(place.existing().await?.metadata), json!({"k": "new"}), "the metadata set again");
    Ok(())
}

async fn a_half_superseded_patch_keeps_its_rest(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let both = keys(5, [("a", Some(json!(5))), ("b", Some(json!(5)))]);
    place.write(&[key(9, "a", json!(9))]).await?;
    place.write(std::slice::from_ref(&both)).await?;
    ensure_eq!(Value::Object(place.existing().await?.metadata), json!({"a": 9, "b": 5}), "the metadata");
    ensure_eq!(place.lines().await?, lines(&fold(&[key(9, "a", json!(9)), both])), "the records");
    Ok(())
}

async fn the_first_owner_and_the_last_grants_count(bench: Bench) -> Verdict {
    let acls = [acl(5, "five", &["r5"]), acl(9, "nine", &["r9"]), acl(7, "seven", &["r7"]), acl(3, "three", &["r3"])];
    for turn in 0..acls.len() {
        let place = bench.place(&format!("turn {turn}"))?;
        for record in acls.iter().cycle().skip(turn).take(acls.len()) {
            place.write(std::slice::from_ref(record)).await?;
        }
        let session = place.existing().await?;
        ensure_eq!(session.owner.as_deref(), Some("three"), "the owner");
        ensure_eq!(session.grants, grants_of("r9"), "the grants");
        ensure_eq!(place.lines().await?, lines(&fold(&acls)), "the records");
    }
    Ok(())
}

async fn order_follows_stamps_not_arrival(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    for n in [5, 1, 9, 3, 7, 2, 8, 4, 6] {
        place.write(&numbered(n..n + 1)).await?;
    }
    place.write(&[text(12, "12"), text(10, "10"), text(11, "11")]).await?;
    let wanted: Vec<_> = (1..13).map(|n: u64| n.to_string()).collect();
    ensure_eq!(place.texts().await?, wanted, "the messages, oldest first");
    let newest = place.load(&MessageQuery::newest_first().limit(3)).await?;
    ensure_eq!(crate::bench::texts(&newest.items), ["12", "11", "10"], "the last three, newest first");
    Ok(())
}

async fn the_version_is_the_greatest_stamp_of_any_record(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let steps: [(Record, u64); 8] = [
        (text(10, "a"), 10),
        (text(5, "late"), 10),
        (key(20, "k", json!(1)), 20),
        (acl(30, "ann", &[]), 30),
        (deleted(10, 40), 40),
        (cleared(5, 50), 50),
        (text(45, "b"), 50),
        (deleted(45, 46), 50),
    ];
    for (record, version) in &steps {
        let written = place.write(std::slice::from_ref(record)).await?;
        ensure_eq!(written.version, Some(at(*version)), "the version told by the write of {record:?}");
        ensure_eq!(place.existing().await?.version, at(*version), "the version after {record:?}");
    }
    Ok(())
}

async fn the_version_survives_a_clear_that_absorbs_deletions(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[acl(1, "ann", &[]), text(5, "a"), deleted(5, 90)]).await?;
    place.write(&[cleared(10, 11)]).await?;
    ensure_eq!(place.existing().await?.version, at(90), "the version");
    let copy = bench.place("copy")?;
    copy.replay(&place.changes(None, None).await?.0).await?;
    ensure_eq!(copy.existing().await?.version, at(90), "the version of a copy");
    Ok(())
}

async fn a_session_exists_by_message_key_or_owner(bench: Bench) -> Verdict {
    let cases: [(&str, Vec<Record>, bool); 8] = [
        ("message", vec![text(1, "a")], true),
        ("key", vec![key(1, "k", json!(null))], true),
        ("owner", vec![acl(1, "ann", &[])], true),
        ("dead message", vec![text(1, "a"), deleted(1, 2)], false),
        ("removed key", vec![key(1, "k", json!(1)), unset(2, "k")], false),
        ("cleared", vec![text(1, "a"), key(2, "k", json!(1)), cleared(2, 3)], false),
        ("deletion alone", vec![deleted(1, 2)], false),
        ("cleared but owned", vec![acl(1, "ann", &[]), text(2, "a"), cleared(2, 3)], true),
    ];
    for (name, records, exists) in &cases {
        let place = bench.place(name)?;
        place.write(records).await?;
        ensure_eq!(place.session().await?.is_some(), *exists, "whether the session `{name}` exists");
        let loaded = place.try_load(&MessageQuery::oldest_first()).await;
        if *exists {
            loaded?;
        } else {
            fails(loaded, NotFound, "loading a session that does not exist")?;
        }
    }
    let mut wanted: Vec<_> = cases.iter().filter(|case| case.2).map(|case| case.0).collect();
    wanted.sort_unstable();
    let cx = crate::bench::context("default");
    ensure_eq!(bench.list_ids(&cx, craftx_core::SessionQuery::new()).await?, wanted, "the list of sessions");
    Ok(())
}

async fn a_fresh_conflict_is_refused(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a"), text(2, "b")]).await?;
    let error = refused(
        place.try_write(&[text(3, "c"), text(2, "other content")], &WriteOptions::fresh()).await,
        Conflict,
        "a fresh message with other content",
    )?;
    ensure_eq!(error.get("id"), Some(at(2).to_string().as_str()), "the fact `id` of the error");
    ensure!(!format!("{error:?} {error}").contains("other content"), "the error shows the content of a message");
    ensure_eq!(place.messages().await?.get(1).and_then(|m| m.text()), Some("b"), "the message that was there first");
    Ok(())
}

async fn a_conflict_within_one_batch_is_refused(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let batch = [text(1, "one"), text(1, "other")];
    refused(place.try_write(&batch, &WriteOptions::fresh()).await, Conflict, "two contents of one id in one batch")?;
    Ok(())
}

async fn a_refused_batch_leaves_nothing(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(2, "b")]).await?;
    let before = (place.lines().await?, place.existing().await?.version);
    for batch in [
        [text(1, "a"), text(2, "other"), text(3, "c"), key(9, "k", json!(1))],
        [key(9, "k", json!(1)), deleted(1, 8), text(3, "c"), text(2, "other")],
    ] {
        refused(place.try_write(&batch, &WriteOptions::fresh()).await, Conflict, "a batch with a conflict")?;
        ensure_eq!((place.lines().await?, place.existing().await?.version), before, "the session after the refusal");
    }
    Ok(())
}

async fn no_conflict_picks_a_winner(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "first")]).await?;
    match place.try_write(&[text(1, "second")], &WriteOptions::fresh()).await {
        Ok(_) => both_variants(&place).await,
        Err(error) => {
            refused(Err(error), Conflict, "a fresh message with other content")?;
            ensure_eq!(place.texts().await?, ["first"], "the messages after the refusal");
            Ok(())
        }
    }
}

/// The session holds two variants of the message at 1: reading it fails and names it.
async fn both_variants(place: &Place) -> Verdict {
    for query in [MessageQuery::oldest_first(), MessageQuery::newest_first(), MessageQuery::oldest_first().ids([at(1)])]
    {
        let error = fails(place.try_load(&query).await, Conflict, "reading a message that has two variants")?;
        ensure_eq!(error.get("id"), Some(at(1).to_string().as_str()), "the fact `id` of the error");
    }
    let set = place.set().await?;
    ensure_eq!(set.bodies().filter(|(id, _)| *id == at(1)).count(), 2, "the variants that `records` gives");
    Ok(())
}

async fn a_replayed_conflict_keeps_both(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "first"), text(2, "b"), text(3, "c")]).await?;
    place.replay(&[text(1, "second")]).await?;
    both_variants(&place).await?;
    let rest = place.load(&MessageQuery::oldest_first().after(at(1))).await?;
    ensure_eq!(crate::bench::texts(&rest.items), ["b", "c"], "a page without the two variants");
    let again = place.replay(&[text(1, "second"), text(1, "first")]).await?;
    counted(&again, "known", again.known, 2)?;
    ensure_eq!(place.existing().await?.head, Some(at(3)), "the head");
    Ok(())
}

async fn deletion_is_the_way_out_of_a_conflict(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "first"), text(2, "b")]).await?;
    place.replay(&[text(1, "second")]).await?;
    place.write(&[deleted(1, 5)]).await?;
    ensure_eq!(place.texts().await?, ["b"], "the messages after the deletion");
    ensure_eq!(place.lines().await?, lines(&fold(&[text(2, "b"), deleted(1, 5)])), "the records after the deletion");
    Ok(())
}

async fn a_large_batch_is_kept_whole(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let size = bench.batch(500);
    let mut batch = numbered(1..size as u64 + 1);
    bench.random().shuffle(&mut batch);
    let written = place.write(&batch).await?;
    counted(&written, "applied", written.applied, size as u32)?;
    let wanted: Vec<_> = (1..=size).map(|n| n.to_string()).collect();
    ensure_eq!(place.texts().await?, wanted, "the messages of one batch of {size}");
    Ok(())
}

async fn fresh_writes_from_the_future_are_refused_or_kept(bench: Bench) -> Verdict {
    const FAR: u64 = 1_000 * 365 * 86_400_000;
    let place = bench.place("s")?;
    place.write(&[text(1, "now")]).await?;
    match place.try_write(&[text(2, "a"), text(FAR, "ahead")], &WriteOptions::fresh()).await {
        Ok(_) => ensure_eq!(place.texts().await?, ["now", "a", "ahead"], "the messages"),
        Err(error) => {
            refused(Err(error), InvalidInput, "a fresh record far ahead of the clock")?;
            ensure_eq!(place.texts().await?, ["now"], "the messages after the refusal");
        }
    }
    Ok(())
}

async fn replays_may_come_from_the_future(bench: Bench) -> Verdict {
    const FAR: u64 = 1_000 * 365 * 86_400_000;
    let place = bench.place("s")?;
    place.replay(&[text(FAR, "from a fast clock"), key(FAR + 1, "k", json!(1))]).await?;
    ensure_eq!(place.existing().await?.version, at(FAR + 1), "the version");
    place.write(&[text(FAR + 2, "the answer")]).await?;
    ensure_eq!(place.texts().await?, ["from a fast clock", "the answer"], "the messages");
    Ok(())
}

async fn limits_are_enforced(bench: Bench) -> Verdict {
    const BEARABLE_RECORDS: u32 = 20_000;
    const BEARABLE_BYTES: u64 = 64 << 20;
    let place = bench.place("s")?;
    let mut tried = false;
    if let Some(most) = bench.capabilities.max_batch.filter(|most| *most <= BEARABLE_RECORDS) {
        tried = true;
        let batch = numbered(1..u64::from(most) + 2);
        refused(place.try_write(&batch, &WriteOptions::fresh()).await, InvalidInput, "a batch beyond `max_batch`")?;
    }
    if let Some(most) = bench.capabilities.max_record_bytes.filter(|most| *most <= BEARABLE_BYTES) {
        tried = true;
        let record = text(1, "x".repeat(most as usize + 1));
        let result = place.try_write(&[text(2, "b"), record], &WriteOptions::fresh()).await;
        refused(result, InvalidInput, "a record beyond `max_record_bytes`")?;
    }
    if !tried {
        return Err(Stop::Skip("the store states no limit, or one too great to try".to_owned()));
    }
    ensure!(place.session().await?.is_none(), "something of what was refused is there");
    Ok(())
}
