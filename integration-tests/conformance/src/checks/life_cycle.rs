//! Preparing, status, compaction, closing.

use craftx_core::ErrorKind::Closed;
use craftx_core::{
    Caller, Compact, ErrorKind, MessageQuery, Prepare, SearchQuery, SessionQuery, Support, WriteOptions,
};
use serde_json::json;

use crate::bench::{Bench, Leave, context, fails, fold, lines};
use crate::check::{Stop, Verdict, checks, ensure, ensure_eq};
use crate::records::{acl, at, cleared, deleted, key, numbered, text, unset};

checks! { "life cycle":
    preparing_again_changes_nothing [] => "a store can be prepared again, and says the same";
    looking_leaves_an_open_store_open [] => "preparing an open store to check it changes nothing, and it stays open";
    preparing_settles_what_is_known [] => "after preparing nothing is left to probe, and what was known before holds";
    the_status_tells_the_truth [] => "identity, scheme, name, capabilities and the number of live sessions are right";
    the_position_grows_with_every_write [] => "where a store tells its position, every write that stores something moves it";
    two_stores_have_two_identities [] => "every store has an identity of its own";
    the_identity_survives_reopening [Reopen, Can("durable")] => "the identity of a store is written once";
    compaction_keeps_the_view [] => "compacting changes neither messages nor records, metadata or version";
    compaction_comes_to_an_end [] => "a second compaction finds no more bodies or tombstones to erase";
    compaction_of_one_session_leaves_the_others [] => "compacting one session changes no other one";
    a_purge_forgets_old_deletions_only [] => "a purge forgets deletions before the stamp, and keeps later ones and the clear";
    a_purge_keeps_the_version [] => "a purge never lowers the version";
    writing_goes_on_after_compaction [] => "after a compaction the session takes writes, and the dead stay dead";
    what_was_compacted_is_really_gone [Bytes] => "after a compaction no byte of a deleted message is left on the medium";
    a_healthy_store_verifies_clean [] => "checking the medium finds nothing wrong with a healthy store, says what it looked at, and changes nothing";
    two_contents_are_listed [] => "checking the medium lists the messages with two contents, which nobody can load, until they are deleted";
    only_the_system_verifies [] => "checking the medium is refused to everybody but the system";
    the_store_shows_no_content [] => "`Debug` of the store shows no content of messages";
    a_closed_store_answers_closed [] => "after closing every call is an error `closed`, and closing again is fine";
}

async fn preparing_again_changes_nothing(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..5)).await?;
    let before = bench.status().await?;
    for mode in [Prepare::Migrate, Prepare::Open] {
        let capabilities = bench.store().prepare(&place.cx, mode).await?;
        ensure_eq!(capabilities, bench.capabilities, "the capabilities when prepared again");
    }
    ensure_eq!(place.texts().await?, ["1", "2", "3", "4"], "the messages");
    ensure_eq!(bench.status().await?.store, before.store, "the identity");
    Ok(())
}

async fn looking_leaves_an_open_store_open(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..3)).await?;
    bench.store().prepare(&place.cx, Prepare::Check).await?;
    ensure_eq!(place.texts().await?, ["1", "2"], "the messages");
    place.write(&numbered(3..4)).await?;
    ensure_eq!(place.texts().await?, ["1", "2", "3"], "the messages");
    Ok(())
}

async fn preparing_settles_what_is_known(bench: Bench) -> Verdict {
    for ((name, before), (_, after)) in bench.store().capabilities().named().into_iter().zip(bench.capabilities.named())
    {
        ensure!(after != Support::Probe, "`{name}` is still not known after preparing");
        ensure!(
            before == Support::Probe || before == after,
            "`{name}` was {before:?} and is {after:?} after preparing"
        );
    }
    Ok(())
}

async fn the_status_tells_the_truth(bench: Bench) -> Verdict {
    let status = bench.status().await?;
    ensure!(!status.store.is_nil(), "the store has no identity");
    ensure!(!status.scheme.is_empty(), "the store has no scheme");
    ensure_eq!(status.capabilities, bench.capabilities, "the capabilities in the status");
    ensure!(status.sessions.is_none_or(|sessions| sessions == 0), "a new store has sessions: {:?}", status.sessions);
    for n in 0..3 {
        bench.place(&format!("s{n}"))?.write(&[text(1, "a")]).await?;
    }
    bench.place("s0")?.write(&[deleted(1, 2)]).await?;
    bench.place("never was")?.write(&[deleted(1, 2)]).await?;
    let again = bench.status().await?;
    ensure!(again.sessions.is_none_or(|sessions| sessions == 2), "there are 2 sessions, found {:?}", again.sessions);
    ensure_eq!((again.store, again.scheme, &again.name), (status.store, status.scheme, &status.name), "who it is");
    Ok(())
}

