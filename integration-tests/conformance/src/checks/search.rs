//! Search, where it is claimed.

use craftx_core::ErrorKind::Unsupported;
use craftx_core::{Scope, SearchQuery};

use crate::bench::{Bench, Place, fails};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::corpus;
use crate::records::{acl, deleted, text};

checks! { "search":
    search_is_unsupported [Cannot("search")] => "a search that is not claimed is refused, not answered with nothing";
    search_finds_words [Can("search")] => "the messages that hold a word are found, in every session of the tenant or in one";
    search_forgets_the_dead [Can("search")] => "what was deleted is not found";
    search_stays_within_tenant_and_scope [Can("search")] => "nothing of another tenant or outside of the scope is found";
    any_text_is_a_legal_search [Can("search")] => "no text that is searched for is an error";
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
    ensure_eq!(found(&bench, &place, &SearchQuery::new("heron")).await?, ["s: another heron"], "`heron`");
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
