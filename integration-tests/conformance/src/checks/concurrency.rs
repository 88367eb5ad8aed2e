//! Many at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use craftx_core::ErrorKind::{Conflict, NotFound};
use craftx_core::{Compact, Expect, Freshness, MAX_PAGE, MessageQuery, Record};

use crate::bench::{Bench, Place, joined, texts};
use crate::check::{Stop, Verdict, checks, ensure, ensure_eq};
use crate::history::{self, Event, What};
use crate::records::{at, deleted, text};

checks! { "concurrency":
    writers_of_one_session_lose_nothing [] => "tasks that append to one session at the same time all find everything there once";
    writers_of_many_sessions_lose_nothing [] => "the same with sessions of their own";
    the_same_batch_from_many_is_there_once [] => "a batch that many write at the same time is applied once";
    readers_see_whole_batches [Can("atomic_batch")] => "a reader sees a batch whole or not at all";
    readers_never_go_back [] => "what a reader has seen it sees again, and of each writer it sees a beginning";
    compaction_disturbs_nobody [] => "compacting while others write and read loses and shows nothing that it should not";
    exactly_one_compare_and_append_wins [Can("compare_and_append")] => "of tasks that expect the same version exactly one wins";
    compare_and_append_is_linearizable [Can("compare_and_append")] => "one order of all writes and reads explains every answer";
    two_handles_see_each_other [Reopen, Can("shared")] => "two handles to one store read each other's writes at once, by the token of the write where it has one";
    two_handles_lose_nothing [Reopen, Can("shared")] => "two handles that write at the same time lose nothing, and deletions hold for both";
    two_handles_have_one_winner [Reopen, Can("shared"), Can("compare_and_append")] => "compare-and-append is linearizable across handles, for who asks for the latest";
}

const TASKS: u64 = 8;

/// Runs the tasks at the same time and fails with the first that failed.
async fn all<F>(tasks: impl IntoIterator<Item = F>) -> Verdict
where
    F: Future<Output = Verdict> + Send + 'static,
{
    let running: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut verdict = Ok(());
    for task in running {
        verdict = verdict.and(joined(task.await)?);
    }
    verdict
}

async fn appends(place: Place, writer: u64, batches: u64) -> Verdict {
    for n in 0..batches {
        place.write(&batch_of(writer, n)).await?;
    }
    Ok(())
}

/// Batch `n` of a writer: three messages. Stamps of different writers interleave.
fn batch_of(writer: u64, n: u64) -> Vec<Record> {
    (0..3).map(|part| text((n * 3 + part) * TASKS * 2 + writer + 1, format!("{writer} {n} {part}"))).collect()
}

async fn writers_of_one_session_lose_nothing(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    all((0..TASKS).map(|writer| appends(place.clone(), writer, bench.rounds))).await?;
    everything_is_there(&place, TASKS, bench.rounds).await
}

async fn everything_is_there(place: &Place, writers: u64, batches: u64) -> Verdict {
    let mut wanted: Vec<(craftx_core::Stamp, String)> = (0..writers)
        .flat_map(|writer| (0..batches).flat_map(move |n| batch_of(writer, n)))
        .filter_map(|record| match record {
            Record::Message(message) => Some((message.id, message.text()?.to_owned())),
            _ => None,
        })
        .collect();
    wanted.sort_unstable();
    let found: Vec<_> =
        place.messages().await?.iter().map(|m| (m.id, m.text().unwrap_or_default().to_owned())).collect();
    let odd = wanted.iter().zip(&found).find(|(wanted, found)| wanted != found);
    ensure!(
        odd.is_none() && wanted.len() == found.len(),
        "{} messages, wanted {}; first difference {odd:?}",
        found.len(),
        wanted.len()
    );
    ensure_eq!(place.lines().await?.len(), wanted.len(), "the number of records");
    Ok(())
}

async fn writers_of_many_sessions_lose_nothing(bench: Bench) -> Verdict {
    let places = (0..TASKS).map(|n| bench.place(&format!("s{n}"))).collect::<Verdict<Vec<_>>>()?;
    all(places.iter().cloned().map(|place| appends(place, 0, bench.rounds))).await?;
    for place in &places {
        everything_is_there(place, 1, bench.rounds).await?;
    }
    Ok(())
}