async fn the_position_grows_with_every_write(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let Some(mut last) = bench.status().await?.position else {
        return Err(Stop::Skip("the store tells no position".to_owned()));
    };
    for record in [text(1, "a"), key(2, "k", json!(1)), deleted(1, 3), acl(4, "ann", &[]), cleared(3, 5)] {
        place.write(&[record]).await?;
        let position = bench.status().await?.position.unwrap_or(0);
        ensure!(position > last, "the position went from {last} to {position}");
        last = position;
    }
    Ok(())
}

async fn two_stores_have_two_identities(bench: Bench) -> Verdict {
    let other = bench.another().await?;
    let (one, other) = (bench.status().await?.store, other.backend.status(&context("default")).await?.store);
    ensure!(one != other, "two stores have the same identity {one}");
    Ok(())
}

async fn the_identity_survives_reopening(mut bench: Bench) -> Verdict {
    let before = bench.status().await?;
    bench.place("s")?.write(&[text(1, "a")]).await?;
    for leave in [Leave::Closed, Leave::Dropped] {
        bench.reopen(leave).await?;
        let after = bench.status().await?;
        ensure_eq!(
            (after.store, after.scheme),
            (before.store, before.scheme),
            "the identity when {leave:?} and opened"
        );
        ensure!(
            after.position >= before.position,
            "the position went from {:?} to {:?}",
            before.position,
            after.position
        );
    }
    Ok(())
}

/// Two sessions with much that is dead.
async fn fill(bench: &Bench) -> Verdict {
    for name in ["s", "t"] {
        let place = bench.place(name)?;
        for batch in numbered(1..40).chunks(5) {
            place.write(batch).await?;
        }
        for n in 20..30 {
            place.write(&[deleted(n, 100 + n), key(200 + n, "k", json!(n))]).await?;
        }
        place
            .write(&[cleared(10, 300), key(301, "gone", json!("x")), unset(302, "gone"), acl(303, "ann", &[])])
            .await?;
    }
    Ok(())
}

async fn compaction_keeps_the_view(bench: Bench) -> Verdict {
    fill(&bench).await?;
    let place = bench.place("s")?;
    let before = (place.lines().await?, place.texts().await?, place.existing().await?);
    let list = bench.list_ids(&place.cx, SessionQuery::new()).await?;
    bench.store().compact(&place.cx, &Compact::new()).await?;
    let mut session = place.existing().await?;
    session.updated = before.2.updated;
    ensure_eq!(place.lines().await?, before.0, "the records after the compaction");
    ensure_eq!(place.texts().await?, before.1, "the messages after the compaction");
    ensure_eq!(session, before.2, "the session after the compaction");
    ensure!(session.metadata == before.2.metadata, "the metadata after the compaction differ");
    ensure_eq!(bench.list_ids(&place.cx, SessionQuery::new()).await?, list, "the list after the compaction");
    Ok(())
}

async fn compaction_comes_to_an_end(bench: Bench) -> Verdict {
    fill(&bench).await?;
    let cx = context("default");
    let what = Compact::new().purge_deleted_before(at(1_000));
    bench.store().compact(&cx, &what).await?;
    let again = bench.store().compact(&cx, &what).await?;
    ensure_eq!((again.bodies, again.tombstones), (0, 0), "what a second compaction erased");
    let other = bench.store().compact(&context("nobody"), &what).await?;
    ensure_eq!(
        (other.bytes, other.bodies, other.tombstones),
        (0, 0, 0),
        "what was erased of a tenant that has nothing"
    );
    Ok(())
}

