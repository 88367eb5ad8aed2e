//! Reading messages.

use craftx_core::ErrorKind::NotFound;
use craftx_core::{Freshness, MAX_PAGE, MessageQuery};
use serde_json::json;

use crate::bench::{Bench, Place, fails, texts};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::records::{at, deleted, key, numbered, text};

checks! { "reading":
    the_last_n_are_the_last_n [] => "newest first with a limit gives exactly the last messages, newest first";
    the_first_n_are_the_first_n [] => "oldest first with a limit gives exactly the first messages";
    both_directions_agree [] => "newest first is oldest first backwards";
    after_and_before_are_exclusive [] => "`after` and `before` leave out the messages that they name, in both directions";
    an_empty_range_is_empty [] => "where `after` is not less than `before` there is nothing, and no error";
    ids_find_exactly_these [] => "ids find what is there in stamp order, each once, and leave out the rest";
    pages_have_no_gaps_or_repetitions [] => "paging with any limit, forwards and backwards, gives every message once";
    pages_stay_whole_while_messages_arrive [] => "appending between two pages loses and repeats nothing";
    a_late_message_appears_in_its_place [] => "a message that arrives late with an early stamp is read where it belongs";
    a_limit_of_zero_gives_an_empty_page [] => "a limit of zero gives no messages and no error, and says that there are more";
    pages_are_bounded [] => "a page has 100 messages unless said and never more than 1,000, and says that there are more";
    a_full_last_page_says_that_it_is_the_last [] => "`more` is false where a page ends exactly at the end";
    a_missing_session_is_not_found [] => "loading a session that was never written is an error, not an empty answer";
    a_session_without_messages_is_empty [] => "a session that exists by its metadata alone has no messages, and that is no error";
    a_write_is_read_at_once [] => "what was written is read by the next call, also where anything old would do";
}

async fn with(bench: &Bench, count: u64) -> Verdict<Place> {
    let place = bench.place("s")?;
    let all = numbered(1..count + 1);
    for batch in all.chunks(bench.batch(500)) {
        place.write(batch).await?;
    }
    Ok(place)
}

fn named(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| n.to_string()).collect()
}

async fn the_last_n_are_the_last_n(bench: Bench) -> Verdict {
    let place = with(&bench, 30).await?;
    for n in [1, 2, 20, 29, 30, 31] {
        let page = place.load(&MessageQuery::newest_first().limit(n)).await?;
        let wanted = named((1..=30).rev().take(n as usize));
        ensure_eq!(texts(&page.items), wanted, "the last {n} of 30");
        ensure_eq!(page.more, n < 30, "`more` of the last {n} of 30");
    }
    Ok(())
}

async fn the_first_n_are_the_first_n(bench: Bench) -> Verdict {
    let place = with(&bench, 30).await?;
    for n in [1, 2, 20, 29, 30, 31] {
        let page = place.load(&MessageQuery::oldest_first().limit(n)).await?;
        ensure_eq!(texts(&page.items), named((1..=30).take(n as usize)), "the first {n} of 30");
        ensure_eq!(page.more, n < 30, "`more` of the first {n} of 30");
    }
    Ok(())
}

async fn both_directions_agree(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let mut records = numbered(1..60);
    bench.random().shuffle(&mut records);
    for batch in records.chunks(7) {
        place.write(batch).await?;
    }
    let forwards = place.load(&MessageQuery::oldest_first()).await?.items;
    let mut backwards = place.load(&MessageQuery::newest_first()).await?.items;
    backwards.reverse();
    ensure_eq!(texts(&backwards), texts(&forwards), "newest first, reversed");
    ensure!(backwards == forwards, "the two directions give different messages");
    ensure_eq!(texts(&forwards), named(1..60), "oldest first");
    Ok(())
}

