//! Search, where it is claimed.

use craftx_core::ErrorKind::{InvalidInput, Unsupported};
use craftx_core::{Content, Message, Record, Role, Scope, SearchQuery, SessionId};
use serde_json::json;

use crate::bench::{Bench, Place, fails};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::corpus;
use crate::records::{acl, at, cleared, content, deleted, text};

checks! { "search":
    search_is_unsupported [Cannot("search")] => "a search that is not claimed is refused, not answered with nothing";
    search_finds_words [Can("search")] => "the messages that hold a word are found, in every session of the tenant or in one";
    search_finds_other_forms [Can("search")] => "case, accents and English endings do not matter";
    search_finds_scripts_without_spaces [Can("search")] => "one to four Chinese, Japanese or Korean characters are found in every message that has them in a row, and in no other";
    search_finds_texts_in_parts [Can("search")] => "texts in parts and names of authors are found, calls of tools are not";
    search_filters [Can("search")] => "a search can be limited to a session, to roles, and to a time";
    search_has_pages [Can("search")] => "pages give everything once, and a cursor of another search or tenant is refused";
    search_marks_what_it_found [Can("search")] => "a snippet is a part of the text, and its marks lie on the words";
    search_forgets_the_dead [Can("search")] => "what was deleted or cleared is not found, nor what comes after its deletion";
    search_keeps_up_with_late_records [Can("search")] => "a message that arrives late is found as if it had come in time";
    search_stays_within_tenant_and_scope [Can("search")] => "nothing of another tenant or outside of the scope is found";
    search_does_not_show_other_tenants_words [Can("search")] => "what other tenants say does not change order or scores";
    any_text_is_a_legal_search [Can("search")] => "no text that is searched for is an error";
    random_text_is_a_legal_search [Can("search")] => "no random text is an error, and every message is found by what it says";
}

async fn search_is_unsupported(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "word")]).await?;
    for query in ["word", "nowhere", ""] {
        let result = bench.store().search(&place.cx, &SearchQuery::new(query)).await;
        fails(result, Unsupported, "a search")?;
    }
    Ok(())
}

async fn found(bench: &Bench, place: &Place, query: &SearchQuery) -> Verdict<Vec<String>> {
    let page = bench.store().search(&place.cx, query).await?;
    let mut found: Vec<_> =
        page.items.iter().map(|hit| format!("{}: {}", hit.session, hit.message.text().unwrap_or_default())).collect();
    found.sort_unstable();
    Ok(found)
}

async fn search_finds_words(bench: Bench) -> Verdict {
    let (a, b) = (bench.place("a")?, bench.place("b")?);
    a.write(&[text(1, "the first heron"), text(2, "a second bird")]).await?;
    b.write(&[text(1, "another heron")]).await?;
    let mut query = SearchQuery::new("heron");
    ensure_eq!(found(&bench, &a, &query).await?, ["a: the first heron", "b: another heron"], "`heron`");
    query.session = Some(b.session.clone());
    ensure_eq!(found(&bench, &a, &query).await?, ["b: another heron"], "`heron` in the session `b`");
    ensure!(found(&bench, &a, &SearchQuery::new("pelican")).await?.is_empty(), "a word that nobody said is found");
    Ok(())
}

async fn search_forgets_the_dead(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a heron"), text(2, "another heron")]).await?;
    place.write(&[deleted(1, 9)]).await?;
    let query = SearchQuery::new("heron");
    ensure_eq!(found(&bench, &place, &query).await?, ["s: another heron"], "`heron`");
    place.write(&[text(1, "a heron")]).await?;
    ensure_eq!(found(&bench, &place, &query).await?, ["s: another heron"], "`heron` after its ghost came back");
    place.write(&[text(20, "the last heron"), cleared(10, 11)]).await?;
    place.write(&[text(3, "a late heron")]).await?;
    ensure_eq!(found(&bench, &place, &query).await?, ["s: the last heron"], "`heron` after a clear");
    Ok(())
}

async fn search_finds_other_forms(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "HERONS were Running"), text(2, "un CAFE\u{301} à l'île"), text(3, "nothing of it")]).await?;
    for (query, wanted) in [
        ("heron", "s: HERONS were Running"),
        ("run", "s: HERONS were Running"),
        ("Runs", "s: HERONS were Running"),
        ("café", "s: un CAFE\u{301} à l'île"),
        ("ILE", "s: un CAFE\u{301} à l'île"),
    ] {
        ensure_eq!(found(&bench, &place, &SearchQuery::new(query)).await?, [wanted], "`{query}`");
    }
    Ok(())
}