async fn compaction_of_one_session_leaves_the_others(bench: Bench) -> Verdict {
    fill(&bench).await?;
    let (one, other) = (bench.place("s")?, bench.place("t")?);
    let before = other.lines().await?;
    let what = Compact::new().session(one.session.clone()).purge_deleted_before(at(1_000));
    bench.store().compact(&one.cx, &what).await?;
    ensure_eq!(other.lines().await?, before, "the records of the other session");
    ensure!(one.lines().await?.len() < before.len(), "nothing was purged of the session itself");
    let missing = Compact::new().session(bench.place("never written")?.session);
    match bench.store().compact(&one.cx, &missing).await {
        Ok(erased) => ensure_eq!((erased.bodies, erased.tombstones), (0, 0), "what was erased of a missing session"),
        Err(error) => {
            fails::<()>(Err(error), ErrorKind::NotFound, "compacting a missing session")?;
        }
    }
    Ok(())
}

async fn a_purge_forgets_old_deletions_only(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..10)).await?;
    place.write(&[cleared(2, 20), deleted(5, 30), deleted(6, 50), key(60, "k", json!(1)), unset(40, "old")]).await?;
    bench.store().compact(&place.cx, &Compact::new().purge_deleted_before(at(50))).await?;
    let mut wanted = vec![cleared(2, 20), deleted(6, 50), key(60, "k", json!(1))];
    wanted.extend([3, 4, 7, 8, 9].iter().flat_map(|n| numbered(*n..n + 1)));
    ensure_eq!(place.lines().await?, lines(&fold(&wanted)), "the records after the purge");
    ensure_eq!(place.texts().await?, ["3", "4", "7", "8", "9"], "the messages after the purge");
    ensure_eq!(place.existing().await?.cleared, Some(at(2)), "the clear after the purge");
    Ok(())
}

async fn a_purge_keeps_the_version(bench: Bench) -> Verdict {
    let (live, dead) = (bench.place("live")?, bench.place("dead")?);
    live.write(&[text(1, "a"), text(2, "b"), deleted(2, 30)]).await?;
    dead.write(&[text(1, "a"), deleted(1, 30)]).await?;
    bench.store().compact(&live.cx, &Compact::new().purge_deleted_before(at(1_000))).await?;
    ensure_eq!(live.existing().await?.version, at(30), "the version of a session that lives");
    ensure_eq!(dead.set().await?.version(), Some(at(30)), "the version of a session that is dead");
    let written = live.write(&[text(3, "c")]).await?;
    ensure_eq!(written.version, Some(at(30)), "the version that the next write tells");
    Ok(())
}

async fn writing_goes_on_after_compaction(bench: Bench) -> Verdict {
    fill(&bench).await?;
    let place = bench.place("s")?;
    let before = place.texts().await?;
    bench.store().compact(&place.cx, &Compact::new()).await?;
    place.replay(&numbered(1..40)).await?;
    ensure_eq!(place.texts().await?, before, "the messages when everything was written again");
    place.write(&[text(400, "new")]).await?;
    let last = place.load(&MessageQuery::newest_first().limit(1)).await?;
    ensure_eq!(crate::bench::texts(&last.items), ["new"], "the last message");
    Ok(())
}

async fn what_was_compacted_is_really_gone(bench: Bench) -> Verdict {
    let Some(bytes) = bench.subject.bytes.clone() else {
        return Err(Stop::Skip("the factory does not show the bytes of the medium".to_owned()));
    };
    let holds = |canary: &str| -> Verdict<bool> {
        let bytes = bytes().map_err(|error| Stop::Fail(format!("the bytes of the medium cannot be read: {error}")))?;
        Ok(bytes.windows(canary.len()).any(|window| window == canary.as_bytes()))
    };
    let place = bench.place("s")?;
    place.write(&[text(1, "canary-deleted-4711"), text(2, "canary-cleared-4712"), text(3, "canary-kept-4713")]).await?;
    place.write(&[key(4, "title", json!("canary-superseded-4714")), text(9, "canary-deleted-4715")]).await?;
    let visible = holds("canary-kept-4713")?;
    place.write(&[deleted(1, 10), deleted(9, 11), cleared(2, 12), key(13, "title", json!("new"))]).await?;
    bench.store().compact(&place.cx, &Compact::new()).await?;
    for canary in ["canary-deleted-4711", "canary-cleared-4712", "canary-deleted-4715", "canary-superseded-4714"] {
        ensure!(!holds(canary)?, "the medium still holds {canary}");
    }
    ensure_eq!(place.texts().await?, ["canary-kept-4713"], "the messages");
    ensure!(visible, "the bytes that the factory shows never held what was written");
    Ok(())
}

