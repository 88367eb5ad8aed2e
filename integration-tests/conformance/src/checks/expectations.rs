//! Compare-and-append.

use craftx_core::ErrorKind::{Conflict, InvalidInput, Unsupported};
use craftx_core::{Expect, Stamp, WriteOptions};
use serde_json::json;

use crate::bench::{Bench, refused};
use crate::check::{Stop, Verdict, checks, ensure, ensure_eq};
use crate::records::{acl, at, cleared, deleted, key, text, unset};

checks! { "expectations":
    a_new_session_is_new_once [Can("compare_and_append")] => "`Expect::New` holds only for a session that was never written";
    tombstones_make_a_session_old [Can("compare_and_append")] => "a session of nothing but deletions is not new, and its version is what is expected";
    the_expected_version_must_be_the_version [Can("compare_and_append")] => "a write under another version is a conflict that tells the version, and nothing is stored";
    every_kind_of_record_moves_the_version [Can("compare_and_append")] => "metadata, owners, deletions and clears make an expectation fail too";
    the_told_version_works [Can("compare_and_append")] => "the version that a write or a conflict tells is the one to expect next";
    a_known_batch_is_fine_whatever_was_expected [Can("compare_and_append")] => "a retry of a batch that was stored does not conflict with itself";
    stamps_must_follow_the_expected_version [Can("compare_and_append")] => "a batch with a stamp that is not greater than the expected version is invalid";
    expectations_are_unsupported [Cannot("compare_and_append")] => "an expectation that cannot be honoured is refused, not ignored";
}

/// The version that a conflict tells.
fn told(error: &craftx_core::Error) -> Verdict<Stamp> {
    match error.get("version").map(str::parse) {
        Some(Ok(version)) => Ok(version),
        other => Err(Stop::Fail(format!("the conflict does not tell the version as a fact `version`: {other:?}"))),
    }
}

async fn a_new_session_is_new_once(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write_expecting(&[text(1, "a")], Expect::New).await?;
    let error = refused(place.write_expecting(&[text(2, "b")], Expect::New).await, Conflict, "a second new session")?;
    ensure_eq!(told(&error)?, at(1), "the version that the conflict tells");
    ensure_eq!(place.texts().await?, ["a"], "the messages");
    let other = bench.place("never written")?;
    let result = other.write_expecting(&[text(5, "a")], Expect::Version(at(1))).await;
    refused(result, Conflict, "a version of a session that was never written")?;
    ensure!(other.session().await?.is_none(), "a refused write made a session");
    Ok(())
}

async fn tombstones_make_a_session_old(bench: Bench) -> Verdict {
    for (name, record) in [("deletion", deleted(1, 5)), ("clear", cleared(1, 5))] {
        let place = bench.place(name)?;
        place.write(&[record]).await?;
        refused(place.write_expecting(&[text(9, "a")], Expect::New).await, Conflict, "a session with a tombstone")?;
        place.write_expecting(&[text(9, "a")], Expect::Version(at(5))).await?;
        ensure_eq!(place.texts().await?, ["a"], "the messages after a {name}");
    }
    Ok(())
}

async fn the_expected_version_must_be_the_version(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(1, "a"), text(5, "b")]).await?;
    let before = place.lines().await?;
    for wrong in [at(1), at(4), at(6), Stamp::MIN] {
        let batch = [text(90, "c"), key(91, "k", json!(1)), deleted(1, 92)];
        let error = refused(place.write_expecting(&batch, Expect::Version(wrong)).await, Conflict, "a wrong version")?;
        ensure_eq!(told(&error)?, at(5), "the version that the conflict tells");
        ensure_eq!(place.lines().await?, before, "the records after the conflict");
    }
    place.write_expecting(&[text(90, "c")], Expect::Version(at(5))).await?;
    ensure_eq!(place.texts().await?, ["a", "b", "c"], "the messages");
    Ok(())
}

async fn every_kind_of_record_moves_the_version(bench: Bench) -> Verdict {
    let kinds = [key(10, "k", json!(1)), unset(10, "k"), acl(10, "ann", &[]), deleted(1, 10), cleared(1, 10)];
    for (n, kind) in kinds.into_iter().enumerate() {
        let place = bench.place(&format!("kind {n}"))?;
        place.write(&[text(1, "a"), text(2, "b")]).await?;
        let seen = place.existing().await?.version;
        place.write(std::slice::from_ref(&kind)).await?;
        let result = place.write_expecting(&[text(20, "c")], Expect::Version(seen)).await;
        let error = refused(result, Conflict, "a version from before a change")?;
        ensure_eq!(told(&error)?, at(10), "the version after {kind:?}");
        place.write_expecting(&[text(20, "c")], Expect::Version(at(10))).await?;
    }
    Ok(())
}

async fn the_told_version_works(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let mut expect = Expect::New;
    for n in 1..20 {
        let written = place.write_expecting(&[text(n * 2, "a"), text(n * 2 + 1, "b")], expect).await?;
        let Some(version) = written.version else {
            return Err(Stop::Fail("a write under an expectation does not tell the version".to_owned()));
        };
        expect = Expect::Version(version);
        if n % 5 == 0 {
            place.write(&[key(n * 2 + 1, &format!("k{n}"), json!(n)), deleted(n, n * 2 + 1)]).await?;
            let version = place.existing().await?.version;
            expect = Expect::Version(version);
        }
    }
    place.write(&[text(1_000, "somebody else")]).await?;
    let error = refused(place.write_expecting(&[text(2_000, "c")], expect).await, Conflict, "a version of long ago")?;
    place.write_expecting(&[text(2_000, "c")], Expect::Version(told(&error)?)).await?;
    Ok(())
}

async fn a_known_batch_is_fine_whatever_was_expected(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let batch = [text(5, "a"), key(6, "k", json!(1))];
    place.write_expecting(&batch, Expect::New).await?;
    place.write(&[text(9, "somebody else")]).await?;
    for expect in [Expect::New, Expect::Version(at(1)), Expect::Version(at(6)), Expect::Version(at(100))] {
        let written = place.write_expecting(&batch, expect).await?;
        ensure!(written.applied.is_none_or(|applied| applied == 0), "a known batch was applied again: {written:?}");
        place.write_expecting(&[], expect).await?;
    }
    let half = [text(5, "a"), text(20, "new")];
    refused(place.write_expecting(&half, Expect::New).await, Conflict, "a batch that is known in part")?;
    ensure_eq!(place.texts().await?, ["a", "somebody else"], "the messages");
    Ok(())
}

async fn stamps_must_follow_the_expected_version(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[text(5, "a")]).await?;
    for batch in [vec![text(4, "b")], vec![text(6, "b"), text(3, "c")], vec![key(5, "k", json!(1))]] {
        let result = place.write_expecting(&batch, Expect::Version(at(5))).await;
        refused(result, InvalidInput, "a stamp that is not greater than the expected version")?;
    }
    ensure_eq!(place.texts().await?, ["a"], "the messages");
    Ok(())
}

async fn expectations_are_unsupported(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    refused(place.write_expecting(&[text(1, "a")], Expect::New).await, Unsupported, "an expectation")?;
    ensure!(place.session().await?.is_none(), "a refused write made a session");
    place.try_write(&[text(1, "a")], &WriteOptions::fresh().expecting(Expect::Anything)).await?;
    for expect in [Expect::New, Expect::Version(at(1)), Expect::Version(at(9))] {
        refused(place.write_expecting(&[text(10, "b")], expect).await, Unsupported, "an expectation")?;
    }
    ensure_eq!(place.texts().await?, ["a"], "the messages");
    Ok(())
}
