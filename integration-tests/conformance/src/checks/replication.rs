//! Reading for replication: the canonical set, at least once, in the order of arrival.

use std::sync::Arc;

use craftx_core::ErrorKind::{Conflict, InvalidInput};
use craftx_core::{Backend, Compact, Cursor, Include, Memory, Record, SessionQuery};
use serde_json::json;

use crate::bench::{Bench, Leave, Place, context, fails, fold, lines};
use crate::check::{Stop, Verdict, checks, ensure, ensure_eq};
use crate::records::{acl, at, cleared, deleted, key, keys, numbered, text, unset};

checks! { "replication":
    records_give_the_whole_set_by_pages [] => "pages of any size give every record of the canonical set";
    records_give_nothing_dead [] => "what is deleted, cleared or superseded is not replicated";
    a_cursor_continues_after_later_writes [] => "the cursor at the end goes on with what is written later";
    late_records_are_not_missed [] => "a record with an early stamp that arrives after the cursor is given";
    deletions_after_the_cursor_are_given [] => "a deletion that arrives after the cursor is given, of what was given before too";
    a_reader_that_follows_misses_nothing [] => "following by cursor while others write ends with the whole set";
    a_copy_is_equal [] => "writing all records to another store as a replay gives the same records and the same view";
    a_copy_from_the_model_is_equal [] => "the same from the memory backend to this store, and writing twice changes nothing";
    a_copy_carries_conflicts [] => "two variants of one id are both replicated, and the copy is in conflict too";
    a_whole_store_can_be_copied [] => "tenants, sessions with `Include::All` and records together give a copy of everything";
    an_expired_cursor_is_a_conflict_and_starting_again_works [] => "a cursor goes on after a compaction or is refused as expired; starting again gives all";
    text_that_is_no_cursor_is_refused [] => "text that is no cursor of this session is refused as invalid";
    a_cursor_survives_reopening [Reopen, Can("durable")] => "a cursor goes on after the store was opened again or is refused as expired";
}

/// A session with a bit of everything, dead and alive.
fn mixed() -> Vec<Record> {
    let mut records = numbered(10..30);
    records.extend([deleted(12, 40), deleted(25, 41), deleted(99, 100), cleared(11, 42), acl(43, "ann", &["bob"])]);
    records.extend([
        acl(44, "ann", &["carl"]),
        acl(45, "ann", &["dora"]),
        keys(46, [("a", Some(json!(1))), ("b", None)]),
    ]);
    records.extend([key(47, "a", json!(2)), key(48, "c", json!(3)), unset(49, "c"), text(50, "last")]);
    records
}

async fn write_each(place: &Place, records: &[Record]) -> Verdict {
    for batch in records.chunks(3) {
        place.write(batch).await?;
    }
    Ok(())
}

async fn records_give_the_whole_set_by_pages(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    write_each(&place, &mixed()).await?;
    let wanted = lines(&fold(&mixed()));
    for limit in [None, Some(1), Some(2), Some(5), Some(1_000), Some(u32::MAX)] {
        let (records, _) = place.changes(None, limit).await?;
        ensure_eq!(lines(&fold(&records)), wanted, "the records by pages of {limit:?}");
    }
    Ok(())
}

async fn records_give_nothing_dead(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    write_each(&place, &mixed()).await?;
    // Reading the set checks that every record that was given is canonical.
    let set = place.set().await?;
    ensure_eq!(set.bodies().count(), 17, "the messages");
    ensure_eq!(set.facts().len(), fold(&mixed()).facts().len(), "the other records");
    Ok(())
}

async fn a_cursor_continues_after_later_writes(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let mut seen = Vec::new();
    let mut cursor = None;
    for n in 1..10 {
        place.write(&numbered(n * 10..n * 10 + 3)).await?;
        let (records, next) = place.changes(cursor, Some(2)).await?;
        let new: Vec<_> = numbered(n * 10..n * 10 + 3);
        for record in &new {
            ensure!(records.contains(record), "the record {record:?} that was written after the cursor is missing");
        }
        seen.extend(records);
        cursor = Some(next);
    }
    ensure_eq!(lines(&fold(&seen)), place.lines().await?, "all parts together");
    let (rest, again) = place.changes(cursor, None).await?;
    ensure!(rest.iter().all(|record| seen.contains(record)), "the end gives a record that was never written");
    let (rest, _) = place.changes(Some(again), None).await?;
    ensure!(rest.iter().all(|record| seen.contains(record)), "the end gives a record that was never written");
    Ok(())
}

