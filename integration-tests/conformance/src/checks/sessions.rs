//! Lists of sessions, and what is known of each.

use craftx_core::ErrorKind::{InvalidInput, Unsupported};
use craftx_core::{Cursor, Grant, Include, Record, Scope, SessionOrder, SessionQuery};
use serde_json::{Value, json};

use crate::bench::{Bench, context, fails};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::records::{acl, at, cleared, deleted, key, numbered, text, unset};

checks! { "sessions":
    sessions_are_listed_by_id [] => "the list is in the order of the ids, whatever the order of the writes";
    pages_of_sessions_have_no_gaps_or_repetitions [] => "paging with any limit gives every session once";
    pages_of_sessions_survive_changes [] => "adding, deleting and writing sessions between two pages loses and repeats no other session";
    a_page_of_sessions_is_bounded [] => "a page has 100 sessions unless said, and none with a limit of zero";
    dead_sessions_are_listed_only_on_request [] => "cleared and deleted sessions are listed with `Include::All` only, and keep their version";
    the_list_and_the_session_agree [] => "a list says of a session the same as `session` does";
    a_session_tells_its_state [] => "version, head, clear, owner, grants, metadata and the number of live messages are right";
    a_cursor_of_another_query_is_refused [] => "a cursor of another prefix, include or order, and text that is no cursor, are refused as invalid";
    recent_first_lists_the_last_written_first [Can("recent_first")] => "the session written last comes first, page by page";
    recent_first_is_unsupported [Cannot("recent_first")] => "an order that is not claimed is refused, not ignored";
    metadata_filters_match_exact_values [Can("metadata_filter")] => "a filter compares whole JSON values, and several filters must all hold";
    a_metadata_filter_is_unsupported [Cannot("metadata_filter")] => "a filter that is not claimed is refused, not ignored";
    a_scope_shows_what_is_owned_or_granted [Can("scope")] => "a scope lists exactly what its principals own or its principals and roles are granted";
    a_scope_holds_across_pages [Can("scope")] => "pages of a scope have no gaps, and their cursors belong to the scope";
    a_scope_is_unsupported [Cannot("scope")] => "a scope that is not claimed is refused, not ignored";
}

async fn make(bench: &Bench, names: &[String]) -> Verdict {
    for name in names {
        bench.place(name)?.write(&[text(1, name.as_str())]).await?;
    }
    Ok(())
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("session {n:04}")).collect()
}

async fn sessions_are_listed_by_id(bench: Bench) -> Verdict {
    let mut shuffled = names(20);
    bench.random().shuffle(&mut shuffled);
    make(&bench, &shuffled).await?;
    ensure_eq!(bench.list_ids(&context("default"), SessionQuery::new()).await?, names(20), "the list of sessions");
    Ok(())
}

async fn pages_of_sessions_have_no_gaps_or_repetitions(bench: Bench) -> Verdict {
    make(&bench, &names(12)).await?;
    for limit in [1, 2, 3, 5, 11, 12, 13] {
        let found = bench.list_ids(&context("default"), SessionQuery::new().limit(limit)).await?;
        ensure_eq!(found, names(12), "all sessions by pages of {limit}");
    }
    Ok(())
}

async fn pages_of_sessions_survive_changes(bench: Bench) -> Verdict {
    let names = names(12);
    make(&bench, &names).await?;
    let cx = context("default");
    let mut query = SessionQuery::new().limit(3);
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = bench.store().sessions(&cx, &query).await?;
        found.extend(page.items.iter().map(|session| session.id.as_str().to_owned()));
        let Some(cursor) = page.next else { break };
        query = query.cursor(Some(cursor));
        // The last session of the page goes, one before it comes, another is written.
        if let Some(last) = page.items.last() {
            let gone = bench.place(last.id.as_str())?;
            gone.write(&[cleared(90, 91)]).await?;
        }
        bench.place("session")?.write(&[text(1, "before all others")]).await?;
        bench.place("session 0001")?.write(&[text(found.len() as u64 + 2, "more")]).await?;
    }
    ensure_eq!(found, names, "the sessions of all pages");
    Ok(())
}

