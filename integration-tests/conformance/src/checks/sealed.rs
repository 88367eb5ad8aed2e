//! Ciphertexts: what an encryption layer above needs of a store.

use craftx_core::ErrorKind::Conflict;
use craftx_core::{Content, Message, MessageQuery, Record, Role, Sealed, SearchQuery, WriteOptions};

use crate::bench::{Bench, fold, lines, refused};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::records::{at, deleted, sealed, text};

checks! { "ciphertexts":
    sealed_messages_come_back [Can("sealed")] => "the ciphertext of a message is kept and read back equal";
    a_renewed_ciphertext_takes_the_place_of_the_older_one [Can("sealed")] => "of two ciphertexts of the same content the later generation is kept, in whatever order they come, and that is no conflict";
    a_renewed_ciphertext_is_replicated [Can("sealed")] => "a renewal is new to whoever follows the session by cursor";
    two_ciphertexts_of_one_generation_meet [Can("sealed")] => "of two ciphertexts of one generation every store keeps the same one";
    another_content_is_a_conflict_sealed_or_not [Can("sealed"), Can("detects_conflict")] => "a ciphertext of another content under a known id is refused";
    a_deleted_ciphertext_is_gone [Can("sealed")] => "a deletion ends every ciphertext of the message, those that come later too";
    a_ciphertext_is_found_by_its_words [Can("sealed"), Can("search")] => "a search finds a ciphertext by the words beside it, and not by those of one that was renewed or deleted";
}

/// The ciphertext that a generation gives to one content.
fn generation(n: u64, generation: u32) -> Record {
    sealed(n, generation, "digest", &format!("envelope {generation}"))
}

async fn sealed_messages_come_back(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let records = [generation(1, 0), text(2, "plain"), generation(3, 7)];
    place.write(&records).await?;
    let written = place.write(&records).await?;
    ensure!(written.known.is_none_or(|known| known == 3), "a second write should be known, found {written:?}");
    let found: Vec<Record> = place.messages().await?.into_iter().map(Record::Message).collect();
    ensure_eq!(found, records, "the messages");
    ensure_eq!(place.lines().await?, lines(&fold(&records)), "the records");
    Ok(())
}

async fn a_renewed_ciphertext_takes_the_place_of_the_older_one(bench: Bench) -> Verdict {
    for (name, options) in [("fresh", WriteOptions::fresh()), ("replay", WriteOptions::replay())] {
        let place = bench.place(name)?;
        place.write(&[generation(1, 1), text(2, "b")]).await?;
        for record in [generation(1, 2), generation(1, 0)] {
            place.try_write(&[record], &options).await?;
        }
        let found: Vec<Record> = place.messages().await?.into_iter().map(Record::Message).collect();
        ensure_eq!(found, [generation(1, 2), text(2, "b")], "the messages");
        ensure_eq!(place.lines().await?, lines(&fold(&found)), "the records");
        ensure!(place.existing().await?.messages.is_none_or(|count| count == 2), "a renewed message is counted twice");
    }
    Ok(())
}

async fn a_renewed_ciphertext_is_replicated(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[generation(1, 0), text(2, "b")]).await?;
    let (_, end) = place.changes(None, None).await?;
    place.write(&[generation(1, 1)]).await?;
    let (later, _) = place.changes(Some(end), None).await?;
    ensure!(later.contains(&generation(1, 1)), "the cursor missed a renewed ciphertext");
    Ok(())
}

async fn two_ciphertexts_of_one_generation_meet(bench: Bench) -> Verdict {
    let (one, two) = (sealed(1, 3, "digest", "one"), sealed(1, 3, "digest", "two"));
    let (here, there) = (bench.place("here")?, bench.place("there")?);
    for (place, order) in [(&here, [&one, &two]), (&there, [&two, &one])] {
        for record in order {
            place.replay(std::slice::from_ref(record)).await?;
        }
    }
    ensure_eq!(here.lines().await?, there.lines().await?, "the records");
    ensure_eq!(here.messages().await?.len(), 1, "the number of messages");
    Ok(())
}

async fn another_content_is_a_conflict_sealed_or_not(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[generation(1, 0)]).await?;
    for other in [sealed(1, 1, "another digest", "envelope 1"), text(1, "plain")] {
        let error = refused(place.try_write(&[other], &WriteOptions::fresh()).await, Conflict, "another content")?;
        ensure!(error.get("id") == Some(&at(1).to_string()), "the conflict should name the id, found {error}");
    }
    let found: Vec<Record> = place.messages().await?.into_iter().map(Record::Message).collect();
    ensure_eq!(found, [generation(1, 0)], "the messages");
    Ok(())
}

async fn a_deleted_ciphertext_is_gone(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    place.write(&[generation(1, 0), text(2, "b")]).await?;
    place.write(&[deleted(1, 5)]).await?;
    place.replay(&[generation(1, 1)]).await?;
    ensure_eq!(place.texts().await?, ["b"], "the live messages");
    let found = place.load(&MessageQuery::oldest_first().ids([at(1)])).await?;
    ensure!(found.items.is_empty(), "a deleted ciphertext can be loaded");
    Ok(())
}

async fn a_ciphertext_is_found_by_its_words(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let ciphertext = |n, generation, words: &[&str]| {
        let sealed = Sealed::new(generation, "digest", format!("envelope {generation}"));
        let sealed = sealed.with_words(words.iter().copied().map(String::from));
        Record::Message(Message::new(at(n), Role::User, Content::Absent).with_sealed(sealed))
    };
    let begin = [ciphertext(1, 1, &["0heron", "0crane"]), ciphertext(2, 1, &["0heron"]), generation(3, 1)];
    let renewed = [ciphertext(1, 2, &["0crane", "0stork"])];
    let expected: [(&[Record], [&[u64]; 3]); 3] =
        [(&begin, [&[1, 2], &[1], &[]]), (&renewed, [&[2], &[1], &[1]]), (&[deleted(1, 9)], [&[2], &[], &[]])];
    for (records, wanted) in expected {
        place.write(records).await?;
        for (word, wanted) in ["0heron", "0crane", "0stork"].into_iter().zip(wanted) {
            let page = bench.store().search(&place.cx, &SearchQuery::new(word)).await?;
            let mut found: Vec<_> = page.items.iter().map(|hit| hit.message.id).collect();
            found.sort_unstable();
            let wanted: Vec<_> = wanted.iter().copied().map(at).collect();
            ensure_eq!(found, wanted, "what the word `{word}` finds");
        }
    }
    Ok(())
}