async fn after_and_before_are_exclusive(bench: Bench) -> Verdict {
    let place = with(&bench, 10).await?;
    let range = MessageQuery::oldest_first().after(at(3)).before(at(8));
    ensure_eq!(texts(&place.load(&range).await?.items), named(4..8), "after 3 and before 8");
    let mut back = MessageQuery::newest_first().after(at(3)).before(at(8)).limit(2);
    let page = place.load(&back).await?;
    ensure_eq!((texts(&page.items), page.more), (named([7, 6]), true), "the last two after 3 and before 8");
    back.before = Some(at(6));
    let page = place.load(&back).await?;
    ensure_eq!((texts(&page.items), page.more), (named([5, 4]), false), "the two before these");
    ensure_eq!(
        texts(&place.load(&MessageQuery::oldest_first().after(at(10))).await?.items),
        named([]),
        "after the last"
    );
    ensure_eq!(
        texts(&place.load(&MessageQuery::oldest_first().before(at(1))).await?.items),
        named([]),
        "before the first"
    );
    Ok(())
}

async fn an_empty_range_is_empty(bench: Bench) -> Verdict {
    let place = with(&bench, 10).await?;
    for (after, before) in [(5, 5), (8, 2), (5, 6)] {
        for query in [MessageQuery::oldest_first(), MessageQuery::newest_first()] {
            let page = place.load(&query.after(at(after)).before(at(before))).await?;
            ensure_eq!((texts(&page.items), page.more), (named([]), false), "after {after} and before {before}");
        }
    }
    Ok(())
}

async fn ids_find_exactly_these(bench: Bench) -> Verdict {
    let place = with(&bench, 10).await?;
    place.write(&[deleted(4, 20)]).await?;
    let ids = [at(7), at(2), at(99), at(4), at(2), at(9)];
    let query = MessageQuery::oldest_first().ids(ids);
    ensure_eq!(texts(&place.load(&query).await?.items), named([2, 7, 9]), "the messages with these ids");
    let mut back = MessageQuery::newest_first().ids(ids);
    ensure_eq!(texts(&place.load(&back).await?.items), named([9, 7, 2]), "the same, newest first");
    back.limit = Some(2);
    let page = place.load(&back).await?;
    ensure_eq!((texts(&page.items), page.more), (named([9, 7]), true), "the last two of them");
    let ranged = MessageQuery::oldest_first().ids(ids).after(at(2)).before(at(9));
    ensure_eq!(texts(&place.load(&ranged).await?.items), named([7]), "those after 2 and before 9");
    let none = place.load(&MessageQuery::oldest_first().ids([at(50)])).await?;
    ensure!(none.items.is_empty() && !none.more, "an unknown id finds something");
    Ok(())
}

async fn pages_have_no_gaps_or_repetitions(bench: Bench) -> Verdict {
    let place = with(&bench, 23).await?;
    place.write(&[deleted(5, 100), deleted(6, 101)]).await?;
    let wanted = named((1..24).filter(|n| ![5, 6].contains(n)));
    for limit in [1, 2, 3, 7, 20, 21, 22] {
        ensure_eq!(texts(&place.messages_by(Some(limit)).await?), wanted, "forwards by pages of {limit}");
        let mut back = Vec::new();
        let mut query = MessageQuery::newest_first().limit(limit);
        loop {
            let page = place.load(&query).await?;
            query.before = page.items.last().map(|message| message.id);
            back.extend(texts(&page.items));
            if !page.more || page.items.is_empty() {
                break;
            }
        }
        back.reverse();
        ensure_eq!(back, wanted, "backwards by pages of {limit}");
    }
    Ok(())
}

async fn pages_stay_whole_while_messages_arrive(bench: Bench) -> Verdict {
    let place = with(&bench, 10).await?;
    let mut seen = Vec::new();
    let mut query = MessageQuery::oldest_first().limit(4);
    let mut next = 11;
    loop {
        let page = place.load(&query).await?;
        seen.extend(texts(&page.items));
        query.after = page.items.last().map(|message| message.id);
        if !page.more {
            break;
        }
        if next < 15 {
            place.write(&numbered(next..next + 1)).await?;
            next += 1;
        }
    }
    ensure_eq!(seen, named(1..next), "the messages of all pages");
    Ok(())
}