async fn search_finds_scripts_without_spaces(bench: Bench) -> Verdict {
    const TEXTS: [&str; 7] = [
        "我想找一家北京的餐馆，谢谢",
        "北、京と東京タワー",
        "東京は日本の首都です。",
        "本日は休みです",
        "京都 北海道",
        "한국어로 말해 주세요",
        "English with 東京 inside",
    ];
    let place = bench.place("s")?;
    let records: Vec<_> = TEXTS.iter().zip(1..).map(|(said, n)| text(n, *said)).collect();
    place.write(&records).await?;
    for said in TEXTS {
        let chars: Vec<char> = said.chars().collect();
        for query in (1..=4).flat_map(|length| chars.windows(length)).map(|part| part.iter().collect::<String>()) {
            if query.chars().any(|c| !c.is_alphabetic() || c.is_ascii()) {
                continue;
            }
            let mut wanted: Vec<_> =
                TEXTS.iter().filter(|text| text.contains(&query)).map(|text| format!("s: {text}")).collect();
            wanted.sort_unstable();
            ensure_eq!(found(&bench, &place, &SearchQuery::new(query.as_str())).await?, wanted, "`{query}`");
        }
    }
    Ok(())
}

async fn search_finds_texts_in_parts(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let parts =
        json!([{"type": "text", "text": "a heron"}, {"type": "image_url", "image_url": {"url": "https://pelican"}}]);
    let call = json!([{"id": "c", "function": {"name": "f", "arguments": "{\"bird\": \"pelican\"}"}}]);
    place
        .write(&[
            content(1, parts),
            Record::Message(Message::new(at(2), Role::Assistant, Content::Null).with_metadata("tool_calls", call)),
            Record::Message(Message::new(at(3), Role::User, "hello").with_metadata("name", "Ann")),
        ])
        .await?;
    for (query, wanted) in [("heron", vec![at(1)]), ("pelican", vec![]), ("ann", vec![at(3)]), ("hello", vec![at(3)])] {
        let page = bench.store().search(&place.cx, &SearchQuery::new(query)).await?;
        let ids: Vec<_> = page.items.iter().map(|hit| hit.message.id).collect();
        ensure_eq!(ids, wanted, "`{query}`");
    }
    Ok(())
}

async fn search_filters(bench: Bench) -> Verdict {
    let (a, b) = (bench.place("a")?, bench.place("b")?);
    let said = |n, role: &Role, said: &str| Record::Message(Message::new(at(n), role.clone(), said));
    let other = Role::new("developer")?;
    a.write(&[said(1, &Role::User, "heron 1"), said(2, &Role::Assistant, "heron 2"), said(3, &other, "heron 3")])
        .await?;
    b.write(&[said(4, &Role::User, "heron 4")]).await?;
    let heron = || SearchQuery::new("heron");
    for (query, wanted) in [
        (heron().role(Role::User), vec!["a: heron 1", "b: heron 4"]),
        (heron().role(Role::Assistant).role(other), vec!["a: heron 2", "a: heron 3"]),
        (heron().role(Role::Tool), vec![]),
        (heron().session(a.session.clone()).role(Role::User), vec!["a: heron 1"]),
        (heron().after(at(1)), vec!["a: heron 2", "a: heron 3", "b: heron 4"]),
        (heron().before(at(3)), vec!["a: heron 1", "a: heron 2"]),
        (heron().after(at(1)).before(at(3)), vec!["a: heron 2"]),
        (heron().session(SessionId::new("nowhere")?), vec![]),
    ] {
        ensure_eq!(found(&bench, &a, &query).await?, wanted, "{query:?}");
    }
    Ok(())
}

async fn search_has_pages(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let records: Vec<_> = (1..=60).map(|n| text(n, format!("heron {n}"))).collect();
    for batch in records.chunks(bench.batch(60)) {
        place.write(batch).await?;
    }
    for limit in [1, 7, 60, 100] {
        let mut ids = Vec::new();
        let mut query = SearchQuery::new("heron").limit(limit);
        loop {
            let page = bench.store().search(&place.cx, &query).await?;
            ensure!(page.items.len() <= limit as usize, "a page has more than {limit} messages");
            ensure!(!page.items.is_empty() || page.next.is_none(), "an empty page has a cursor");
            ids.extend(page.items.iter().map(|hit| hit.message.id));
            ensure!(ids.len() <= 60, "pages of {limit} give more than there is");
            match page.next {
                None => break,
                next => query = query.cursor(next),
            }
        }
        ids.sort_unstable();
        let wanted: Vec<_> = (1..=60).map(at).collect();
        ensure_eq!(ids, wanted, "what pages of {limit} give");
    }
    let next = bench.store().search(&place.cx, &SearchQuery::new("heron").limit(5)).await?.next;
    ensure!(next.is_some(), "the first of several pages has no cursor");
    let other = SearchQuery::new("herons").cursor(next.clone());
    fails(bench.store().search(&place.cx, &other).await, InvalidInput, "the cursor of another search")?;
    let other = bench.place_of("other", "s")?;
    let same = SearchQuery::new("heron").cursor(next);
    fails(bench.store().search(&other.cx, &same).await, InvalidInput, "the cursor of another tenant")?;
    Ok(())
}

