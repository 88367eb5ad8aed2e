//! A checker for histories: was there one order of all calls on a session that explains every answer, and in which no
//! call comes before another that had ended when it began?

use std::collections::{BTreeMap, BTreeSet};

use craftx_core::Stamp;
use craftx_integration_tests::faults::{Call, Event};

/// Checks every session of a history.
pub(crate) fn check(events: &[Event]) -> Result<(), String> {
    let mut sessions: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    events.iter().for_each(|event| sessions.entry(&event.session).or_default().push(event));
    for (session, events) in sessions {
        let told = |wrong| format!("session `{session}`: {wrong}");
        chain(&events).map_err(told)?;
        kept(&events).map_err(told)?;
        deleted(&events).map_err(told)?;
    }
    Ok(())
}

/// Calls in the only order that explains their answers, those of one group in any order. There is a time for each call
/// if and only if none ended before one of an earlier group began.
fn in_order(groups: &[Vec<&Event>]) -> Result<(), String> {
    let mut latest: Option<&Event> = None;
    for group in groups {
        for event in group {
            if let Some(before) = latest.filter(|before| event.ended < before.began) {
                return Err(format!("`{event}` had ended before `{before}` began, and saw or did what came later"));
            }
        }
        latest = group.iter().copied().chain(latest).max_by_key(|event| event.began);
    }
    Ok(())
}

/// Compare-and-append: each write names the version before it, so the order of the writes is known.
fn chain(events: &[&Event]) -> Result<(), String> {
    let mut writes: BTreeMap<Stamp, (Option<Stamp>, &Event)> = BTreeMap::new();
    for event in events {
        if let Call::Moved(from, to) = event.call {
            writes.insert(to, (from, event));
        }
    }
    let mut groups: Vec<Vec<&Event>> = vec![Vec::new()];
    let mut places = BTreeMap::from([(None, 0)]);
    let mut last = None;
    for (to, (from, event)) in writes {
        if from != last {
            return Err(format!("`{event}` went on from a version that was not the last, {last:?}"));
        }
        last = Some(to);
        groups.push(vec![event]);
        places.insert(last, groups.len());
        groups.push(Vec::new());
    }
    for event in events {
        if let Call::Saw(version) = &event.call {
            let place = places.get(version).ok_or_else(|| format!("`{event}` saw a version that nobody made"))?;
            groups[*place].push(event);
        }
    }
    in_order(&groups)
}

/// Messages that nobody deletes only become more, so the reads are ordered by what they saw of them.
fn kept(events: &[&Event]) -> Result<(), String> {
    let deleted: BTreeSet<u64> =
        events.iter().filter_map(|e| if let Call::Deleted(m) = e.call { Some(m) } else { None }).collect();
    let mut appended: BTreeMap<u64, &Event> = BTreeMap::new();
    let mut reads: Vec<(BTreeSet<u64>, &Event)> = Vec::new();
    for event in events {
        match &event.call {
            Call::Appended(message) if !deleted.contains(message) => drop(appended.insert(*message, event)),
            Call::Read(messages) => {
                let seen: BTreeSet<u64> = messages.iter().filter(|m| !deleted.contains(m)).copied().collect();
                if messages.iter().collect::<BTreeSet<_>>().len() < messages.len() {
                    return Err(format!("`{event}` saw a message twice"));
                }
                reads.push((seen, event));
            }
            _ => {}
        }
    }
    reads.sort_by_key(|(seen, _)| seen.len());
    let mut groups: Vec<Vec<&Event>> = Vec::new();
    let mut seen = BTreeSet::new();
    for (now, event) in reads {
        if !seen.is_subset(&now) {
            return Err(format!("`{event}` did not see what another read saw that saw less"));
        }
        if seen != now || groups.is_empty() {
            let unknown = |message: &&u64| !appended.contains_key(message);
            if let Some(message) = now.iter().find(unknown) {
                return Err(format!("`{event}` saw message {message}, which nobody appended"));
            }
            groups.push(now.difference(&seen).filter_map(|message| appended.get(message).copied()).collect());
            groups.push(Vec::new());
            seen = now;
        }
        groups.last_mut().unwrap().push(event);
    }
    groups.push(appended.iter().filter(|(message, _)| !seen.contains(message)).map(|(_, event)| *event).collect());
    in_order(&groups)
}