async fn the_same_batch_from_many_is_there_once(bench: Bench) -> Verdict {
    for round in 0..bench.rounds {
        let place = bench.place(&format!("round {round}"))?;
        let applied = Arc::new(AtomicU64::new(0));
        let told = Arc::new(AtomicU64::new(0));
        all((0..TASKS).map(|_| {
            let (place, applied, told) = (place.clone(), Arc::clone(&applied), Arc::clone(&told));
            async move {
                let written = place.write(&batch_of(0, 0)).await?;
                if let Some(count) = written.applied {
                    applied.fetch_add(u64::from(count), Ordering::SeqCst);
                    told.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            }
        }))
        .await?;
        everything_is_there(&place, 1, 1).await?;
        if told.load(Ordering::SeqCst) == TASKS {
            ensure_eq!(applied.load(Ordering::SeqCst), 3, "the sum of what the writers say was applied");
        }
    }
    Ok(())
}

/// How many messages of each writer a reader saw, in order.
fn seen_of(texts: &[String]) -> Verdict<BTreeMap<String, Vec<(u64, u64)>>> {
    let mut seen: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    for line in texts {
        let mut parts = line.split(' ');
        let (Some(writer), Some(Ok(n)), Some(Ok(part))) =
            (parts.next(), parts.next().map(str::parse), parts.next().map(str::parse))
        else {
            return Err(Stop::Fail(format!("a message that nobody wrote: {line:?}")));
        };
        seen.entry(writer.to_owned()).or_default().push((n, part));
    }
    Ok(seen)
}

/// Calls `look` with what a load gives, again and again, until all writers are done.
async fn read_while_writing(bench: &Bench, mut look: impl FnMut(&[String]) -> Verdict) -> Verdict {
    let place = bench.place("s")?;
    // One page must hold everything, because a promise about one load is not one about several.
    let batches = bench.rounds.min(u64::from(MAX_PAGE) / TASKS / 3);
    let writers: Vec<_> = (0..TASKS).map(|writer| tokio::spawn(appends(place.clone(), writer, batches))).collect();
    let mut writing = true;
    while writing {
        writing = !writers.iter().all(tokio::task::JoinHandle::is_finished);
        for query in [MessageQuery::oldest_first(), MessageQuery::newest_first()] {
            match place.try_load(&query.clone().limit(MAX_PAGE)).await {
                Err(error) if error.kind() == NotFound => {}
                page => {
                    let mut items = page?.items;
                    if query == MessageQuery::newest_first() {
                        items.reverse();
                    }
                    look(&texts(&items))?;
                }
            }
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        joined(writer.await)??;
    }
    everything_is_there(&place, TASKS, batches).await
}

async fn readers_see_whole_batches(bench: Bench) -> Verdict {
    read_while_writing(&bench, |texts| {
        for (writer, seen) in seen_of(texts)? {
            ensure!(seen.len() % 3 == 0, "a reader saw a part of a batch of the writer {writer}: {seen:?}");
        }
        Ok(())
    })
    .await
}

async fn readers_never_go_back(bench: Bench) -> Verdict {
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    read_while_writing(&bench, |texts| {
        for (writer, seen) in seen_of(texts)? {
            let beginning = (0..).flat_map(|n| (0..3).map(move |part| (n, part)));
            ensure!(
                beginning.zip(&seen).all(|(wanted, found)| wanted == *found),
                "of the writer {writer} a reader saw no beginning: {seen:?}"
            );
            let before = most.entry(writer.clone()).or_default();
            ensure!(*before <= seen.len(), "of the writer {writer} a reader saw {before} and then {}", seen.len());
            *before = seen.len();
        }
        Ok(())
    })
    .await
}

async fn compaction_disturbs_nobody(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let batches = bench.rounds;
    let compacting = {
        let place = place.clone();
        async move {
            for _ in 0..batches {
                place.store.compact(&place.cx, &Compact::new()).await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, Stop>(())
        }
    };
    let deleting = {
        let place = place.clone();
        async move {
            for n in 0..batches {
                let dead = 1_000_000 + n;
                place.write(&[text(dead, "dead")]).await?;
                place.write(&[deleted(dead, dead + 1_000_000)]).await?;
                ensure!(!place.texts().await?.contains(&"dead".to_owned()), "a deleted message was read");
            }
            Ok::<_, Stop>(())
        }
    };
    let writers = (0..4).map(|writer| appends(place.clone(), writer, batches));
    let compacting = tokio::spawn(compacting);
    let deleting = tokio::spawn(deleting);
    all(writers).await?;
    joined(compacting.await)??;
    joined(deleting.await)??;
    place.store.compact(&place.cx, &Compact::new()).await?;
    ensure_eq!(place.texts().await?.len() as u64, 4 * 3 * batches, "the number of messages");
    ensure_eq!(place.set().await?.facts().len() as u64, batches, "the number of deletions");
    Ok(())
}

async fn exactly_one_compare_and_append_wins(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let mut expect = Expect::New;
    for round in 1..=bench.rounds {
        let winners = Arc::new(AtomicU64::new(0));
        all((0..TASKS).map(|task| {
            let (place, winners) = (place.clone(), Arc::clone(&winners));
            async move {
                let batch = [text(round * 100 + task * 2, "won"), text(round * 100 + task * 2 + 1, "won")];
                match place.write_expecting(&batch, expect).await {
                    Ok(_) => {
                        winners.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    }
                    Err(error) if error.kind() == Conflict => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
        }))
        .await?;
        ensure_eq!(winners.load(Ordering::SeqCst), 1, "the winners of round {round}");
        ensure_eq!(place.messages().await?.len() as u64, round * 2, "the messages after round {round}");
        expect = Expect::Version(place.existing().await?.version);
    }
    Ok(())
}

/// One task that reads, writes under the version that it saw, and notes what happened.
async fn contender(place: Place, task: u64, rounds: u64, time: Arc<AtomicU64>) -> Verdict<Vec<Event>> {
    let tick = || time.fetch_add(1, Ordering::SeqCst);
    let mut events = Vec::new();
    let mut seen = None;
    for round in 0..rounds {
        let began = tick();
        if round % 4 == 0 {
            seen = place.session().await?.map(|session| session.version);
            events.push(Event { began, ended: tick(), what: What::Saw(seen) });
            continue;
        }
        // Unique, and after what was seen.
        let to = craftx_core::Stamp::imported(seen.map_or(at(0).millis(), |s| s.millis()) + 1, task as u32, round)?;
        let record = Record::Message(craftx_core::Message::new(to, craftx_core::Role::User, "won"));
        let expect = seen.map_or(Expect::New, Expect::Version);
        let result = place.write_expecting(&[record], expect).await;
        let ended = tick();
        match result {
            Ok(_) => {
                events.push(Event { began, ended, what: What::Moved { from: seen, to } });
                seen = Some(to);
            }
            Err(error) if error.kind() == Conflict => {
                seen = error.get("version").and_then(|version| version.parse().ok());
                events.push(Event { began, ended, what: What::Saw(seen) });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(events)
}

async fn linearizable(places: &[Place], rounds: u64) -> Verdict {
    let time = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .zip(places.iter().cycle())
        .map(|(task, place)| tokio::spawn(contender(place.clone(), task, rounds, Arc::clone(&time))))
        .collect();
    let mut history = Vec::new();
    for task in tasks {
        history.extend(joined(task.await)??);
    }
    let moved = history.iter().filter(|event| matches!(event.what, What::Moved { .. })).count();
    ensure!(moved > 0, "no write under an expectation succeeded");
    history::check(&history).map_err(Stop::Fail)?;
    for place in places {
        ensure_eq!(place.messages().await?.len(), moved, "the messages after {moved} successful writes");
    }
    Ok(())
}

async fn compare_and_append_is_linearizable(bench: Bench) -> Verdict {
    linearizable(&[bench.place("s")?], bench.rounds.max(10) * 2).await
}

/// The session `s` through two handles to one store.
async fn two_handles(bench: &Bench) -> Verdict<[Place; 2]> {
    let one = bench.place("s")?;
    let other = Place { store: bench.open().await?, ..one.clone() };
    Ok([one, other])
}

async fn two_handles_see_each_other(bench: Bench) -> Verdict {
    let places = two_handles(&bench).await?;
    let mut wanted = Vec::new();
    for n in 1..=bench.rounds {
        let [one, other] = &places;
        let (writer, reader) = if n % 2 == 0 { (one, other) } else { (other, one) };
        let reader = reader.told_of(&writer.write(&[text(n, n.to_string())]).await?);
        wanted.push(n.to_string());
        ensure_eq!(reader.texts().await?, wanted, "what the other handle reads after write {n}");
        ensure_eq!(reader.existing().await?.version, at(n), "the version that the other handle tells");
    }
    Ok(())
}

async fn two_handles_lose_nothing(bench: Bench) -> Verdict {
    let [one, other] = two_handles(&bench).await?;
    let writers = (0..TASKS).map(|writer| {
        let place = if writer % 2 == 0 { one.clone() } else { other.clone() };
        appends(place, writer, bench.rounds)
    });
    all(writers).await?;
    // What is written last by each tells the other one of all before.
    let elsewhere = |mut place: Place| {
        place.session = bench.place("elsewhere")?.session;
        Ok::<_, Stop>(place)
    };
    let last = elsewhere(other.clone())?.write(&[text(1, "the other one")]).await?;
    everything_is_there(&one.told_of(&last), TASKS, bench.rounds).await?;
    let last = elsewhere(one.clone())?.write(&[text(2, "the one")]).await?;
    everything_is_there(&other.told_of(&last), TASKS, bench.rounds).await?;
    let first = one.write(&[text(900_000, "dead"), deleted(900_001, 1_000_000)]).await?;
    let second = other.write(&[deleted(900_000, 1_000_001), text(900_001, "dead")]).await?;
    for place in [one.told_of(&second), other.told_of(&first)] {
        ensure!(
            !place.texts().await?.contains(&"dead".to_owned()),
            "a deletion by one handle does not hold for the other"
        );
    }
    Ok(())
}

async fn two_handles_have_one_winner(bench: Bench) -> Verdict {
    let latest = |mut place: Place| {
        place.cx = place.cx.with_freshness(Freshness::Latest);
        place
    };
    linearizable(&two_handles(&bench).await?.map(latest), bench.rounds.max(10)).await
}