async fn a_page_of_sessions_is_bounded(bench: Bench) -> Verdict {
    make(&bench, &names(103)).await?;
    let cx = context("default");
    let page = bench.store().sessions(&cx, &SessionQuery::new()).await?;
    ensure_eq!((page.items.len(), page.next.is_some()), (100, true), "a page without a limit");
    let page = bench.store().sessions(&cx, &SessionQuery::new().limit(0)).await?;
    ensure_eq!(page.items.len(), 0, "a page of zero sessions");
    let page = bench.store().sessions(&cx, &SessionQuery::new().limit(103)).await?;
    ensure_eq!((page.items.len(), page.next), (103, None), "a page of all 103 sessions");
    Ok(())
}

async fn dead_sessions_are_listed_only_on_request(bench: Bench) -> Verdict {
    bench.place("cleared")?.write(&[text(1, "a"), cleared(1, 2)]).await?;
    bench.place("deleted")?.write(&[text(1, "a"), deleted(1, 3)]).await?;
    bench.place("live")?.write(&[text(1, "a")]).await?;
    bench.place("never was")?.write(&[deleted(1, 4)]).await?;
    bench.place("unset")?.write(&[key(1, "k", json!(1)), unset(5, "k")]).await?;
    let cx = context("default");
    ensure_eq!(bench.list_ids(&cx, SessionQuery::new()).await?, ["live"], "the live sessions");
    let all = bench.list(&cx, SessionQuery::new().include(Include::All)).await?;
    let found: Vec<_> = all.iter().map(|session| (session.id.as_str(), session.version)).collect();
    let wanted = [("cleared", at(2)), ("deleted", at(3)), ("live", at(1)), ("never was", at(4)), ("unset", at(5))];
    ensure_eq!(found, wanted, "all sessions and their versions");
    Ok(())
}

async fn the_list_and_the_session_agree(bench: Bench) -> Verdict {
    bench.place("a")?.write(&numbered(1..6)).await?;
    bench
        .place("b")?
        .write(&[acl(1, "ann", &["bob"]), key(2, "k", json!({"z": 1, "a": [null]})), text(3, "a")])
        .await?;
    bench.place("c")?.write(&[text(1, "a"), text(9, "b"), cleared(5, 10), deleted(7, 11)]).await?;
    for listed in bench.list(&context("default"), SessionQuery::new()).await? {
        let mut session = bench.place(listed.id.as_str())?.existing().await?;
        if listed.messages.is_none() {
            session.messages = None;
        }
        let mut listed = listed;
        if session.messages.is_none() {
            listed.messages = None;
        }
        ensure_eq!(listed, session, "what the list says of {:?}", session.id);
        ensure!(listed.metadata == session.metadata, "the metadata of the list differ");
    }
    Ok(())
}

async fn a_session_tells_its_state(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&numbered(1..11)).await?;
    place.write(&[deleted(10, 20), cleared(3, 21), acl(22, "ann", &["bob"]), key(23, "title", json!("t"))]).await?;
    let session = place.existing().await?;
    ensure_eq!(session.version, at(23), "the version");
    ensure_eq!(session.head, Some(at(9)), "the head: the greatest stamp of a live message");
    ensure_eq!(session.cleared, Some(at(3)), "how far it is cleared");
    ensure_eq!(session.owner.as_deref(), Some("ann"), "the owner");
    let grants = [Grant { to: "bob".to_owned(), actions: vec!["read".to_owned()] }];
    ensure_eq!(session.grants, grants, "the grants");
    ensure_eq!(Value::Object(session.metadata), json!({"title": "t"}), "the metadata");
    ensure!(session.messages.is_none_or(|count| count == 6), "it says {:?} messages and has 6", session.messages);
    Ok(())
}