/// A message that is deleted is not there, then there, then not there any more. Its deletion began after its append had
/// ended.
fn deleted(events: &[&Event]) -> Result<(), String> {
    let deletions = events.iter().filter_map(|event| match event.call {
        Call::Deleted(message) => Some((message, *event)),
        _ => None,
    });
    for (message, deletion) in deletions {
        let append = events.iter().find(|event| event.call == Call::Appended(message));
        let append = *append.ok_or_else(|| format!("`{deletion}` deleted what nobody appended"))?;
        let reads = || {
            events.iter().filter_map(|event| match &event.call {
                Call::Read(messages) => Some((messages.contains(&message), *event)),
                _ => None,
            })
        };
        let first_seen = reads().filter(|(sees, _)| *sees).map(|(_, read)| read.ended).min().unwrap_or(u128::MAX);
        // A read that did not see it and began after it was there must have come after the deletion.
        let there = append.ended.min(first_seen);
        let (after, before): (Vec<_>, Vec<_>) =
            reads().filter(|(sees, _)| !sees).map(|(_, read)| read).partition(|read| read.began > there);
        let seen: Vec<&Event> = reads().filter(|(sees, _)| *sees).map(|(_, read)| read).collect();
        // Those that overlap the append or the deletion may have come before the one or after the other.
        let surely_before = before.into_iter().filter(|read| read.ended < deletion.began).collect();
        in_order(&[surely_before, vec![append], seen, vec![deletion], after])?;
    }
    Ok(())
}

fn events(lines: &[&str]) -> Vec<Event> {
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn histories_that_can_be_explained_pass() {
    let (one, two) = (Stamp::mint(1, None, 0).unwrap(), Stamp::mint(2, None, 0).unwrap());
    let chain = [
        format!("0 5 s moved none {one}"),
        "1 2 s saw none".to_owned(),
        format!("3 4 s saw {one}"),
        format!("6 9 s moved {one} {two}"),
        format!("7 8 s saw {one}"),
    ];
    check(&events(&chain.each_ref().map(String::as_str))).unwrap();
    check(&events(&[
        "0 5 s appended 1",
        "1 9 s appended 2",
        "2 3 s read",
        "2 4 s read 2",
        "4 6 s read 2 1",
        "6 8 s deleted 1",
        "7 9 s read 1 2",
        "9 10 s read 2",
        "7 12 s read 2 3",
        "11 12 s appended 3",
    ]))
    .unwrap();
}

#[test]
fn histories_that_cannot_be_explained_are_found_out() {
    let (one, two) = (Stamp::mint(1, None, 0).unwrap(), Stamp::mint(2, None, 0).unwrap());
    let (first, second) = (format!("0 5 s moved none {one}"), format!("1 4 s moved none {two}"));
    let unmade = format!("0 1 s saw {two}");
    let bad: [(&str, &[&str]); 10] = [
        ("two winners", &[&first, &second]),
        ("a stale version", &[&first, "6 7 s saw none"]),
        ("a version of nobody", &[&first, &unmade]),
        ("a lost append", &["0 1 s appended 1", "2 3 s read"]),
        ("a message of nobody", &["2 3 s read 1"]),
        ("a message twice", &["0 1 s appended 1", "2 3 s read 1 1"]),
        ("reads that do not agree", &["0 9 s appended 1", "0 9 s appended 2", "1 2 s read 1", "1 2 s read 2"]),
        ("a read that goes back", &["0 9 s appended 1", "1 2 s read 1", "3 4 s read"]),
        ("a deleted message", &["0 1 s appended 1", "2 3 s deleted 1", "4 5 s read 1"]),
        ("a message that comes back", &["0 1 s appended 1", "2 20 s deleted 1", "3 4 s read", "5 6 s read 1"]),
    ];
    for (name, lines) in bad {
        assert!(check(&events(lines)).is_err(), "{name}");
    }
}
