//! Names of sessions and tenants: any text without control characters, and nothing done to it.

use craftx_core::{Include, SessionQuery};

use crate::bench::{Bench, context};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::corpus;
use crate::records::{at, text};

checks! { "names":
    hostile_session_ids_stay_apart [] => "dots, slashes, case pairs, normal forms, device names, 255 bytes: each id is a session of its own";
    hostile_session_ids_are_listed_in_byte_order [] => "the list has every id as it was given, by the order of its bytes";
    hostile_tenants_stay_apart [] => "the same holds for the names of tenants";
    tenant_and_session_never_run_together [] => "no pair of a tenant and a session is mistaken for another pair";
    prefixes_are_plain_text [] => "a prefix is compared byte for byte: no wildcard, no folding, no normal form";
}

async fn hostile_session_ids_stay_apart(bench: Bench) -> Verdict {
    let names = corpus::hostile_names();
    for name in &names {
        bench.place(name)?.write(&[text(1, name.as_str())]).await?;
    }
    for name in &names {
        let place = bench.place(name)?;
        ensure_eq!(place.texts().await?, [name.as_str()], "the messages of the session {name:?}");
        let session = place.existing().await?;
        ensure_eq!(session.id.as_str(), name, "the id that the session tells");
        ensure_eq!(place.changes(None, None).await?.0, [text(1, name.as_str())], "the records of the session {name:?}");
    }
    Ok(())
}

async fn hostile_session_ids_are_listed_in_byte_order(bench: Bench) -> Verdict {
    let mut names = corpus::hostile_names();
    bench.random().shuffle(&mut names);
    for name in &names {
        bench.place(name)?.write(&[text(1, "a")]).await?;
    }
    names.sort_unstable();
    for limit in [1_000, 7] {
        for include in [Include::Live, Include::All] {
            let found = bench.list_ids(&context("default"), SessionQuery::new().include(include).limit(limit)).await?;
            let odd = found.iter().zip(&names).find(|(found, wanted)| found != wanted);
            ensure!(odd.is_none(), "the list differs in (found, wanted) {odd:?}");
            ensure_eq!(found.len(), names.len(), "the number of sessions, by pages of {limit}");
        }
    }
    Ok(())
}

async fn hostile_tenants_stay_apart(bench: Bench) -> Verdict {
    let names = corpus::hostile_names();
    for name in &names {
        bench.place_of(name, "s")?.write(&[text(1, name.as_str())]).await?;
    }
    for name in &names {
        let place = bench.place_of(name, "s")?;
        ensure_eq!(place.texts().await?, [name.as_str()], "the messages of the tenant {name:?}");
        ensure_eq!(bench.list_ids(&place.cx, SessionQuery::new()).await?, ["s"], "the sessions of the tenant {name:?}");
    }
    let mut wanted = names;
    wanted.sort_unstable();
    let mut found = bench.tenants().await?;
    found.sort_unstable();
    let odd = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
    ensure!(odd.is_none() && found.len() == wanted.len(), "the list of tenants differs in (found, wanted) {odd:?}");
    Ok(())
}

async fn tenant_and_session_never_run_together(bench: Bench) -> Verdict {
    let pairs = [
        ("a", "b/c"),
        ("a/b", "c"),
        ("a", "b:c"),
        ("a:b", "c"),
        ("ab", "c"),
        ("a", "bc"),
        ("a.b", "c"),
        ("a", "b.c"),
        ("a%2Fb", "c"),
        ("a", "b%2Fc"),
        ("a-", "b"),
        ("a", "-b"),
        ("a_", "b"),
        ("a", "_b"),
        ("a|b", "c"),
        ("a", "b|c"),
    ];
    for (n, (tenant, session)) in (1..).zip(pairs) {
        bench.place_of(tenant, session)?.write(&[text(n, format!("{tenant} and {session}"))]).await?;
    }
    for (n, (tenant, session)) in (1..).zip(pairs) {
        let place = bench.place_of(tenant, session)?;
        ensure_eq!(
            place.texts().await?,
            [format!("{tenant} and {session}")],
            "the messages of {tenant:?}, {session:?}"
        );
        ensure_eq!(place.existing().await?.version, at(n), "the version of {tenant:?}, {session:?}");
    }
    Ok(())
}

async fn prefixes_are_plain_text(bench: Bench) -> Verdict {
    let names = [
        "a",
        "a%",
        "a%b",
        "ab",
        "a_",
        "a_b",
        "axb",
        "a*",
        "a*b",
        "a?",
        "a[b]",
        "a\\",
        "a\\b",
        "A",
        "Ab",
        "á",
        "a\u{301}",
        "a\u{301}b",
        "b",
        "ß",
        "ss",
        "a/b",
        "a/c",
        "'a",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        "😀",
        "😀b",
    ];
    for name in names {
        bench.place(name)?.write(&[text(1, "a")]).await?;
    }
    let prefixes = names.into_iter().chain(["", "a%%", "á\u{301}", "zzz", "\u{10fffe}"]);
    for prefix in prefixes {
        let mut wanted: Vec<_> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
        wanted.sort_unstable();
        for limit in [100, 2] {
            let query = SessionQuery::new().prefix(prefix).limit(limit);
            ensure_eq!(bench.list_ids(&context("default"), query).await?, wanted, "the ids that begin with {prefix:?}");
        }
    }
    Ok(())
}