async fn late_records_are_not_missed(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(100..110)).await?;
    let (_, cursor) = place.changes(None, None).await?;
    let late = [text(5, "late"), key(6, "k", json!(1)), acl(7, "ann", &[])];
    place.write(&late).await?;
    let (records, _) = place.changes(Some(cursor), None).await?;
    for record in &late {
        ensure!(records.contains(record), "the record {record:?} with an early stamp is missing");
    }
    Ok(())
}

async fn deletions_after_the_cursor_are_given(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..10)).await?;
    let (mut seen, cursor) = place.changes(None, None).await?;
    place.write(&[deleted(9, 20)]).await?;
    let (records, cursor) = place.changes(Some(cursor), None).await?;
    ensure!(records.contains(&deleted(9, 20)), "the deletion is missing: {records:?}");
    seen.extend(records);
    place.write(&[cleared(4, 21)]).await?;
    let (records, _) = place.changes(Some(cursor), None).await?;
    ensure!(records.contains(&cleared(4, 21)), "the clear is missing: {records:?}");
    seen.extend(records);
    ensure_eq!(lines(&fold(&seen)), place.lines().await?, "all parts together");
    Ok(())
}

async fn a_reader_that_follows_misses_nothing(bench: Bench) -> Verdict {
    const WRITERS: u64 = 4;
    let place = bench.place("s")?;
    let each = bench.rounds.clamp(5, 50);
    // The greatest stamp of all comes first, so that a reader that goes by stamps misses all others.
    place.write(&[text(900_000, "first")]).await?;
    let (mut seen, end) = place.changes(None, None).await?;
    let mut cursor = Some(end);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let place = place.clone();
            tokio::spawn(async move {
                for n in 0..each {
                    // Early stamps come late.
                    let stamp = 10_000 * (writer + 1) - n * 3;
                    place.write(&[text(stamp, "a"), text(stamp + 1, "b")]).await?;
                    if n % 5 == 4 {
                        place.write(&[deleted(stamp, 100_000 + stamp)]).await?;
                    }
                }
                Ok::<_, Stop>(())
            })
        })
        .collect();
    let mut writing = true;
    while writing {
        writing = !writers.iter().all(tokio::task::JoinHandle::is_finished);
        let (records, next) = place.changes(cursor, Some(3)).await?;
        seen.extend(records);
        cursor = Some(next);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        crate::bench::joined(writer.await)??;
    }
    let (records, _) = place.changes(cursor, Some(3)).await?;
    seen.extend(records);
    ensure_eq!(lines(&fold(&seen)), place.lines().await?, "what the reader that followed has seen");
    Ok(())
}

async fn copy(from: &Place, to: &Place) -> Verdict {
    let mut cursor = None;
    loop {
        let part = from.store.records(&from.cx, &from.session, cursor.as_ref(), Some(7)).await?;
        to.replay(&part.items).await?;
        if part.done {
            return Ok(());
        }
        cursor = Some(part.next);
    }
}

async fn same_view(one: &Place, other: &Place) -> Verdict {
    ensure_eq!(one.lines().await?, other.lines().await?, "the records of the copy");
    ensure!(one.messages().await? == other.messages().await?, "the messages of the copy differ");
    let (mut one, mut other) = (one.existing().await?, other.existing().await?);
    other.updated = one.updated;
    (one.messages, other.messages) = (None, None);
    other.id = one.id.clone();
    ensure_eq!(one, other, "what is known of the copy");
    ensure!(one.metadata == other.metadata, "the metadata of the copy differ");
    Ok(())
}

async fn a_copy_is_equal(bench: Bench) -> Verdict {
    let (original, copied) = (bench.place("s")?, bench.place_of("copy", "s")?);
    write_each(&original, &mixed()).await?;
    copy(&original, &copied).await?;
    same_view(&original, &copied).await?;
    let mut elsewhere = copied.clone();
    elsewhere.store = Arc::new(Memory::new());
    copy(&copied, &elsewhere).await?;
    same_view(&original, &elsewhere).await
}

async fn a_copy_from_the_model_is_equal(bench: Bench) -> Verdict {
    let copied = bench.place("s")?;
    let mut original = copied.clone();
    original.store = Arc::new(Memory::new());
    write_each(&original, &mixed()).await?;
    for _ in 0..2 {
        copy(&original, &copied).await?;
        same_view(&original, &copied).await?;
    }
    Ok(())
}

