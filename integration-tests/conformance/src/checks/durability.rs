//! Acknowledged is durable: what was written is there after the store was closed, or just dropped, and opened again.

use craftx_core::ErrorKind::{Conflict, NotFound};
use craftx_core::{Compact, Expect, Include, MessageQuery, SessionQuery, Support};
use serde_json::json;

use crate::bench::{Bench, Leave, context, fails, refused};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::corpus;
use crate::records::{acl, at, cleared, deleted, keys, numbered, text};

checks! { "durability":
    everything_survives_closing [Reopen, Can("durable")] => "records, messages, metadata and lists are the same after closing and opening";
    everything_survives_being_dropped [Reopen, Can("durable")] => "the same without closing: what was acknowledged needs no farewell";
    every_single_write_survives [Reopen, Can("durable")] => "opening again after each write finds that write, and writing goes on";
    the_dead_stay_dead_when_reopened [Reopen, Can("durable")] => "deletions and clears are remembered across opening";
    hostile_names_survive_reopening [Reopen, Can("durable")] => "every name of a session or tenant leads to the same session as before";
    hostile_texts_survive_reopening [Reopen, Can("durable")] => "the text law holds across opening";
    versions_survive_reopening [Reopen, Can("durable")] => "versions are the same, and expectations hold, across opening";
    conflicts_survive_reopening [Reopen, Can("durable")] => "two variants of one id are not merged by opening";
    compaction_survives_reopening [Reopen, Can("durable")] => "a compacted and purged session is the same after opening";
    the_time_of_the_last_write_survives_reopening [Reopen, Can("durable")] => "when a session was last written is remembered to the second";
    opening_a_missing_session_creates_nothing [Reopen, Can("durable")] => "reading what is not there leaves nothing behind";
}

async fn fill(bench: &Bench) -> Verdict {
    for name in ["a", "b"] {
        let place = bench.place(name)?;
        place.write(&numbered(1..30)).await?;
        place
            .write(&[deleted(7, 50), cleared(3, 51), keys(52, [("k", Some(json!({"z": 1.5e300}))), ("gone", None)])])
            .await?;
        place.write(&[acl(53, "ann", &["bob"]), text(60, "last")]).await?;
    }
    bench.place("cleared")?.write(&[text(1, "a"), cleared(1, 2)]).await?;
    bench.place_of("other", "a")?.write(&[text(1, "of the other tenant")]).await?;
    Ok(())
}

/// Everything that can be seen of the store, as text.
async fn everything(bench: &Bench) -> Verdict<Vec<String>> {
    let mut seen = Vec::new();
    for tenant in bench.tenants().await? {
        for mut session in bench.list(&context(&tenant), SessionQuery::new().include(Include::All)).await? {
            let place = bench.place_of(&tenant, session.id.as_str())?;
            session.messages = None;
            // How exactly a medium keeps it is its own; there is a check for it.
            session.updated = std::time::UNIX_EPOCH;
            seen.push(format!("{session:?} {:?}", session.metadata));
            seen.extend(place.lines().await?);
            seen.extend(place.texts().await?);
        }
    }
    Ok(seen)
}

async fn survives(mut bench: Bench, leave: Leave) -> Verdict {
    fill(&bench).await?;
    let before = everything(&bench).await?;
    for turn in 0..2 {
        bench.reopen(leave).await?;
        let after = everything(&bench).await?;
        let odd = before.iter().zip(&after).find(|(before, after)| before != after);
        ensure!(odd.is_none(), "turn {turn}: this differs (before, after): {odd:?}");
        ensure_eq!(after.len(), before.len(), "the number of things seen in turn {turn}");
    }
    Ok(())
}

async fn everything_survives_closing(bench: Bench) -> Verdict {
    survives(bench, Leave::Closed).await
}

async fn everything_survives_being_dropped(bench: Bench) -> Verdict {
    survives(bench, Leave::Dropped).await
}

async fn every_single_write_survives(mut bench: Bench) -> Verdict {
    let mut wanted = Vec::new();
    for n in 1..=bench.rounds.min(20) {
        bench.place("s")?.write(&numbered(n..n + 1)).await?;
        wanted.push(n.to_string());
        bench.reopen(if n % 2 == 0 { Leave::Closed } else { Leave::Dropped }).await?;
        let place = bench.place("s")?;
        ensure_eq!(place.texts().await?, wanted, "the messages after opening number {n}");
        let again = place.write(&numbered(n..n + 1)).await?;
        ensure!(again.applied.is_none_or(|applied| applied == 0), "a known message was applied again: {again:?}");
    }
    Ok(())
}

async fn the_dead_stay_dead_when_reopened(mut bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..10)).await?;
    place.write(&[cleared(3, 20)]).await?;
    place.write(&[deleted(5, 21), deleted(30, 31)]).await?;
    drop(place);
    bench.reopen(Leave::Dropped).await?;
    let place = bench.place("s")?;
    place.replay(&numbered(1..10)).await?;
    place.write(&[text(30, "late")]).await?;
    ensure_eq!(place.texts().await?, ["4", "6", "7", "8", "9"], "the messages");
    Ok(())
}

