//! The isolation law: nothing of another tenant is read, listed, found, counted or changed.

use craftx_core::ErrorKind::{Conflict, InvalidInput, NotFound, PermissionDenied};
use craftx_core::{Caller, Compact, Expect, Include, MessageQuery, SessionQuery};
use serde_json::json;

use crate::bench::{Bench, Place, fails, refused};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::records::{acl, at, cleared, deleted, key, numbered, text};

checks! { "tenants":
    another_tenant_reads_nothing [] => "messages, records and the session of a tenant are not there for another one";
    another_tenant_lists_nothing [] => "sessions of a tenant are not in the list of another one, whatever is asked for";
    another_tenant_counts_nothing [] => "the number of sessions in the status is that of the tenant who asks";
    the_same_session_id_is_independent [] => "the same session in two tenants has its own messages, metadata, owner and version";
    deletions_stay_within_the_tenant [] => "deleting and clearing in one tenant leaves the same session of another alone";
    the_same_message_id_is_no_conflict_across_tenants [] => "the same message id with other content in another tenant is no conflict";
    compaction_stays_within_the_tenant [] => "compacting one tenant changes nothing for another";
    cursors_stay_within_the_tenant [] => "a cursor of a list of sessions or records is refused for another tenant";
    expectations_stay_within_the_tenant [Can("compare_and_append")] => "a session of another tenant does not count for what a write expects";
    only_the_system_lists_tenants [] => "the list of tenants is refused to everybody but the system";
    all_tenants_are_listed [] => "the system sees every tenant that has records, page by page, whatever its own tenant";
}

fn pair(bench: &Bench) -> Verdict<(Place, Place)> {
    Ok((bench.place_of("a", "s")?, bench.place_of("b", "s")?))
}

async fn another_tenant_reads_nothing(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    a.write(&[text(1, "secret"), key(2, "k", json!("secret")), acl(3, "ann", &[])]).await?;
    fails(b.try_load(&MessageQuery::oldest_first()).await, NotFound, "loading the session of another tenant")?;
    let by_id = MessageQuery::oldest_first().ids([at(1)]);
    fails(b.try_load(&by_id).await, NotFound, "loading a message of another tenant by its id")?;
    ensure!(b.session().await?.is_none(), "the session of another tenant is there");
    ensure!(b.changes(None, None).await?.0.is_empty(), "`records` gives what belongs to another tenant");
    Ok(())
}

async fn another_tenant_lists_nothing(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    a.write(&[text(1, "a")]).await?;
    bench.place_of("a", "other")?.write(&[text(1, "a"), cleared(1, 2)]).await?;
    for include in [Include::Live, Include::All] {
        for prefix in [None, Some("s"), Some("")] {
            let mut query = SessionQuery::new().include(include);
            query.prefix = prefix.map(str::to_owned);
            ensure!(bench.list_ids(&b.cx, query).await?.is_empty(), "a session of another tenant is listed");
        }
    }
    Ok(())
}

async fn another_tenant_counts_nothing(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    for n in 0..3 {
        bench.place_of("a", &format!("s{n}"))?.write(&[text(1, "a")]).await?;
    }
    bench.place_of("a", "dead")?.write(&[text(1, "a"), deleted(1, 2)]).await?;
    bench.place_of("b", "own")?.write(&[text(1, "a")]).await?;
    for (place, wanted) in [(&a, 3), (&b, 1)] {
        let found = bench.store().status(&place.cx).await?.sessions;
        ensure!(
            found.is_none_or(|found| found == wanted),
            "{:?} has {wanted} sessions, found {found:?}",
            place.cx.tenant
        );
    }
    let stranger = b.clone().with_caller(Caller::Anonymous);
    // A layer may refuse strangers; if it does not, they learn nothing of the whole store.
    if let Ok(status) = bench.store().status(&stranger.cx).await {
        ensure!(status.bytes.is_none(), "the size of the whole store is told to a caller that is not the system");
    }
    Ok(())
}

async fn the_same_session_id_is_independent(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    a.write(&[text(1, "of a"), key(2, "k", json!("a")), acl(3, "ann", &[])]).await?;
    b.write(&[text(5, "of b"), key(6, "k", json!("b"))]).await?;
    ensure_eq!(
        (a.texts().await?, b.texts().await?),
        (vec!["of a".to_owned()], vec!["of b".to_owned()]),
        "the messages"
    );
    let (of_a, of_b) = (a.existing().await?, b.existing().await?);
    ensure_eq!((of_a.version, of_b.version), (at(3), at(6)), "the versions");
    ensure_eq!((of_a.owner.as_deref(), of_b.owner.as_deref()), (Some("ann"), None), "the owners");
    ensure_eq!(
        (of_a.metadata.get("k"), of_b.metadata.get("k")),
        (Some(&json!("a")), Some(&json!("b"))),
        "the metadata"
    );
    Ok(())
}