async fn a_copy_carries_conflicts(bench: Bench) -> Verdict {
    let (original, copied) = (bench.place("s")?, bench.place_of("copy", "s")?);
    original.write(&[text(1, "one"), text(2, "b")]).await?;
    original.replay(&[text(1, "other")]).await?;
    copy(&original, &copied).await?;
    ensure_eq!(original.lines().await?, copied.lines().await?, "the records of the copy");
    ensure_eq!(copied.lines().await?.len(), 3, "the number of records");
    fails(copied.try_load(&craftx_core::MessageQuery::oldest_first()).await, Conflict, "reading the copy")?;
    copied.replay(&[deleted(1, 9)]).await?;
    ensure_eq!(copied.texts().await?, ["b"], "the messages after the deletion");
    Ok(())
}

async fn a_whole_store_can_be_copied(bench: Bench) -> Verdict {
    for tenant in ["a", "b", "c"] {
        write_each(&bench.place_of(tenant, "mixed")?, &mixed()).await?;
        bench.place_of(tenant, "cleared")?.write(&[text(1, tenant), cleared(1, 2)]).await?;
        bench.place_of(tenant, "deleted")?.write(&[text(1, tenant), deleted(1, 2)]).await?;
        bench.place_of(tenant, tenant)?.write(&[text(1, tenant)]).await?;
    }
    let backup = Arc::new(Memory::new());
    let mut sessions = 0;
    for tenant in bench.tenants().await? {
        for session in bench.list(&context(&tenant), SessionQuery::new().include(Include::All).limit(2)).await? {
            let from = bench.place_of(&tenant, session.id.as_str())?;
            let to = Place { store: backup.clone(), ..from.clone() };
            copy(&from, &to).await?;
            ensure_eq!(from.lines().await?, to.lines().await?, "the records of the backup");
            let version = to.set().await?.version();
            ensure_eq!(version, Some(session.version), "the version of the backup");
            sessions += 1;
        }
    }
    ensure_eq!(sessions, 12, "the number of sessions that were copied");
    let again = backup.session(&context("b"), &bench.place("b")?.session).await?;
    ensure!(again.is_some(), "a session is missing in the backup");
    Ok(())
}

async fn an_expired_cursor_is_a_conflict_and_starting_again_works(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..20)).await?;
    let first = place.store.records(&place.cx, &place.session, None, Some(5)).await?;
    place
        .write(&[deleted(3, 30), deleted(7, 31), cleared(2, 32), key(33, "k", json!(1)), key(34, "k", json!(2))])
        .await?;
    bench.store().compact(&place.cx, &Compact::new()).await?;
    let mut seen = first.items;
    match place.store.records(&place.cx, &place.session, Some(&first.next), Some(5)).await {
        Ok(part) => {
            seen.extend(part.items);
            seen.extend(place.changes(Some(part.next), Some(5)).await?.0);
        }
        Err(error) => {
            fails::<()>(Err(error), Conflict, "a cursor from before a compaction")?;
            seen = place.changes(None, Some(5)).await?.0;
        }
    }
    ensure_eq!(lines(&fold(&seen)), place.lines().await?, "the records read across a compaction");
    Ok(())
}

async fn text_that_is_no_cursor_is_refused(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..5)).await?;
    for text in ["", "0", "x", "../s", "0.0", "\u{10ffff}"] {
        let cursor = Cursor::from_text(text);
        let result = place.store.records(&place.cx, &place.session, Some(&cursor), None).await;
        fails(result, InvalidInput, "text that is no cursor")?;
    }
    Ok(())
}

async fn a_cursor_survives_reopening(mut bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..10)).await?;
    let first = place.store.records(&place.cx, &place.session, None, Some(4)).await?;
    drop(place);
    bench.reopen(Leave::Closed).await?;
    let place = bench.place("s")?;
    place.write(&[text(0, "late"), deleted(2, 20)]).await?;
    let mut seen = first.items;
    match place.store.records(&place.cx, &place.session, Some(&first.next), None).await {
        Ok(part) => {
            seen.extend(part.items);
            seen.extend(place.changes(Some(part.next), None).await?.0);
        }
        Err(error) => {
            fails::<()>(Err(error), Conflict, "a cursor from before the store was opened again")?;
            seen = place.changes(None, None).await?.0;
        }
    }
    ensure_eq!(lines(&fold(&seen)), place.lines().await?, "the records read across the reopening");
    ensure_eq!(place.existing().await?.version, at(20), "the version");
    Ok(())
}