async fn hostile_names_survive_reopening(mut bench: Bench) -> Verdict {
    let names = corpus::hostile_names();
    for name in &names {
        bench.place(name)?.write(&[text(1, name.as_str())]).await?;
        bench.place_of(name, "s")?.write(&[text(1, name.as_str())]).await?;
    }
    bench.reopen(Leave::Closed).await?;
    for name in &names {
        ensure_eq!(bench.place(name)?.texts().await?, [name.as_str()], "the session {name:?}");
        ensure_eq!(bench.place_of(name, "s")?.texts().await?, [name.as_str()], "the tenant {name:?}");
    }
    let mut wanted = names;
    wanted.sort_unstable();
    ensure_eq!(bench.list_ids(&context("default"), SessionQuery::new()).await?, wanted, "the list of sessions");
    Ok(())
}

async fn hostile_texts_survive_reopening(mut bench: Bench) -> Verdict {
    let texts = corpus::hostile_texts();
    let records: Vec<_> = (1..).zip(&texts).map(|(n, value)| text(n, value.as_str())).collect();
    for batch in records.chunks(bench.batch(50)) {
        bench.place("s")?.write(batch).await?;
    }
    bench.reopen(Leave::Dropped).await?;
    let found = bench.place("s")?.texts().await?;
    let odd = found.iter().zip(&texts).find(|(found, wanted)| found != wanted);
    ensure!(odd.is_none() && found.len() == texts.len(), "the texts differ in (found, wanted) {odd:?}");
    Ok(())
}

async fn versions_survive_reopening(mut bench: Bench) -> Verdict {
    bench.place("s")?.write(&[text(1, "a"), deleted(1, 9), text(2, "b")]).await?;
    bench.place("dead")?.write(&[deleted(1, 9)]).await?;
    bench.reopen(Leave::Closed).await?;
    let place = bench.place("s")?;
    ensure_eq!(place.existing().await?.version, at(9), "the version");
    if bench.capabilities.compare_and_append == Support::Yes {
        refused(place.write_expecting(&[text(20, "c")], Expect::Version(at(2))).await, Conflict, "an old version")?;
        refused(place.write_expecting(&[text(20, "c")], Expect::New).await, Conflict, "an old session")?;
        place.write_expecting(&[text(20, "c")], Expect::Version(at(9))).await?;
        let dead = bench.place("dead")?;
        refused(dead.write_expecting(&[text(20, "c")], Expect::New).await, Conflict, "a session with a deletion")?;
    }
    Ok(())
}

async fn conflicts_survive_reopening(mut bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "one"), text(2, "b")]).await?;
    place.replay(&[text(1, "other")]).await?;
    let before = place.lines().await?;
    drop(place);
    bench.reopen(Leave::Closed).await?;
    let place = bench.place("s")?;
    ensure_eq!(place.lines().await?, before, "the records");
    fails(place.try_load(&MessageQuery::oldest_first()).await, Conflict, "reading two variants")?;
    place.write(&[deleted(1, 9)]).await?;
    ensure_eq!(place.texts().await?, ["b"], "the messages after the deletion");
    Ok(())
}

async fn compaction_survives_reopening(mut bench: Bench) -> Verdict {
    fill(&bench).await?;
    bench.store().compact(&context("default"), &Compact::new().purge_deleted_before(at(51))).await?;
    let before = everything(&bench).await?;
    bench.reopen(Leave::Dropped).await?;
    let after = everything(&bench).await?;
    let odd = before.iter().zip(&after).find(|(before, after)| before != after);
    ensure!(odd.is_none() && before.len() == after.len(), "this differs (before, after): {odd:?}");
    let place = bench.place("a")?;
    place.replay(&numbered(1..4)).await?;
    ensure!(!place.texts().await?.contains(&"3".to_owned()), "a cleared message came back after a purge");
    Ok(())
}

async fn the_time_of_the_last_write_survives_reopening(mut bench: Bench) -> Verdict {
    const A_SECOND: std::time::Duration = std::time::Duration::from_secs(1);
    bench.place("s")?.write(&[text(1, "a")]).await?;
    let before = bench.place("s")?.existing().await?.updated;
    tokio::time::sleep(A_SECOND * 2).await;
    bench.reopen(Leave::Closed).await?;
    let after = bench.place("s")?.existing().await?.updated;
    let apart = before.duration_since(after).or_else(|_| after.duration_since(before)).unwrap_or(A_SECOND);
    ensure!(apart < A_SECOND, "the session was last written at {before:?}, and when reopened at {after:?}");
    Ok(())
}

async fn opening_a_missing_session_creates_nothing(mut bench: Bench) -> Verdict {
    let place = bench.place("never written")?;
    fails(place.try_load(&MessageQuery::oldest_first()).await, NotFound, "a session that was never written")?;
    place.changes(None, None).await?;
    place.write(&[]).await?;
    drop(place);
    bench.reopen(Leave::Closed).await?;
    let all = bench.list_ids(&context("default"), SessionQuery::new().include(Include::All)).await?;
    ensure!(all.is_empty() && bench.tenants().await?.is_empty(), "reading left something behind: {all:?}");
    Ok(())
}
