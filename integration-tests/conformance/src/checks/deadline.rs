//! The deadline law: a call whose time is up says so and applies nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use craftx_core::ErrorKind::{Timeout, Unsupported};
use craftx_core::{
    Compact, Context, ManualClock, MessageQuery, Prepare, SearchQuery, SessionQuery, Support, WriteOptions,
};

use crate::bench::{Bench, fails, refused};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::records::{deleted, numbered, text};

checks! { "deadline":
    an_expired_write_applies_nothing [] => "a write whose deadline has passed is a time-out, not applied, and nothing is stored";
    an_expired_read_times_out [] => "every other call whose deadline has passed is a time-out too";
    deadlines_follow_the_clock_of_the_context [] => "a deadline is relative to the injected clock, not to that of the machine";
    a_deadline_in_the_future_is_no_hindrance [] => "calls within their deadline succeed, on the machine's clock and on an injected one";
}

fn expired(cx: &Context) -> Context {
    cx.clone().with_timeout(Duration::ZERO)
}

async fn an_expired_write_applies_nothing(bench: Bench) -> Verdict {
    let mut place = bench.place("s")?;
    place.write(&[text(1, "a")]).await?;
    let cx = place.cx.clone();
    place.cx = expired(&cx);
    for batch in [vec![text(2, "b")], vec![deleted(1, 3)], vec![text(1, "a")], numbered(10..50)] {
        for options in [WriteOptions::fresh(), WriteOptions::replay()] {
            refused(place.try_write(&batch, &options).await, Timeout, "a write whose deadline has passed")?;
        }
    }
    place.cx = cx;
    ensure_eq!(place.texts().await?, ["a"], "the messages");
    place.write(&[text(2, "b")]).await?;
    ensure_eq!(place.texts().await?, ["a", "b"], "the messages after a write in time");
    Ok(())
}

/// Every call but writing and closing is a time-out.
async fn all_time_out(bench: &Bench, cx: &Context) -> Verdict {
    let (store, session) = (bench.store(), &bench.place("s")?.session);
    fails(store.load(cx, session, &MessageQuery::oldest_first()).await, Timeout, "load")?;
    fails(store.records(cx, session, None, None).await, Timeout, "records")?;
    fails(store.session(cx, session).await, Timeout, "session")?;
    fails(store.sessions(cx, &SessionQuery::new()).await, Timeout, "sessions")?;
    fails(store.tenants(cx, None).await, Timeout, "tenants")?;
    fails(store.compact(cx, &Compact::new()).await, Timeout, "compact")?;
    fails(store.status(cx).await, Timeout, "status")?;
    fails(store.verify(cx).await, Timeout, "verify")?;
    fails(store.prepare(cx, Prepare::Open).await, Timeout, "prepare")?;
    let searched = store.search(cx, &SearchQuery::new("a")).await;
    match searched {
        Err(error) if error.kind() == Unsupported && bench.capabilities.search != Support::Yes => {}
        searched => {
            fails(searched, Timeout, "search")?;
        }
    }
    Ok(())
}

async fn an_expired_read_times_out(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..5)).await?;
    all_time_out(&bench, &expired(&place.cx)).await?;
    ensure_eq!(place.texts().await?, ["1", "2", "3", "4"], "the messages");
    Ok(())
}

async fn deadlines_follow_the_clock_of_the_context(bench: Bench) -> Verdict {
    let mut place = bench.place("s")?;
    let clock = Arc::new(ManualClock::new(SystemTime::now()));
    place.cx = place.cx.clone().with_clock(clock.clone()).with_timeout(Duration::from_secs(3_600));
    place.write(&[text(1, "a")]).await?;
    ensure_eq!(place.texts().await?, ["a"], "the messages within the deadline");
    clock.advance(Duration::from_secs(3_601));
    let result = place.try_write(&[text(2, "b")], &WriteOptions::fresh()).await;
    refused(result, Timeout, "a write an hour later by the injected clock")?;
    all_time_out(&bench, &place.cx).await?;
    place.cx = place.cx.clone().with_timeout(Duration::from_secs(1));
    ensure_eq!(place.texts().await?, ["a"], "the messages with a new deadline");
    Ok(())
}

async fn a_deadline_in_the_future_is_no_hindrance(bench: Bench) -> Verdict {
    let mut place = bench.place("s")?;
    for clock in [None, Some(Arc::new(ManualClock::new(SystemTime::now())))] {
        if let Some(clock) = clock {
            place.cx = place.cx.clone().with_clock(clock);
        }
        // A store may not wait for an injected clock that nobody moves, so this also shows that it does not.
        place.cx = place.cx.clone().with_timeout(Duration::from_secs(3_600));
        place.write(&numbered(1..5)).await?;
        ensure_eq!(place.texts().await?.len(), 4, "the messages");
        ensure_eq!(bench.list_ids(&place.cx, SessionQuery::new()).await?, ["s"], "the sessions");
        ensure!(bench.store().status(&place.cx).await.is_ok(), "the status fails within its deadline");
        bench.store().compact(&place.cx, &Compact::new()).await?;
    }
    Ok(())
}