async fn a_healthy_store_verifies_clean(bench: Bench) -> Verdict {
    let (a, b) = (bench.place_of("a", "s")?, bench.place_of("b", "s")?);
    let verify = || bench.store().verify(&a.cx);
    ensure_eq!(verify().await?.problems, [], "the problems of an empty store");
    a.write(&numbered(1..30)).await?;
    a.write(&[deleted(3, 40), key(41, "title", json!("canary 4711")), unset(42, "title")]).await?;
    a.write(&[acl(43, "ann", &["bob"])]).await?;
    b.write(&[text(1, "canary 4711"), text(2, "東京"), cleared(1, 3)]).await?;
    let before = (a.lines().await?, b.lines().await?);
    let verified = verify().await?;
    ensure_eq!(verified.problems, [], "the problems of a healthy store");
    ensure!(!verified.checked.is_empty() || !verified.unverifiable.is_empty(), "nothing is said of what was looked at");
    ensure!(!format!("{verified:?}").contains("canary"), "the content of a message is shown");
    ensure!((a.lines().await?, b.lines().await?) == before, "checking the medium changed something");
    bench.store().compact(&a.cx, &Compact::new()).await?;
    ensure_eq!(verify().await?.problems, [], "the problems after a compaction");
    Ok(())
}

async fn two_contents_are_listed(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let notes = async || bench.store().verify(&place.cx).await.map(|verified| verified.notes.join("\n"));
    place.write(&[text(1, "one"), text(2, "b")]).await?;
    place.replay(&[text(1, "canary 4711")]).await?;
    let found = notes().await?;
    ensure!(found.contains(&at(1).to_string()), "the message with two contents is not among the notes: {found:?}");
    ensure!(!found.contains(&at(2).to_string()) && !found.contains("canary"), "the notes say too much: {found:?}");
    place.write(&[deleted(1, 9)]).await?;
    let found = notes().await?;
    ensure!(!found.contains(&at(1).to_string()), "what was deleted is still listed: {found:?}");
    Ok(())
}

async fn only_the_system_verifies(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a")]).await?;
    for caller in [Caller::Anonymous, Caller::principal("system", ["admin", "system"])] {
        let stranger = place.clone().with_caller(caller);
        let result = bench.store().verify(&stranger.cx).await;
        fails(result, ErrorKind::PermissionDenied, "checking the medium for a caller that is not the system")?;
    }
    Ok(())
}

async fn the_store_shows_no_content(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "canary 4711"), key(2, "title", json!("canary 4712"))]).await?;
    let shown = format!("{:?} {:#?}", bench.store(), bench.status().await?);
    ensure!(!shown.contains("canary 47"), "the content of a message is shown");
    Ok(())
}

async fn a_closed_store_answers_closed(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a")]).await?;
    let (store, cx, session) = (bench.store(), &place.cx, &place.session);
    store.close(cx).await?;
    fails(place.try_write(&[text(2, "b")], &WriteOptions::fresh()).await, Closed, "writing to a closed store")?;
    fails(place.try_write(&[text(1, "a")], &WriteOptions::replay()).await, Closed, "writing what is known")?;
    fails(place.try_load(&MessageQuery::oldest_first()).await, Closed, "loading from a closed store")?;
    fails(store.records(cx, session, None, None).await, Closed, "reading records of a closed store")?;
    fails(store.session(cx, session).await, Closed, "a session of a closed store")?;
    fails(store.sessions(cx, &SessionQuery::new()).await, Closed, "listing sessions of a closed store")?;
    fails(store.tenants(cx, None).await, Closed, "listing tenants of a closed store")?;
    fails(store.compact(cx, &Compact::new()).await, Closed, "compacting a closed store")?;
    fails(store.status(cx).await, Closed, "the status of a closed store")?;
    fails(store.verify(cx).await, Closed, "checking a closed store")?;
    let searched = store.search(cx, &SearchQuery::new("a")).await;
    if bench.capabilities.search == Support::Yes {
        fails(searched, Closed, "searching in a closed store")?;
    } else {
        ensure!(searched.is_err(), "searching in a closed store succeeded");
    }
    store.close(cx).await?;
    fails(store.prepare(cx, Prepare::Migrate).await, Closed, "preparing a closed store")?;
    Ok(())
}