async fn a_cursor_of_another_query_is_refused(bench: Bench) -> Verdict {
    make(&bench, &names(5)).await?;
    let cx = context("default");
    let query = SessionQuery::new().limit(2);
    let cursor = bench.store().sessions(&cx, &query).await?.next;
    ensure!(cursor.is_some(), "a page of 2 of 5 sessions has no cursor");
    let longer = bench.store().sessions(&cx, &query.clone().limit(3).cursor(cursor.clone())).await?;
    ensure_eq!(longer.items.len(), 3, "the rest with another limit, which is the same query");
    let others = [query.clone().prefix("session"), query.clone().include(Include::All)];
    for other in others {
        let result = bench.store().sessions(&cx, &other.clone().cursor(cursor.clone())).await;
        fails(result, InvalidInput, "a cursor of another query")?;
    }
    for text in ["", "x", "0", "..", "session 0001", "\u{10ffff}"] {
        let garbage = query.clone().cursor(Some(Cursor::from_text(text)));
        fails(bench.store().sessions(&cx, &garbage).await, InvalidInput, "text that is no cursor")?;
    }
    Ok(())
}

async fn recent_first_lists_the_last_written_first(bench: Bench) -> Verdict {
    let mut order = names(9);
    bench.random().shuffle(&mut order);
    let mut n = 1;
    for name in &order {
        bench.place(name)?.write(&[text(n, "a")]).await?;
        n += 1;
        // Clocks of media may be coarse.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    order.rotate_left(1);
    if let Some(touched) = order.last() {
        // A late record with an early stamp is a write all the same.
        bench.place(touched)?.write(&[key(n, "k", json!(1))]).await?;
    }
    order.reverse();
    for limit in [100, 9, 4, 1] {
        let query = SessionQuery::new().order(SessionOrder::RecentFirst).limit(limit);
        ensure_eq!(bench.list_ids(&context("default"), query).await?, order, "recent first, by pages of {limit}");
    }
    Ok(())
}

async fn recent_first_is_unsupported(bench: Bench) -> Verdict {
    make(&bench, &names(2)).await?;
    let query = SessionQuery::new().order(SessionOrder::RecentFirst);
    fails(bench.store().sessions(&context("default"), &query).await, Unsupported, "recent first")?;
    Ok(())
}

async fn metadata_filters_match_exact_values(bench: Bench) -> Verdict {
    let values = [
        json!(1),
        json!("1"),
        json!(1.5),
        json!(true),
        json!("true"),
        json!(null),
        json!("null"),
        json!(""),
        json!([]),
        json!({}),
        json!(["a"]),
        json!({"a": 1}),
        json!("O'Brien \"%_\" \0"),
        json!("É"),
        json!("é"),
        json!(u64::MAX),
    ];
    for (n, value) in values.iter().enumerate() {
        bench.place(&format!("{n:02}"))?.write(&[key(1, "v", value.clone()), key(2, "all", json!("yes"))]).await?;
    }
    bench.place("without")?.write(&[text(1, "a")]).await?;
    let cx = context("default");
    for (n, value) in values.iter().enumerate() {
        let query = SessionQuery::new().metadata("v", value.clone());
        ensure_eq!(bench.list_ids(&cx, query.clone()).await?, [format!("{n:02}")], "sessions whose `v` is {value}");
        let both = query.clone().metadata("all", "yes");
        ensure_eq!(bench.list_ids(&cx, both).await?, [format!("{n:02}")], "the same with a second filter that holds");
        let neither = query.metadata("all", "no");
        ensure!(bench.list_ids(&cx, neither).await?.is_empty(), "a second filter that does not hold is ignored");
    }
    let all = bench.list_ids(&cx, SessionQuery::new().metadata("all", "yes").limit(5)).await?;
    ensure_eq!(all.len(), values.len(), "sessions with `all`, by pages");
    bench.place("00")?.write(&[key(5, "v", json!("changed"))]).await?;
    bench.place("01")?.write(&[unset(5, "v")]).await?;
    for old in [json!(1), json!("1")] {
        let query = SessionQuery::new().metadata("v", old);
        ensure!(bench.list_ids(&cx, query).await?.is_empty(), "a superseded value is found");
    }
    ensure!(bench.list_ids(&cx, SessionQuery::new().metadata("' OR 1=1", 1)).await?.is_empty(), "an odd key finds all");
    Ok(())
}

async fn a_metadata_filter_is_unsupported(bench: Bench) -> Verdict {
    make(&bench, &names(2)).await?;
    let query = SessionQuery::new().metadata("k", 1);
    fails(bench.store().sessions(&context("default"), &query).await, Unsupported, "a metadata filter")?;
    Ok(())
}

fn visible(principals: &[&str], roles: &[&str]) -> Scope {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Scope::Visible { principals: own(principals), roles: own(roles) }
}

async fn a_scope_shows_what_is_owned_or_granted(bench: Bench) -> Verdict {
    let no_actions =
        Record::Acl { stamp: at(1), owner: None, grants: vec![Grant { to: "ann".to_owned(), actions: Vec::new() }] };
    let sessions = [
        ("ann's", vec![acl(1, "ann", &[])]),
        ("bob's", vec![acl(1, "bob", &[])]),
        ("granted to ann", vec![acl(1, "bob", &["ann"])]),
        ("granted to editors", vec![acl(1, "bob", &["editors"])]),
        ("no longer granted", vec![acl(1, "bob", &["ann"]), acl(2, "bob", &["carl"])]),
        ("nobody's", vec![text(1, "a")]),
        ("not really granted", vec![no_actions]),
        ("taken over in vain", vec![acl(1, "bob", &[]), acl(2, "ann", &[])]),
    ];
    for (name, records) in &sessions {
        bench.place(name)?.write(records).await?;
        bench.place(name)?.write(&[text(50, "a")]).await?;
    }
    let cx = context("default");
    let cases: [(Scope, Vec<&str>); 7] = [
        (visible(&["ann"], &[]), vec!["ann's", "granted to ann"]),
        (visible(&["ann"], &["editors"]), vec!["ann's", "granted to ann", "granted to editors"]),
        (visible(&["carl"], &[]), vec!["no longer granted"]),
        (visible(&["Ann"], &["ANN"]), vec![]),
        (visible(&["an", "%", "*", "' OR '1'='1"], &[]), vec![]),
        (visible(&[], &[]), vec![]),
        (visible(&[], &["bob"]), vec![]),
    ];
    for (scope, wanted) in cases {
        let found = bench.list_ids(&cx, SessionQuery::new().scope(scope.clone())).await?;
        ensure_eq!(found, wanted, "the sessions in {scope:?}");
    }
    ensure_eq!(bench.list_ids(&cx, SessionQuery::new()).await?.len(), sessions.len(), "all sessions");
    Ok(())
}

async fn a_scope_holds_across_pages(bench: Bench) -> Verdict {
    let names = names(20);
    for (n, name) in names.iter().enumerate() {
        let owner = if n % 3 == 0 { "ann" } else { "bob" };
        bench.place(name)?.write(&[acl(1, owner, &[]), text(2, "a")]).await?;
    }
    let cx = context("default");
    let wanted: Vec<_> = names.iter().step_by(3).cloned().collect();
    let query = SessionQuery::new().scope(visible(&["ann"], &[]));
    for limit in [1, 2, 7, 100] {
        ensure_eq!(
            bench.list_ids(&cx, query.clone().limit(limit)).await?,
            wanted,
            "ann's sessions by pages of {limit}"
        );
    }
    let cursor = bench.store().sessions(&cx, &query.clone().limit(2)).await?.next;
    for other in [visible(&["bob"], &[]), visible(&["ann", "bob"], &[]), visible(&[], &["ann"]), Scope::All] {
        let result = bench.store().sessions(&cx, &query.clone().scope(other).cursor(cursor.clone())).await;
        fails(result, InvalidInput, "a cursor of another scope")?;
    }
    Ok(())
}

async fn a_scope_is_unsupported(bench: Bench) -> Verdict {
    make(&bench, &names(2)).await?;
    let query = SessionQuery::new().scope(visible(&["ann"], &[]));
    fails(bench.store().sessions(&context("default"), &query).await, Unsupported, "a scope")?;
    Ok(())
}