async fn search_marks_what_it_found(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let long = format!("{}一羽の鷺 and 2 Herons 😀 {}", "é long way to it ".repeat(50), "and on ".repeat(50));
    place.write(&[text(1, "Ünïcode HERONS, heron's"), text(2, long)]).await?;
    for (query, forms) in [("heron", &["HERONS", "heron", "Herons"][..]), ("鷺", &["鷺"]), ("ünïcode", &["Ünïcode"])]
    {
        for hit in bench.store().search(&place.cx, &SearchQuery::new(query)).await?.items {
            let Some(snippet) = &hit.snippet else { continue };
            ensure!(!hit.marks.is_empty(), "the snippet of `{query}` has no marks");
            let said = hit.message.text().unwrap_or_default();
            ensure!(said.contains(snippet.trim_matches('…')), "a snippet is no part of the text: {snippet:?}");
            let mut end = 0;
            for mark in &hit.marks {
                let marked = snippet.get(mark.clone());
                ensure!(
                    mark.start >= end && marked.is_some_and(|marked| forms.contains(&marked)),
                    "{mark:?} in {snippet:?}"
                );
                end = mark.end;
            }
        }
    }
    Ok(())
}

async fn search_keeps_up_with_late_records(bench: Bench) -> Verdict {
    let (in_time, late) = (bench.place_of("a", "s")?, bench.place_of("b", "s")?);
    let records = [text(1, "a heron"), text(2, "and a red car"), text(3, "by the river"), text(4, "a red heron")];
    for (place, order) in [(&in_time, [0, 1, 2, 3]), (&late, [3, 0, 2, 1])] {
        for record in order.iter().filter_map(|at: &usize| records.get(*at)) {
            place.write(std::slice::from_ref(record)).await?;
        }
    }
    for query in ["heron", "red heron", "car by the river"] {
        let mut scores = Vec::new();
        for place in [&in_time, &late] {
            let page = bench.store().search(&place.cx, &SearchQuery::new(query)).await?;
            let mut found: Vec<_> = page.items.iter().map(|hit| (hit.message.id, hit.score)).collect();
            found.sort_by_key(|(id, _)| *id);
            scores.push(found);
        }
        ensure_eq!(scores.first(), scores.last(), "`{query}` in time and late");
    }
    Ok(())
}

async fn search_does_not_show_other_tenants_words(bench: Bench) -> Verdict {
    let (a, b) = (bench.place_of("a", "s")?, bench.place_of("b", "s")?);
    a.write(&[text(1, "a red heron"), text(2, "a blue crane"), text(3, "blue, red, blue"), text(4, "noise")]).await?;
    let query = SearchQuery::new("red crane");
    let before = bench.store().search(&a.cx, &query).await?;
    let records: Vec<_> = (1..=50).map(|n| text(n, "a red bird, a red boat, a red boot")).collect();
    for batch in records.chunks(bench.batch(50)) {
        b.write(batch).await?;
    }
    ensure_eq!(bench.store().search(&a.cx, &query).await?, before, "`red crane` after another tenant wrote");
    Ok(())
}

async fn random_text_is_a_legal_search(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let mut random = bench.random();
    for n in 1..=bench.cases.min(200) {
        let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.below(256) as u8).collect();
        let said = String::from_utf8_lossy(&bytes).into_owned();
        let query = SearchQuery::new(format!("{said} word{n}"));
        bench.store().search(&place.cx, &SearchQuery::new(said.as_str())).await?;
        place.write(&[text(n, format!("{said} word{n}"))]).await?;
        let page = bench.store().search(&place.cx, &query).await?;
        ensure!(
            page.items.iter().any(|hit| hit.message.id == at(n)),
            "a message is not found by its own text: {said:?}"
        );
    }
    Ok(())
}

async fn search_stays_within_tenant_and_scope(bench: Bench) -> Verdict {
    let (a, b) = (bench.place_of("a", "s")?, bench.place_of("b", "s")?);
    a.write(&[text(1, "a heron of a"), acl(2, "ann", &[])]).await?;
    b.write(&[text(1, "a heron of b")]).await?;
    let mut query = SearchQuery::new("heron");
    ensure_eq!(found(&bench, &b, &query).await?, ["s: a heron of b"], "`heron` in the tenant `b`");
    if bench.capabilities.scope.is_yes() {
        for (principal, wanted) in [("ann", vec!["s: a heron of a"]), ("bob", vec![])] {
            query.scope = Scope::Visible { principals: vec![principal.to_owned()], roles: Vec::new() };
            ensure_eq!(found(&bench, &a, &query).await?, wanted, "`heron` for {principal}");
        }
    }
    Ok(())
}

async fn any_text_is_a_legal_search(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a heron")]).await?;
    let operators = ["AND", "a OR", "NOT", "NEAR(", "a*", "\"a", "col:a", "^a", "a -b", "(", "{}", "a AND AND b"];
    let texts = corpus::hostile_texts().into_iter().chain(operators.map(str::to_owned));
    for query in texts.filter(|text| text.len() < 200) {
        bench.store().search(&place.cx, &SearchQuery::new(query)).await?;
    }
    Ok(())
}