async fn deletions_stay_within_the_tenant(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    a.write(&numbered(1..5)).await?;
    b.write(&numbered(1..5)).await?;
    let before = a.lines().await?;
    b.write(&[deleted(1, 10)]).await?;
    b.write(&[cleared(3, 11)]).await?;
    ensure_eq!(a.texts().await?, ["1", "2", "3", "4"], "the messages of the other tenant");
    ensure_eq!(a.lines().await?, before, "the records of the other tenant");
    ensure_eq!(b.texts().await?, ["4"], "the messages of the tenant that deleted");
    a.write(&[text(2, "2")]).await?;
    ensure_eq!(a.existing().await?.cleared, None, "the clear of the other tenant");
    Ok(())
}

async fn the_same_message_id_is_no_conflict_across_tenants(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    a.write(&[text(1, "one")]).await?;
    let written = b.write(&[text(1, "another")]).await?;
    ensure!(written.applied.is_none_or(|applied| applied == 1), "the message was not applied: {written:?}");
    ensure_eq!(
        (a.texts().await?, b.texts().await?),
        (vec!["one".to_owned()], vec!["another".to_owned()]),
        "the messages"
    );
    let other = bench.place_of("a", "t")?;
    other.write(&[text(1, "in another session")]).await?;
    ensure_eq!(other.texts().await?, ["in another session"], "the same id in another session");
    Ok(())
}

async fn compaction_stays_within_the_tenant(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    for place in [&a, &b] {
        place.write(&numbered(1..5)).await?;
        place.write(&[deleted(2, 10), deleted(3, 11), key(12, "k", json!(1))]).await?;
    }
    let before = (a.lines().await?, a.existing().await?.version);
    bench.store().compact(&b.cx, &Compact::new().purge_deleted_before(at(1_000))).await?;
    ensure_eq!((a.lines().await?, a.existing().await?.version), before, "the other tenant after the compaction");
    Ok(())
}

async fn cursors_stay_within_the_tenant(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    for place in [&a, &b] {
        for name in ["s", "t", "u"] {
            let place = bench.place_of(place.cx.tenant.as_str(), name)?;
            place.write(&numbered(1..4)).await?;
        }
    }
    let query = SessionQuery::new().limit(1);
    let cursor = bench.store().sessions(&a.cx, &query).await?.next;
    ensure!(cursor.is_some(), "a page of one of three sessions has no cursor");
    let result = bench.store().sessions(&b.cx, &query.cursor(cursor)).await;
    fails(result, InvalidInput, "a cursor over the sessions of another tenant")?;
    let next = bench.store().records(&a.cx, &a.session, None, Some(1)).await?.next;
    let result = bench.store().records(&b.cx, &b.session, Some(&next), None).await;
    fails(result, InvalidInput, "a cursor over the records of another tenant")?;
    let other = bench.place_of("a", "t")?;
    let result = bench.store().records(&other.cx, &other.session, Some(&next), None).await;
    fails(result, InvalidInput, "a cursor over the records of another session")?;
    Ok(())
}

async fn expectations_stay_within_the_tenant(bench: Bench) -> Verdict {
    let (a, b) = pair(&bench)?;
    a.write(&[text(1, "a")]).await?;
    refused(
        b.write_expecting(&[text(2, "b")], Expect::Version(at(1))).await,
        Conflict,
        "the version of another tenant",
    )?;
    b.write_expecting(&[text(2, "b")], Expect::New).await?;
    ensure_eq!((a.texts().await?, b.texts().await?), (vec!["a".to_owned()], vec!["b".to_owned()]), "the messages");
    Ok(())
}

async fn only_the_system_lists_tenants(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a")]).await?;
    for caller in
        [Caller::Anonymous, Caller::principal("ann", ["admin", "system"]), Caller::principal("system", [""; 0])]
    {
        let stranger = place.clone().with_caller(caller);
        let result = bench.store().tenants(&stranger.cx, None).await;
        fails(result, PermissionDenied, "the list of tenants for a caller that is not the system")?;
    }
    Ok(())
}

async fn all_tenants_are_listed(bench: Bench) -> Verdict {
    let mut wanted = Vec::new();
    for n in 0..105 {
        let tenant = format!("tenant {n:03}");
        bench.place_of(&tenant, "s")?.write(&[text(1, "a")]).await?;
        wanted.push(tenant);
    }
    bench.place_of("cleared", "s")?.write(&[text(1, "a"), cleared(1, 2)]).await?;
    wanted.push("cleared".to_owned());
    wanted.sort_unstable();
    let mut found = bench.tenants().await?;
    found.sort_unstable();
    ensure_eq!(found, wanted, "the tenants");
    Ok(())
}