async fn a_late_message_appears_in_its_place(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(10, "10"), text(30, "30")]).await?;
    place.load(&MessageQuery::newest_first().limit(1)).await?;
    place.write(&[text(20, "20")]).await?;
    ensure_eq!(place.texts().await?, ["10", "20", "30"], "all messages");
    let last = place.load(&MessageQuery::newest_first().limit(2)).await?;
    ensure_eq!(texts(&last.items), ["30", "20"], "the last two");
    ensure_eq!(place.existing().await?.head, Some(at(30)), "the head");
    Ok(())
}

async fn a_limit_of_zero_gives_an_empty_page(bench: Bench) -> Verdict {
    let place = with(&bench, 3).await?;
    for query in [MessageQuery::oldest_first(), MessageQuery::newest_first()] {
        let page = place.load(&query.limit(0)).await?;
        ensure_eq!((texts(&page.items), page.more), (named([]), true), "a page of zero messages");
    }
    Ok(())
}

async fn pages_are_bounded(bench: Bench) -> Verdict {
    let place = with(&bench, 1_005).await?;
    let page = place.load(&MessageQuery::oldest_first()).await?;
    ensure_eq!((page.items.len(), page.more), (100, true), "a page without a limit");
    for limit in [MAX_PAGE, 5_000, u32::MAX] {
        let page = place.load(&MessageQuery::newest_first().limit(limit)).await?;
        ensure_eq!((page.items.len(), page.more), (1_000, true), "a page with a limit of {limit}");
        ensure_eq!(page.items.first().and_then(|m| m.text()), Some("1005"), "its first message");
    }
    Ok(())
}

async fn a_full_last_page_says_that_it_is_the_last(bench: Bench) -> Verdict {
    let place = with(&bench, 12).await?;
    let page = place.load(&MessageQuery::oldest_first().limit(12)).await?;
    ensure_eq!((page.items.len(), page.more), (12, false), "a page of all 12");
    let page = place.load(&MessageQuery::oldest_first().after(at(8)).limit(4)).await?;
    ensure_eq!((page.items.len(), page.more), (4, false), "the last page of four");
    Ok(())
}

async fn a_missing_session_is_not_found(bench: Bench) -> Verdict {
    let place = bench.place("never written")?;
    for query in [MessageQuery::oldest_first(), MessageQuery::oldest_first().ids([at(1)]).limit(0)] {
        fails(place.try_load(&query).await, NotFound, "loading a session that was never written")?;
    }
    ensure!(place.session().await?.is_none(), "a session that was never written exists");
    let (records, _) = place.changes(None, None).await?;
    ensure!(records.is_empty(), "a session that was never written has records");
    Ok(())
}

async fn a_session_without_messages_is_empty(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[key(1, "title", json!("untitled"))]).await?;
    let page = place.load(&MessageQuery::oldest_first()).await?;
    ensure!(page.items.is_empty() && !page.more, "a session without messages has some");
    ensure_eq!(place.existing().await?.head, None, "its head");
    Ok(())
}

async fn a_write_is_read_at_once(bench: Bench) -> Verdict {
    let mut place = bench.place("s")?;
    for n in 1..21 {
        place.cx = place.cx.clone().with_token(None).with_freshness(Freshness::ReadYourWrites);
        let written = place.write(&numbered(n..n + 1)).await?;
        place.cx = place.cx.clone().with_token(written.token);
        let last = place.load(&MessageQuery::newest_first().limit(1)).await?;
        ensure_eq!(texts(&last.items), named([n]), "the message that was just written");
    }
    place.cx = place.cx.clone().with_freshness(Freshness::Eventual);
    let some = place.load(&MessageQuery::oldest_first()).await?;
    ensure!(some.items.len() <= 20, "messages that were never written");
    Ok(())
}
